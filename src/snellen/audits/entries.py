"""What an audit measured, entry by entry, as the record says it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import msgspec
import numpy as np

from snellen.base import canonical, encode_json
from snellen.checks.finding import Finding
from snellen.checks.judgement import Judgement
from snellen.images.classes import Classes
from snellen.measures import quantiles
from snellen.models import Unit
from snellen.record import (
    ClassEntry,
    ExemplarEntry,
    Exemplars,
    FindingEntry,
    FitEntry,
    ImagesEntry,
    JudgementEntry,
    LayerEntry,
    ModelEntry,
    NaturalEntry,
    PictureEntry,
    Reason,
    Record,
    SkippedEntry,
    UnitEntry,
)
from snellen.studies.drawings import settings_of
from snellen.studies.study import Entry, Study
from snellen.studies.world import World, preprocess_data


def make_record(study: Study, findings: Iterable[Finding], judged: Iterable[Judgement], *, complete: bool) -> Record:
    """The record of what is known so far.

    Args:
        study: what is stored.
        findings: in order.
        judged: the verdicts on units.
        complete: whether nothing is missing.
    """
    world, verdicts = study.world, {judgement.unit: judgement for judgement in judged}
    return Record(
        status="complete" if complete else "partial",
        command=world.request.command(),
        model=_model(world),
        images=_images(world, study.classes),
        settings=_settings(world),
        environment=_plain(world.environment),
        layers=tuple(_layers(study)),
        units=tuple(_unit(study, unit, verdicts.get(str(unit))) for unit in study.chosen.all),
        findings=tuple(msgspec.json.decode(encode_json(found.as_data()), type=FindingEntry) for found in findings),
    )


def _plain(told: Mapping[str, object]) -> dict[str, object]:
    """What may hold a kind of text or number of some library, as plain JSON."""
    return dict(json.loads(encode_json(told)))


def _model(world: World) -> ModelEntry:
    model = world.model
    return ModelEntry(
        spec=world.request.model,
        name=model.name,
        kind=type(model.module).__name__,
        size=model.size,
        parameters=model.parameters,
        fingerprint=world.identity["model"],
        provenance=_plain(model.provenance),
        preprocess=_plain(preprocess_data(model)),
    )


def _images(world: World, classes: Classes) -> ImagesEntry:
    labels = world.model.labels
    listed = [
        ClassEntry(
            name=name,
            unit=unit,
            label=_label(labels, unit),
            count=classes.count(k),
            purity=round(float(classes.purity[k]), 4) if classes.purity else None,
        )
        for k, (name, unit) in enumerate(zip(classes.names, classes.units, strict=True))
    ]
    return ImagesEntry(
        spec=world.request.images or "builtin",
        name=world.images.name,
        count=len(world.images),
        classes=tuple(listed),
        labels_from=classes.source,
        fit=None if classes.fit is None else msgspec.json.decode(encode_json(asdict(classes.fit)), type=FitEntry),
        digest=world.identity["images"],
        skipped=tuple(SkippedEntry(s.name, s.reason) for s in world.skipped),
    )


def _settings(world: World) -> dict[str, object]:
    request = world.request
    settings = settings_of(world)
    plain = {**json.loads(canonical(settings)), "rate": settings.learning_rate(0)}
    plain.pop("type", None)
    scale = request.scale
    return {
        **plain,
        "seed": request.seed,
        "quick": request.quick,
        "batch": world.pictures,
        "images_batch": world.batch,
        "images_compared": scale.compared,
        "images_own": scale.own,
        "resamples": scale.resamples,
    }


def _layers(study: Study) -> list[LayerEntry]:
    wanted = {*study.world.curve, *(unit.layer for unit in study.chosen.all)}
    return [
        LayerEntry(name=layer.name, kind=layer.kind, shape=tuple(layer.shape), units=layer.units)
        for layer in study.world.layers
        if layer.name in wanted
    ]


def _unit(study: Study, unit: Unit, judged: Judgement | None) -> UnitEntry:
    is_class, name = unit in study.chosen.classes, str(unit)
    seen = study.seen.get(name)
    own = study.classes.of_unit(unit.channel) if is_class else []
    return UnitEntry(
        unit=name,
        layer=unit.layer,
        channel=unit.channel,
        label=_label(study.world.model.labels, unit.channel) if is_class else None,
        role="class" if is_class else "unit",
        pictures=msgspec.convert(study.pictures.get(name, ()), tuple[PictureEntry, ...]),
        exemplars=Exemplars(_shown(study, seen, "top"), _shown(study, seen, "bottom")),
        natural=None if seen is None else _natural(seen["responses"], own, study.keys[name]),
        judgement=None if judged is None else _judged(judged),
    )


def _judged(judgement: Judgement) -> JudgementEntry:
    reasons = tuple(Reason(check, words) for check, words in judgement.evidence)
    return JudgementEntry(judgement.verdict, reasons, judgement.share, dict(judgement.scores))


def _shown(study: Study, seen: Entry | None, end: str) -> tuple[ExemplarEntry, ...]:
    if seen is None:
        return ()
    classes, found = study.classes, []
    for index, blob in zip(seen["shown"][end], seen["blobs"][end], strict=True):
        member = classes.members[index]
        found.append(
            ExemplarEntry(
                image=blob,
                id=study.world.images.ids[index],
                folder=None if member is None else classes.names[member],
                response=seen["responses"][index],
            )
        )
    return tuple(found)


def _natural(responses: Sequence[float], own: Sequence[int], key: str) -> NaturalEntry:
    values = np.asarray(responses, np.float64)
    return NaturalEntry(
        quantiles=tuple(quantiles(values)),
        mean=float(values.mean()),
        std=float(values.std()),
        count=len(values),
        own_class_mean=float(values[list(own)].mean()) if own else None,
        key=key,
    )


def _label(labels: Sequence[str], unit: int | None) -> str | None:
    return labels[unit] if unit is not None and unit < len(labels) else None
