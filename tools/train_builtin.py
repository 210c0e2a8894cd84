"""Train the built-in network: `python tools/train_builtin.py` writes src/snellen/models/builtin.safetensors.

Random crops of the photographs' train regions; a first part on natural crops, then on adversarial ones (Madry et al.
2018, l2, some of them low-frequency as a visualizer's own steps are), because networks that resist such steps have
pictures that look like something (Engstrom et al. 2019). One thread, one seed: on one machine every run writes the same
bytes. Another processor may round bfloat16 products otherwise; it then differs in the weights, not in what they do.
"""

import argparse
import copy
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from snellen.base import Seed
from snellen.images import open_images
from snellen.images.photographs import PHOTOGRAPHS, photograph
from snellen.images.spectra import COLOR_SQRT
from snellen.models.builtin import SIZE, WEIGHTS, BuiltinNetwork


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        steps: gradient steps.
        batch: crops in each.
        rate: the highest learning rate of AdamW; it warms up and falls along a cosine.
        decay: weight decay.
        smoothing: of the labels.
        natural: part of the steps before the adversary starts; it reaches its reach after another fifth.
        reach: l2 length of adversarial changes at 64 px.
        low: part of the batch whose changes are low-frequency, `low_gain` times as long.
        low_gain: see `low`.
        attacks: gradient steps of the adversary.
        smallest: side of the smallest crop, as a part of the region's shorter side.
        covered: part of the crops on which a square of one colour is laid.
    """

    steps: int = 4500
    batch: int = 32
    rate: float = 3e-3
    decay: float = 0.02
    smoothing: float = 0.1
    natural: float = 0.3
    reach: float = 0.5
    low: float = 0.25
    low_gain: float = 2.0
    attacks: int = 2
    smallest: float = 0.15
    covered: float = 0.2


class Regions:
    """The photographs' train regions at sizes a factor of sqrt(2) apart, so that crops are cut without aliasing."""

    def __init__(self) -> None:
        self.levels = [list(_pyramid(photograph(each).crop(each.region("train")))) for each in PHOTOGRAPHS]

    def draw(self, recipe: Recipe, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        """Crops (n, 3, 64, 64), turned, mirrored, stretched, off-centre, and their labels."""
        labels = torch.randint(len(self.levels), (recipe.batch,), generator=stream)
        u = torch.rand(recipe.batch, 6, generator=stream)
        shapes = torch.tensor([self.levels[k][0].shape[1:] for k in labels], dtype=torch.float32)
        sides = shapes.amin(1) * recipe.smallest ** (1 - u[:, 0])
        depths = (2 * torch.log2(sides / SIZE)).floor().clamp_min(0).int().tolist()
        grids = F.affine_grid(_placed(sides[:, None] / shapes, u), [recipe.batch, 3, SIZE, SIZE], align_corners=False)
        crops = [
            F.grid_sample(self._level(k, depth)[None], grid[None], padding_mode="reflection", align_corners=False)
            for k, depth, grid in zip(labels.tolist(), depths, grids, strict=True)
        ]
        return tinted(torch.cat(crops), stream), labels

    def _level(self, label: int, depth: int) -> Tensor:
        return self.levels[label][min(depth, len(self.levels[label]) - 1)]


def _placed(extent: Tensor, u: Tensor) -> Tensor:
    """Affine maps (n, 2, 3) of crops that take up `extent` (n, 2: vertical, horizontal) of their picture."""
    stretch, angle = torch.exp(0.2 * (u[:, 1] - 0.5)), math.radians(15) * (2 * u[:, 2] - 1)
    mirror = torch.where(u[:, 3] < 0.5, 1.0, -1.0)
    sx, sy = extent[:, 1] * stretch, extent[:, 0] / stretch
    x, y = (2 * u[:, 4] - 1) * (1 - sx).clamp_min(0), (2 * u[:, 5] - 1) * (1 - sy).clamp_min(0)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([mirror * sx * cos, -sx * sin, x], 1), torch.stack([mirror * sy * sin, sy * cos, y], 1)]
    return torch.stack(rows, 1)


def _pyramid(region: Image.Image) -> list[Tensor]:
    steps = max(0, math.floor(2 * math.log2(min(region.size) / SIZE)))
    sizes = [(round(region.width * 2 ** (-k / 2)), round(region.height * 2 ** (-k / 2))) for k in range(steps + 1)]
    levels = [region.resize(size, Image.Resampling.LANCZOS) for size in sizes]
    return [torch.from_numpy(np.array(level)).permute(2, 0, 1).float() / 255 for level in levels]


def tinted(crops: Tensor, stream: torch.Generator) -> Tensor:
    """Saturation, contrast, brightness, now and then blur and noise."""
    u = torch.rand(len(crops), 6, 1, 1, 1, generator=stream)
    grey = crops.mean(1, keepdim=True)
    crops = grey + (crops - grey) * (0.6 + 0.8 * u[:, 0])
    mean = crops.mean((2, 3), keepdim=True)
    crops = mean + (crops - mean) * (0.65 + 0.6 * u[:, 1]) + 0.25 * (u[:, 2] - 0.5)
    blurred = F.avg_pool2d(F.pad(crops, (1, 1, 1, 1), mode="reflect"), 3, 1)
    crops = torch.where(u[:, 3] < 0.2, blurred, crops)
    noise = torch.randn(crops.shape, generator=stream)
    return (crops + 0.04 * noise * u[:, 4] * (u[:, 5] < 0.6)).clamp(0, 1)


def covered(crops: Tensor, part: float, stream: torch.Generator) -> Tensor:
    """Lay a square of a random colour, 8 to 27 pixels wide, on some of the crops."""
    u = torch.rand(len(crops), 4, generator=stream)
    colors = torch.rand(len(crops), 3, generator=stream)
    for i in (u[:, 0] < part).nonzero()[:, 0].tolist():
        side, top, left = 8 + int(20 * u[i, 1]), int((SIZE - 8) * u[i, 2]), int((SIZE - 8) * u[i, 3])
        crops[i, :, top : top + side, left : left + side] = colors[i, :, None, None]
    return crops


def attacked(
    network: nn.Module, batch: tuple[Tensor, Tensor], how: tuple[Recipe, float], stream: torch.Generator
) -> Tensor:
    """Crops moved, within a ball, to where the network errs most."""
    (crops, labels), (recipe, reach) = batch, how
    many = round(recipe.low * len(crops))
    room = torch.full((len(crops), 1, 1, 1), reach)
    room[:many] *= recipe.low_gain

    def along(gradient: Tensor) -> Tensor:
        low = [_smooth(_unit(gradient[:many]))] if many else []
        return _unit(torch.cat([*low, gradient[many:]]))

    change = (
        along(torch.randn(crops.shape, generator=stream)) * room * torch.rand(len(crops), 1, 1, 1, generator=stream)
    )
    for _ in range(recipe.attacks):
        change.requires_grad_()
        loss = F.cross_entropy(logits(network, (crops + change).clamp(0, 1)), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, change)
        change = change.detach() + along(gradient) * room * 1.5 / recipe.attacks
        change = change * (room / _length(change)).clamp_max(1)
    return (crops + change).clamp(0, 1).detach()


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """The network's output, computed in bfloat16 where that is safe."""
    with torch.autocast("cpu", torch.bfloat16):
        output = network(images.contiguous(memory_format=torch.channels_last))
    return output.float()


def _length(batch: Tensor) -> Tensor:
    return batch.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)


def _unit(batch: Tensor) -> Tensor:
    return batch / _length(batch)


def _smooth(batch: Tensor) -> Tensor:
    rows, columns = torch.fft.fftfreq(SIZE)[:, None], torch.fft.rfftfreq(SIZE)[None]
    filtered = torch.fft.irfft2(torch.fft.rfft2(batch) / torch.hypot(rows, columns).clamp_min(1 / SIZE), s=(SIZE, SIZE))
    colors = torch.tensor(COLOR_SQRT)
    return torch.einsum("ncyx,dc->ndyx", filtered, colors @ colors.T)


def train(recipe: Recipe, seed: Seed) -> BuiltinNetwork:
    """The trained network: an exponential average over the last steps, batch normalizations folded."""
    torch.manual_seed(seed.fork("weights").value)
    stream = torch.Generator().manual_seed(seed.fork("crops").value)
    network = BuiltinNetwork(norm=True).to(memory_format=torch.channels_last)
    average, regions = copy.deepcopy(network).eval(), Regions()
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    started = time.time()
    for step in range(recipe.steps):
        done = step / recipe.steps
        optimizer.param_groups[0]["lr"] = recipe.rate * min(1, step / 50) * 0.5 * (1 + math.cos(math.pi * done))
        crops, labels = regions.draw(recipe, stream)
        crops = covered(crops, recipe.covered, stream)
        reach = recipe.reach * min(1.0, max(0.0, done - recipe.natural) / 0.2)
        if reach > 0:
            crops = attacked(network.train(), (crops, labels), (recipe, reach), stream)
        loss = F.cross_entropy(logits(network.train(), crops), labels, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _follow(average, network, min(0.998, (step + 1) / (step + 21)))
        if step % 200 == 199:
            accuracy = measure(average)
            sys.stderr.write(
                f"{step + 1:6d} {time.time() - started:6.0f} s  loss {loss.item():.3f}  held out {accuracy:.3f}\n"
            )
    return average.folded()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mine, theirs in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.dtype.is_floating_point:
            mine.lerp_(theirs, 1 - keep)
        else:
            mine.copy_(theirs)


@torch.no_grad()
def measure(network: nn.Module) -> float:
    """Accuracy on the held-out crops."""
    images = open_images("builtin")
    labels = torch.tensor(images.labels)
    right = [network.eval()(batch).argmax(1) == labels[rows] for rows, batch in images.batches((SIZE, SIZE), 64)]
    return torch.cat(right).float().mean().item()


def main() -> None:
    """Train, store in half precision, read back and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=Recipe().steps)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = train(Recipe(steps=given.steps), Seed(given.seed))
    state = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, given.out)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    sys.stderr.write(f"{given.out}: {given.out.stat().st_size} bytes, held out {measure(network):.4f}\n")


if __name__ == "__main__":
    main()
