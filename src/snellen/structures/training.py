"""Training of one network of one structure, which goes on where it was stopped."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from snellen.base import Seed, Tell, silence, write_atomic
from snellen.models.steady import seeded
from snellen.structures.dataset import TrainingSet
from snellen.structures.structure import Structure

PAUSED = "paused.safetensors"
_WARM = 0.06
"""Part of the steps in which the rate rises."""
_SAVED_EVERY = 200
"""Steps between two states that a killed training goes on from, about; they fall on ends of epochs."""


@dataclass(frozen=True)
class Course:
    """How long a network is trained, and on what.

    Args:
        classes: how many.
        size: of the images, a multiple of 8.
        steps: of the optimizer.
        seed: of weights, order and changes.
    """

    classes: int
    size: int = 32
    steps: int = 1800
    seed: int = 0


def train(
    structure: Structure, course: Course, examples: TrainingSet, *, pause: Path | None = None, tell: Tell = silence
) -> nn.Module:
    """The trained network, in eval mode; the same call gives the same one, wherever it was stopped in between.

    Args:
        structure: what is trained.
        course: how long.
        examples: what it learns from.
        pause: a folder that keeps the state of an unfinished training.
        tell: told (title, steps done, all steps).
    """
    root = Seed(course.seed)
    with seeded(root.fork("weights").value % 2**32):  # what numpy takes
        learner = structure.learner(course.classes, course.size)
        learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # which it takes
    trained = [p for p in learner.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=structure.rate, weight_decay=structure.decay)
    step, epoch = _resumed(learner, optimizer, pause)
    saved = step
    while step < course.steps:
        stream = torch.Generator().manual_seed(root.fork("loss", epoch).value)
        for images, labels in examples.batches(structure.batch, root.fork("images", epoch)):
            if step == course.steps:
                break
            _step(structure, (learner, optimizer), (images, labels, stream), step / course.steps)
            step += 1
            tell(f"training {structure.name}", step, course.steps)
        epoch += 1
        if pause is not None and step < course.steps and step - saved >= _SAVED_EVERY:
            saved = step
            _pause(learner, optimizer, pause, {"step": step, "epoch": epoch})
    with seeded(0):  # what is kept may be a network of its own, whose first weights are random
        kept = structure.kept(learner.eval(), course.classes, course.size).eval()
    kept.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] # likewise
    return kept


def _step(
    structure: Structure,
    learning: tuple[nn.Module, torch.optim.Optimizer],
    told: tuple[Tensor, Tensor, torch.Generator],
    done: float,
) -> None:
    (learner, optimizer), (images, labels, stream) = learning, told
    optimizer.param_groups[0]["lr"] = structure.rate * min(1.0, done / _WARM) * 0.5 * (1 + math.cos(math.pi * done))
    learner.train()
    with torch.enable_grad(), _fast():
        loss = structure.loss(learner, images.contiguous(memory_format=torch.channels_last), labels, stream)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@contextlib.contextmanager
def _fast() -> Iterator[None]:
    """Products in bfloat16 where the processor has them, which halves the time."""
    able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) if torch.backends.mkldnn.is_available() else False
    with torch.autocast("cpu", torch.bfloat16, enabled=able):
        yield


def _pause(learner: nn.Module, optimizer: torch.optim.Optimizer, folder: Path, place: Mapping[str, int]) -> None:
    """Write weights, the optimizer's moments and the place in one file."""
    from safetensors.torch import save

    tensors = {f"weights/{name}": t.contiguous() for name, t in learner.state_dict().items()}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"moments/{i}/{name}": torch.as_tensor(value).contiguous() for name, value in state.items()}
    place_told = {name: str(value) for name, value in place.items()}
    write_atomic(folder / PAUSED, save(tensors, metadata=place_told))


def _resumed(learner: nn.Module, optimizer: torch.optim.Optimizer, folder: Path | None) -> tuple[int, int]:
    """The step and the epoch to go on with; what is damaged, or of another network, is begun again."""
    found = None if folder is None else _paused(folder / PAUSED)
    if found is None:
        return 0, 0
    place, tensors = found
    if place.keys() != {"step", "epoch"}:
        return 0, 0
    weights = {n.removeprefix("weights/"): t for n, t in tensors.items() if n.startswith("weights/")}
    own = learner.state_dict()
    if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in own.items()}:
        return 0, 0
    learner.load_state_dict(weights)
    moments: dict[int, dict[str, Tensor]] = {}
    for name in tensors.keys() - {f"weights/{n}" for n in weights}:
        _, i, what = name.split("/")
        moments.setdefault(int(i), {})[what] = tensors[name]
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return place["step"], place["epoch"]


def _paused(path: Path) -> tuple[dict[str, int], dict[str, Tensor]] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            place = {name: int(value) for name, value in (file.metadata() or {}).items()}
            return place, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError):
        return None
