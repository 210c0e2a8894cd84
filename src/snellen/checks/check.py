"""A check: what it asks, what it has to look at, what it says, and by which thresholds.

The judge, the report, the matrix and the calibration read all of that from here.

    snellen.checks.Jumps()(net, ["layer4:17", "fc:3"], images="folder")

One check alone draws the pictures that it looks at, as an audit would, keeps nothing, and returns the finding that an
audit of the same units has. A new one is a subclass of `UnitCheck`, which says something of each unit with a picture;
or of `Check`, which plans its own jobs.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from snellen.base import Seed, UsageError
from snellen.checks.finding import Finding
from snellen.checks.rows import UnitRow, extreme, verdict_of
from snellen.images import ImageSet, ImagesLike
from snellen.jobs import Context, Function, Job, Store
from snellen.models import Model, ModelLike, Unit
from snellen.progress import Watch, told
from snellen.studies.arrays import natural_responses, stacked
from snellen.studies.choice import Chosen
from snellen.studies.memory import asked
from snellen.studies.natural import fast
from snellen.studies.study import Entry, Study, study_of
from snellen.studies.world import World, open_world


@dataclass(frozen=True)
class Threshold:
    """A number that decides, and what it was set by: honest networks alone (`benchmarks/calibrate.py`).

    Args:
        value: the number.
        what: it separates, in words.
        of: which number of a unit's row is held against it, such as "figure"; "" where it is none of a row.
        least: whether a value below it counts, not one above.
        graded: whether values short of it are evidence as well, by how rare they are (`snellen.checks.honest`).
        honest: what honest networks show; "" where nothing was measured.
    """

    value: float
    what: str
    of: str = ""
    least: bool = False
    graded: bool = False
    honest: str = ""


class Check(ABC):
    """One check. Subclasses are frozen dataclasses whose fields say how much it does; class attributes say the rest.

    Attributes:
        name: in records, such as "silent-scan".
        short: what a table calls it, such as "silent channels".
        asks: what it asks and why that tells something, in one or two sentences for the page.
        quick: fields of a smaller audit.
        directions: of the pictures that it looks at, of "max" and "min".
        by_class: whether it needs to know which image is of which class.
        thresholds: what decides.
    """

    name: ClassVar[str]
    short: ClassVar[str]
    asks: ClassVar[str]
    quick: ClassVar[Mapping[str, Any]] = {}
    directions: ClassVar[tuple[str, ...]] = ("max",)
    by_class: ClassVar[bool] = False
    thresholds: ClassVar[tuple[Threshold, ...]] = ()

    @classmethod
    def sized(cls, *, quick: bool) -> "Check":
        """The check as an audit makes it, or a quick one."""
        return cls(**cls.quick) if quick else cls()

    def cost(self, world: World, units: int) -> float:
        """About what it takes, in forward passes: for the time left, before anything is planned."""
        return 0.0

    def functions(self, world: World) -> Mapping[str, Function]:
        """What its jobs call, by name."""
        return {}

    def usable(self, chosen: Chosen) -> None:  # noqa: B027 - most can be made of any
        """See that it can be made alone of these units.

        Raises:
            UsageError: it cannot.
        """

    def summed(
        self, title: str, claim: str, rows: Sequence[UnitRow], *, largest: bool = True, **evidence: Any
    ) -> Finding:
        """The finding that rows come to; its figure is the most telling one of a row.

        Args:
            title: the question that it answers.
            claim: all rows in one sentence.
            rows: of the units.
            largest: whether the largest figure tells most, or the smallest.
            evidence: further plain finite JSON data.
        """
        top = extreme(rows, largest=largest)
        figure, ends = (top.figure, top.interval) if top else (None, None)
        units = [row.as_data() for row in rows]
        return Finding(self.name, title, claim, verdict_of(rows), figure, ends, {"units": units, **evidence})

    @abstractmethod
    def examine(self, study: Study) -> Sequence[Finding]:
        """What it finds; none where there is nothing to compare. Work that takes time belongs in `study.do(job)`."""

    def __call__(
        self,
        model: ModelLike,
        units: str | Iterable[str],
        images: ImagesLike | None = None,
        *,
        steps: int | None = None,
        size: int | tuple[int, int] | None = None,
        seed: int = 0,
        quick: bool = False,
        device: str = "auto",
        preprocess: object = None,
        progress: Watch = True,
    ) -> Finding:
        """The finding of this check alone.

        Args:
            model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
            units: addresses and ranges: "layer:3", "layer/pre:3", "layer:0-9", "layer:*".
            images: natural images, as `snellen.audit` takes them; by default the built-in photographs.
            steps: optimization steps of each picture.
            size: input size in pixels; by default the model's own.
            seed: root of all random numbers.
            quick: fewer images, steps and resamples.
            device: "auto", "cpu" or "cuda". A model in memory is used where it is.
            preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
            progress: False for no bar; or called with (title, done, total).

        Examples:
            >>> finding = snellen.checks.Jumps()("builtin", "classifier:0-1", steps=8, quick=True, progress=False)
            >>> finding.check, finding.verdict
            ('jumps', 'consistent')

        Raises:
            UsageError: no unit has a picture, or too few for the check to compare.
            SnellenError: a bad argument, model, unit or image set.
        """
        options: dict[str, Any] = {"steps": steps, "size": size, "seed": seed, "quick": quick}
        with told(progress, "loading") as tell:
            request, given = asked(model, images, units, device=device, preprocess=preprocess, **options)

            world = open_world(request, given)
            with tempfile.TemporaryDirectory(prefix="snellen-") as folder:
                study = study_of(
                    world,
                    Store(Path(folder) / "blobs"),
                    functions=self.functions(world),
                    directions=self.directions,
                    by_class=self.by_class,
                    usable=self.usable,
                    progress=tell,
                )
                findings = self.examine(study)
        if not findings:
            raise UsageError("expected units that the check can compare, got too few; name at least two of a layer")
        return replace(findings[0], asks=self.asks)


def found(study: Study, job: Job) -> Finding:
    """The finding that a job comes to."""
    return Finding.from_data(study.do(job)["result"])


@dataclass(frozen=True, eq=False)
class Exhibit:
    """What a check of units is shown.

    Args:
        world: model, images and layers.
        units: u of them, each with a picture.
        pictures: (u, 3, h, w) in [0, 1], as they were drawn.
        responses: (u,) of each unit to its picture.
        natural: (u, n) of each unit to every natural image.
        top: for each unit the natural images that excite it most, the best first.
        seed: of the check's random numbers.
        context: of its job: `context.tick(fraction)` tells how far it is.
    """

    world: World
    units: tuple[Unit, ...]
    pictures: Float[Tensor, "u 3 h w"]
    responses: tuple[float, ...]
    natural: Float[ndarray, "u n"]
    top: tuple[tuple[int, ...], ...]
    seed: Seed
    context: Context

    @property
    def model(self) -> Model:
        """The network."""
        return self.world.model

    @property
    def images(self) -> ImageSet:
        """The natural images."""
        return self.world.images


class UnitCheck(Check):
    """A check that looks at all units with a picture in one job, and says something of each.

    Attributes:
        title: the question that its finding answers.
        version: part of its results' keys: raise it when the same units would get other rows.
        largest: whether the largest figure of a unit tells most, or the smallest.
    """

    title: ClassVar[str]
    version: ClassVar[int] = 1
    largest: ClassVar[bool] = True

    @abstractmethod
    def rows(self, exhibit: Exhibit) -> Iterable[UnitRow]:
        """What it says of every unit."""

    @abstractmethod
    def claim(self, rows: Sequence[UnitRow]) -> str:
        """All rows in one sentence."""

    def functions(self, world: World) -> Mapping[str, Function]:
        """The one job."""

        def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
            with fast(world):
                rows = tuple(self.rows(_exhibit(world, spec, context)))
            yield "result", self.summed(self.title, self.claim(rows), rows, largest=self.largest).as_data()

        return {self.name: function}

    def examine(self, study: Study) -> Sequence[Finding]:
        """One finding; none without a picture."""
        if not study.shown:
            return ()
        asked: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)} if is_dataclass(self) else {}
        spec = {
            "world": study.world.identity,
            "units": study.entries,
            "seed": study.world.request.seed,
            "check": {"version": self.version, **asked},
        }
        job = Job(self.name, spec, title=self.short, cost=max(self.cost(study.world, len(study.shown)), 1.0))
        return (found(study, job),)


def _exhibit(world: World, spec: Mapping[str, Any], context: Context) -> Exhibit:
    entries: Sequence[Entry] = spec["units"]
    return Exhibit(
        world,
        tuple(Unit.parse(entry["unit"]) for entry in entries),
        stacked(context, [entry["image"] for entry in entries]),
        tuple(float(entry["response"]) for entry in entries),
        natural_responses(context, entries),
        tuple(tuple(entry["top"]) for entry in entries),
        Seed(spec["seed"]),
        context,
    )
