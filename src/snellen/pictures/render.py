"""The one render loop: many units in one batch, every picture independent of the others."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from snellen.base import LayerError, Seed, UsageError, check_steps
from snellen.models import Model, ModelLike, Unit, open_model, units
from snellen.models.edits import frozen, streamlined
from snellen.models.passes import is_out_of_memory, run
from snellen.models.rectifiers import Rectifiers
from snellen.models.sources.load import pair
from snellen.models.steady import steady
from snellen.models.survey import survey
from snellen.models.taps import observe, tapped
from snellen.pictures.canvas import Canvas, Fourier, generator
from snellen.pictures.heap import roomy_heap
from snellen.pictures.objectives import Objective, magnitudes, scores
from snellen.pictures.sheet import image_of, page, sheet, write
from snellen.pictures.transforms import STANDARD, Transform, draw_numbers, resample
from snellen.progress import counted

Status = Literal["ok", "dead", "diverged", "interrupted"]
Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["ascent", "adam"]
Target = Objective | Unit | str
Progress = Callable[[int], None]
_RATES: dict[Optimizer, float] = {"ascent": 0.15, "adam": 0.05}
_PIXELS = 8 * 224 * 224  # of all pictures that a CPU draws together
_UNDRAWABLE = "it runs under no_grad, inference_mode or a reentrant checkpoint, is quantized, or counts"
_ROUNDING = 3e-5  # of a channel's values: smaller changes of its mean are noise
_MOMENTUM = 0.5  # averages over transforms; with 0.9 pictures lag behind and end up with lower responses


@dataclass(frozen=True)
class Settings:
    """How pictures are optimized. Canvas and transforms are the field's usual ones (lucid, lucent); the steps are not.

    Adam, which lucid and lucent use, divides every coordinate by its own gradients, so that those which hardly matter
    take steps as long as the others: noise of high frequencies is what one sees of them. Here the whole gradient of a
    picture is divided by one number. After as many steps responses are higher (docs/speed.md).

    Args:
        steps: gradient steps.
        rate: the learning rate; by default 0.15 for "ascent" (by how much a step changes the picture before it is
            bounded, root mean square: `Canvas.length`), 0.05 for "adam" (each coordinate of the canvas's state).
        settle: fraction of the steps, in [0, 1], over which the rate falls to zero along a half cosine, and the
            transforms with it to the middle of their ranges. So the last steps improve the picture as it will be shown.
        redirect: steps at the start during which dead rectifiers pass helpful gradients.
        canvas: parameterization.
        transforms: drawn for every picture and step.
        precision: "bfloat16" runs the network under autocast; canvas, transforms and scores stay in float32.
        compiled: let `torch.compile` fuse what is slow in the network, response norms; pays off from a few minutes on.
        optimizer: "ascent": steps along gradients that are scaled to one length for each picture, with a momentum of
            0.5; or "adam".
    """

    steps: int = 512
    rate: float | None = None
    settle: float = 0.5
    redirect: int = 16
    canvas: Canvas = field(default_factory=Fourier)
    transforms: Transform = STANDARD
    precision: Precision = "float32"
    compiled: bool = False
    optimizer: Optimizer = "ascent"

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if not 0 <= self.settle <= 1 or (self.rate is not None and self.rate <= 0) or self.redirect < 0:
            raise UsageError(f"expected settle in [0, 1], rate > 0 and redirect >= 0, got {asdict(self)}")
        if self.optimizer not in _RATES:
            raise UsageError(f'expected the optimizer "ascent" or "adam", got "{self.optimizer}"')

    def learning_rate(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        return (_RATES[self.optimizer] if self.rate is None else self.rate) * self.unsettled(step)

    def unsettled(self, step: int) -> float:
        """By how much rate and transforms are in force at a step, counted from 0: 1, at the end falling to 0."""
        start = (1 - self.settle) * self.steps
        return 1.0 if step < start else 0.5 * (1 + math.cos(math.pi * (step - start) / max(self.steps - start, 1)))


@dataclass(frozen=True)
class Render:
    """What a render returns.

    Args:
        objectives: what was maximized, one for each picture.
        images: RGB in [0, 1], (u, 3, h, w), on the CPU.
        history: score at every step under that step's transform, (u, steps); NaN from where a picture was interrupted.
        responses: score of the untransformed picture, (u,).
        status: "ok"; "dead" (no gradient ever came back: the picture shows nothing); "diverged" (scores or gradients
            became infinite: the last finite picture is kept); "interrupted".
        settings: how they were made.
        snapshots: the pictures as they were before the steps that were asked for, (u, k, 3, h, w); None where none was.
        direction: "max" or "min" of the objectives.
    """

    objectives: tuple[Objective, ...]
    images: Float[Tensor, "u 3 h w"]
    history: Float[Tensor, "u s"]
    responses: Float[Tensor, " u"]
    status: tuple[Status, ...]
    settings: Settings
    snapshots: Float[Tensor, "u k 3 h w"] | None = None
    direction: Literal["max", "min"] = "max"

    def __len__(self) -> int:
        return len(self.objectives)

    def pil(self) -> list[Image.Image]:
        """The pictures as PIL images, in order."""
        return [image_of(picture) for picture in self.images]

    def grid(self, columns: int | None = None) -> Image.Image:
        """All pictures in one image, row by row; by default with about as many columns as rows."""
        return sheet(self.images, columns)

    def save(self, folder: str | Path) -> tuple[Path | None, ...]:
        """Write a PNG for each picture, UNIT-max.png or UNIT-min.png; none, and None, for dead ones.

        Args:
            folder: made if missing; pictures of the same names are replaced.

        Raises:
            OutputError: the folder cannot be written to.
        """
        pairs = zip(self.objectives, self.status, strict=True)
        names = [None if status == "dead" else f"{o}-{self.direction}" for o, status in pairs]
        return write(self.images, names, Path(folder))

    def __repr__(self) -> str:
        told = [f"{lines[0]} ({', '.join(lines[1:])})" for lines in self._lines[:4]]
        more = ", ..." if len(self) > len(told) else ""
        size = "x".join(str(side) for side in self.images.shape[2:])
        return f"<{len(self)} {'picture' if len(self) == 1 else 'pictures'} of {size} px: {', '.join(told)}{more}>"

    def _repr_html_(self) -> str:
        return page(self.images, self._lines)

    @property
    def _lines(self) -> list[tuple[str, ...]]:
        """What is said of each picture: its objective, response, and status."""
        rows = zip(self.objectives, self.responses.tolist(), self.status, strict=True)
        least = ", least" if self.direction == "min" else ""
        return [(f"{o}{least}", f"response {response:.4g}", status) for o, response, status in rows]


@torch.inference_mode(False)  # gradients are on, whatever the caller turned off
def render(
    model: ModelLike,
    targets: Sequence[Target] | Target,
    settings: Settings | None = None,
    *,
    direction: Literal["max", "min"] = "max",
    size: int | tuple[int, int] | None = None,
    preprocess: object = None,
    seeds: Sequence[Seed] | Seed = Seed(0),  # noqa: B008 - a value
    start: Float[Tensor, "u 3 h w"] | None = None,
    batch: int | None = None,
    snapshots: Sequence[int] = (),
    progress: bool | Progress | None = True,
    **changes: Any,
) -> Render:
    """Draws the pictures that excite (or least excite) units most.

    Every picture has its own random streams, forked from its seed by its objective and direction, so it does not depend
    on what it is rendered with (beyond the rounding of batched arithmetic).

    Args:
        model: a word as `load_model` takes it, a `torch.nn.Module` in memory, or a `Model`.
        targets: units, their addresses, or objectives.
        settings: how; `changes` replace single settings: `render(model, "fc:3", steps=64)`.
        direction: "max" or "min" of each target.
        size: height and width of the pictures; by default those of `start`, or the model's.
        preprocess: what a module in memory wants done to RGB in [0, 1], where its library does not say: a
            `snellen.Preprocess`, or torchvision's weights.
        seeds: one for all pictures or one for each.
        start: pictures to start from, instead of noise.
        batch: pictures optimized together; by default `usual_batch`. Halved where memory runs out.
        snapshots: steps, counted from 0, before which the pictures are kept as well.
        progress: True for a bar where somebody watches, False for none; or called with the number of picture-steps just
            done.

    Examples:
        >>> drawn = snellen.render("builtin", ["classifier:0", "classifier:3"], steps=8)
        >>> tuple(drawn.images.shape), drawn.status
        ((2, 3, 64, 64), ('ok', 'ok'))
        >>> difference = snellen.Objective.of("classifier:3") - snellen.Objective.of("classifier:0")
        >>> tuple(snellen.render("builtin", difference, steps=8, size=48).images.shape)
        (1, 3, 48, 48)

    Raises:
        LayerError, UnitError: a target that the model does not have.
        UsageError: settings or numbers of seeds that make no sense.
    """
    settings = _changed(settings or Settings(), changes)
    model = open_model(model, size=None if isinstance(model, Model) else size, preprocess=preprocess)
    listed = [targets] if isinstance(targets, Objective | Unit | str) else list(targets)
    if not listed or direction not in ("max", "min"):
        raise UsageError(f'expected at least one target and "max" or "min", got {len(listed)} and "{direction}"')
    objectives = [Objective.of(t) for t in listed]
    read = [unit.layer for unit in units([str(unit) for o in objectives for unit in o.units], model)]
    for layer in dict.fromkeys([*read, *(layer for o in objectives if not o.units for layer in o.layers)]):
        if not survey(model).layer(layer).drawable:
            raise LayerError(f'expected gradients from "{layer}" to the picture, got none; {_UNDRAWABLE}')
    seeds = [seeds] * len(objectives) if isinstance(seeds, Seed) else list(seeds)
    if len(seeds) != len(objectives) or (start is not None and len(start) != len(objectives)):
        raise UsageError(f"expected one seed and one start for each of {len(objectives)} targets, got {len(seeds)}")
    streams = [s.fork(str(o), direction) for s, o in zip(seeds, objectives, strict=True)]
    signed = [-o for o in objectives] if direction == "min" else objectives
    size = pair(size) or (model.size if start is None else (start.shape[2], start.shape[3]))
    if start is not None and tuple(start.shape[2:]) != tuple(size):
        raise UsageError(f"expected pictures of {size} to start from, got {tuple(start.shape[2:])}; resize them")
    if not all(0 <= step < settings.steps for step in snapshots):
        raise UsageError(f"expected snapshots of steps from 0 to {settings.steps - 1}, got {list(snapshots)}")
    width = usual_batch(model.device.type, size) if batch is None else batch
    if width < 1:
        raise UsageError(f"expected a batch of at least 1 picture, got {width}")
    parts: list[_Batch] = []
    with counted(progress, "drawing", len(objectives) * settings.steps) as count, steady(model.module):
        for i in range(0, len(objectives), width):
            rows = slice(i, i + width)
            first = None if start is None else start[rows]
            part = _Batch(model, signed[rows], streams[rows], settings, size=size, start=first, snapshots=snapshots)
            parts.append(part)
            if part.optimize(count):
                break
        return _collected(objectives[: sum(len(p.objectives) for p in parts)], parts, settings, direction)


def usual_batch(device: str, size: tuple[int, int]) -> int:
    """How many pictures are drawn together: on a CPU eight of 224 px, more of smaller ones (docs/speed.md); else 32.

    Args:
        device: "cpu" or another.
        size: height and width of the pictures.
    """
    return min(max(_PIXELS // (size[0] * size[1]), 4), 32) if device == "cpu" else 32


class _Batch:
    """Pictures that go through the network together, and all that is known of them so far."""

    def __init__(
        self,
        model: Model,
        objectives: Sequence[Objective],
        streams: Sequence[Seed],
        settings: Settings,
        *,
        size: tuple[int, int],
        start: Tensor | None,
        snapshots: Sequence[int] = (),
    ) -> None:
        self.model, self.objectives, self.settings, self.size = model, list(objectives), settings, size
        canvas, device = settings.canvas, model.device
        first = canvas.start(size, [s.fork("canvas") for s in streams]) if start is None else canvas.fit(start)
        self.state = first.to(device=device, dtype=model.dtype).contiguous()
        drawn = draw_numbers(settings.transforms, [generator(s.fork("transforms")) for s in streams], settings.steps)
        force = torch.tensor([settings.unsettled(step) for step in range(settings.steps)], dtype=drawn.dtype)
        self.numbers = 0.5 + (drawn - 0.5) * force[:, None]
        count = len(self.objectives)
        self.history = torch.full((count, settings.steps), math.nan)
        self.alive = torch.zeros(count, dtype=torch.bool)
        self.diverged = torch.zeros(count, dtype=torch.bool)
        self._magnitudes = torch.zeros(count)
        self.interrupted = False
        self.width = count
        wanted = sorted(set(snapshots))
        self.kept = torch.full((count, len(wanted), 3, *size), math.nan) if wanted else None
        self._wanted = {step: i for i, step in enumerate(wanted)}
        self._reentrant = False
        self._known = survey(model, size)
        self._format = torch.channels_last if self._known.fast else torch.contiguous_format

    def optimize(self, progress: Progress | None) -> bool:
        """All steps; True where a person interrupted them."""
        optimizer = _optimizer(self.state, self.settings)
        redirect = min(self.settings.redirect, self.settings.steps // 2)
        try:
            with self._prepared(self.settings.precision, compiled=self.settings.compiled):
                for step in range(self.settings.steps):
                    self._keep(step)
                    optimizer.param_groups[0]["lr"] = self.settings.learning_rate(step)
                    with Rectifiers(redirect=True) if step < redirect else contextlib.nullcontext():
                        self.state.grad = self._gradients(step, final=step >= redirect)
                    _halt(optimizer, self.state, self.diverged)
                    optimizer.step()
                    if progress is not None:
                        progress(len(self.objectives))
        except KeyboardInterrupt:
            self.interrupted = True
        return self.interrupted

    @torch.no_grad()
    def _keep(self, step: int) -> None:
        if self.kept is not None and step in self._wanted:
            self.kept[:, self._wanted[step]] = self.settings.canvas.draw(self.state, self.size).cpu().float()

    def _gradients(self, step: int, *, final: bool) -> Tensor:
        parts, i = [], 0
        while i < len(self.objectives):
            rows = slice(i, i + self.width)
            try:
                values, part = self._scored(rows, step)
            except Exception as error:
                if not is_out_of_memory(error) or self.width == 1:
                    raise
                self.width = math.ceil(self.width / 2)
                continue
            parts.append(part)
            self.history[rows, step] = values
            i += self.width
        gradient = parts[0] if len(parts) == 1 else torch.cat(parts)
        length = torch.linalg.vector_norm(gradient.flatten(1), 1, dim=1).cpu()
        self.diverged |= ~torch.isfinite(length + self.history[:, step])
        if final and not bool(self.alive.all()):
            self.alive |= self._matters(gradient, length)
        if self.settings.optimizer == "ascent":
            change = self.settings.canvas.length(gradient, self.size)
            gradient /= change.view(-1, *(1,) * (gradient.dim() - 1)) + 1e-16
        if bool(self.diverged.any()):
            gradient[self.diverged.to(gradient.device)] = 0.0
        return gradient

    def _matters(self, gradient: Tensor, length: Tensor) -> Tensor:
        """Whether a usual step along the gradient changes a score by more than rounding does, (u,)."""
        change = self.settings.canvas.length(gradient, self.size)
        gain = _RATES["ascent"] * gradient.flatten(1).square().sum(1) / (change + 1e-30)
        return (length != 0) & (gain.cpu() > _ROUNDING * self._magnitudes)

    def _scored(self, rows: slice, step: int) -> tuple[Tensor, Tensor]:
        state = self.state[rows].detach().requires_grad_()
        images = self.settings.canvas.draw(state, self.size)
        moves = self.settings.transforms.matrices(self.numbers[rows, step], self.size)
        values = self._respond(resample(images, moves), rows)
        if self._reentrant:
            (-values.sum()).backward()
            return values.detach().cpu().float(), torch.zeros_like(state) if state.grad is None else state.grad
        try:
            (gradient,) = torch.autograd.grad(-values.sum(), state)
        except RuntimeError as error:
            if "use_reentrant" not in str(error):
                raise
            self._reentrant = True  # reentrant checkpoints refuse any other way than backward()
            return self._scored(rows, step)
        return values.detach().cpu().float(), gradient

    def _respond(self, images: Tensor, rows: slice) -> Tensor:
        objectives = self.objectives[rows]
        addresses = sorted({a for o in objectives for a in o.addresses})
        with contextlib.ExitStack() as stack:
            found: dict[str, Tensor] = {}
            stack.enter_context(tapped(self.model, addresses, found, like=images, known=self._known))
            if self.settings.precision == "bfloat16":
                stack.enter_context(torch.autocast(images.device.type, dtype=torch.bfloat16))
            run(self.model, images.contiguous(memory_format=self._format))
        values = scores(objectives, found)
        if not bool(self.alive.all()):
            self._magnitudes[rows] = magnitudes(objectives, found).cpu()
        if not values.requires_grad:
            raise LayerError(f"expected gradients from {', '.join(addresses)} to the picture, got none; {_UNDRAWABLE}")
        return values

    @contextlib.contextmanager
    def _prepared(self, precision: Precision, *, compiled: bool = False) -> Iterator[None]:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        module = self.model.module
        with roomy_heap(), frozen(module), contextlib.ExitStack() as stack:
            if self._known.fast:
                stack.enter_context(streamlined(module, dtype=dtype, compiled=compiled))
            yield

    @torch.no_grad()
    def finish(self) -> tuple[Tensor, Tensor]:
        """The pictures and their scores as they are, in full precision."""
        images = self.settings.canvas.draw(self.state, self.size)
        with self._prepared("float32"):
            plain = [self._plain(images[i : i + self.width], i) for i in range(0, len(images), self.width)]
        return images.cpu().float(), torch.cat(plain)

    def _plain(self, images: Tensor, first: int) -> Tensor:
        chosen = self.objectives[first : first + self.width]
        addresses = sorted({a for o in chosen for a in o.addresses})
        return scores(chosen, observe(self.model, images, addresses, known=self._known)).cpu().float()

    def status(self) -> list[Status]:
        """What became of each picture."""
        if self.interrupted:
            return ["interrupted"] * len(self.objectives)
        pairs = zip(self.diverged.tolist(), self.alive.tolist(), strict=True)
        return ["diverged" if bad else "ok" if alive else "dead" for bad, alive in pairs]


def _collected(objectives: list[Objective], parts: list[_Batch], settings: Settings, direction: str) -> Render:
    sign = -1.0 if direction == "min" else 1.0
    kept = [part.kept for part in parts if part.kept is not None]
    drawn = [part.finish() for part in parts]
    return Render(
        objectives=tuple(objectives),
        images=torch.cat([images for images, _ in drawn]),
        history=torch.cat([part.history for part in parts]) * sign,
        responses=torch.cat([plain for _, plain in drawn]) * sign,
        status=tuple(s for part in parts for s in part.status()),
        settings=settings,
        snapshots=torch.cat(kept) if kept else None,
        direction="min" if direction == "min" else "max",
    )


def _optimizer(state: Tensor, settings: Settings) -> torch.optim.Optimizer:
    """Its rate is set before every step."""
    if settings.optimizer == "ascent":  # gradients come scaled
        return torch.optim.SGD([state], momentum=_MOMENTUM, dampening=_MOMENTUM, fused=True)
    return torch.optim.Adam([state], eps=1e-16, fused=True)


def _halt(optimizer: torch.optim.Optimizer, state: Tensor, diverged: Tensor) -> None:
    """Forget the momentum of pictures that diverged, so that they stay as they are."""
    if bool(diverged.any()):
        for name, value in optimizer.state.get(state, {}).items():
            if name in ("exp_avg", "momentum_buffer"):
                value[diverged.to(value.device)] = 0.0


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    known = {f.name: getattr(settings, f.name) for f in fields(Settings)}
    unknown = set(changes) - set(known)
    if unknown:
        raise UsageError(f"expected settings among {', '.join(known)}, got {', '.join(sorted(unknown))}")
    return Settings(**{**known, **changes})
