"""A study: the units in question, what natural images and pictures do to them, and a place where jobs are done."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from snellen.base import Tell, UsageError
from snellen.images.classes import Classes, classes_of, no_classes
from snellen.jobs import Function, Job, Plan, Store, results, run
from snellen.models import Unit
from snellen.studies.choice import Chosen, choose
from snellen.studies.drawings import draw
from snellen.studies.natural import find_exemplars, predict
from snellen.studies.plan import drawing_jobs, exemplar_job, prediction_job
from snellen.studies.world import World

Entry = Mapping[str, Any]
Do = Callable[[Job], Mapping[str, Any]]
"""Has a job done, or takes what is stored of it: its results by part."""
TOLD = ("unit", "image", "response", "top", "seen")


@dataclass(frozen=True, eq=False)
class Study:
    """What a check is given.

    Args:
        world: model and images.
        chosen: the units in question.
        classes: which images are of which class.
        seen: by unit what natural images do: results of the exemplar job.
        keys: by unit, under which these are stored.
        pictures: by unit its pictures: results of the drawing jobs, those of "max" before those of "min".
        do: has a job done; checks call nothing that takes time but through it, so that any audit resumes.
    """

    world: World
    chosen: Chosen
    classes: Classes
    seen: Mapping[str, Entry]
    keys: Mapping[str, str]
    pictures: Mapping[str, Sequence[Entry]]
    do: Do

    @cached_property
    def drawn(self) -> tuple[Entry, ...]:
        """Every unit's largest picture with its top images: unit, top, seen (a key), image, status, response."""
        return tuple(
            {
                "unit": unit,
                "top": self.seen[unit]["top"],
                "seen": self.keys[unit],
                **{name: picture[name] for name in ("image", "status", "response")},
            }
            for unit in map(str, self.chosen.all)
            for picture in self.pictures[unit]
            if picture["direction"] == "max"
        )

    @cached_property
    def shown(self) -> tuple[Entry, ...]:
        """The same of units that have a picture."""
        return tuple(entry for entry in self.drawn if has_picture(entry))

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Of every unit with a picture what a job is told: all of `shown` but the status."""
        return [{name: entry[name] for name in TOLD} for entry in self.shown]


def has_picture(entry: Entry) -> bool:
    """Whether a drawing went well."""
    return entry["status"] == "ok" and entry["image"] is not None and entry["response"] is not None


def functions_of(world: World) -> dict[str, Function]:
    """What the jobs call that come before any check's, by name."""
    return {"predict": predict(world), "exemplars": find_exemplars(world), "draw": draw(world)}


def classes_by(world: World, do: Do) -> Classes:
    """Which class of images is which unit, by the network's own answers."""
    if world.outputs < 2 or world.class_layer is None:  # numbers that are no classes: an embedding, one value
        return no_classes(world.images)
    job = prediction_job(world)
    answers = dict(zip(job.spec["images"], do(job)["result"], strict=True))
    return classes_of(world.images, answers, world.model.labels, world.outputs)


def classes_of_world(world: World, store: Store, *, progress: Tell | None = None) -> Classes:
    """Which class of images is which unit, outside any audit.

    Args:
        world: model and images.
        store: where the network's answers are kept.
        progress: told how far it is.
    """
    return classes_by(world, _doing(functions_of(world), store, progress))


def _doing(functions: Mapping[str, Function], store: Store, progress: Tell | None) -> Do:
    def do(job: Job) -> Mapping[str, Any]:
        run(Plan((job,)), functions, store, progress=progress)
        return results(job, store)

    return do


def study_of(
    world: World,
    store: Store,
    *,
    functions: Mapping[str, Function],
    directions: Sequence[str] = ("max",),
    by_class: bool = False,
    usable: Callable[[Chosen], None] = lambda _chosen: None,
    progress: Tell | None = None,
) -> Study:
    """A study outside any audit, of the units of its request that have a picture.

    Args:
        world: model and images; its request names units.
        store: where results are kept.
        functions: what further jobs call.
        directions: of the pictures, "max" among them.
        by_class: whether the images' classes are found.
        usable: sees whether the units will do, before any work.
        progress: told how far every job is.

    Raises:
        UsageError: no unit has a picture, or `usable` says so.
    """
    do = _doing({**functions_of(world), **functions}, store, progress)
    classes = classes_by(world, do) if by_class else no_classes(world.images)
    chosen = choose(world, classes)
    usable(chosen)
    seeing = exemplar_job(world, chosen)
    seen = do(seeing)
    pictures = gathered(do(job) for job in drawing_jobs(world, chosen) if job.spec["direction"] in directions)
    study = Study(world, chosen, classes, seen, seeing.keys, pictures, do)
    names = {entry["unit"] for entry in study.shown}
    if not names:
        first = study.drawn[0]
        raise UsageError(
            f'expected a unit with a picture, got none: "{first["unit"]}" is {first["status"]}; name others'
        )
    return replace(study, chosen=Chosen(_those(chosen.classes, names), _those(chosen.inner, names)))


def gathered(drawn: Iterable[Mapping[str, Entry]]) -> dict[str, list[Entry]]:
    """By unit its pictures, from results of drawing jobs in order."""
    pictures: dict[str, list[Entry]] = {}
    for entries in drawn:
        for unit, entry in entries.items():
            pictures.setdefault(unit, []).append(entry)
    return pictures


def _those(units: Sequence[Unit], names: set[str]) -> tuple[Unit, ...]:
    return tuple(unit for unit in units if str(unit) in names)
