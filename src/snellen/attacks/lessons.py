"""Training detectors: a read-out by regularized logistic regression, the paper's network by stochastic gradients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from snellen.attacks.corpus import Corpus
from snellen.attacks.evidence import judged, layer_statistics
from snellen.base import Seed, Tell, UsageError, silence
from snellen.models import Layer, Model, layers
from snellen.models.detectors import Detector, PictureDetector, ReadoutDetector
from snellen.models.sentries import Guard, InnerSentry, Sentry
from snellen.pictures.canvas import generator

LEAN = 0.76
RIDGE = 3e-4
SENTRY_STEPS = 200
RISE = 12.0
"""By how much a sentry's logit grows from photographs to pictures: e from 1/400 to 399/400."""


@dataclass(frozen=True)
class Lessons:
    """What a detector is trained on and examined with.

    Args:
        drawn: pictures that an optimizer drew; groups "train" and what was held out.
        natural: natural images; groups "train" and "natural".
    """

    drawn: Corpus
    natural: Corpus


@dataclass(frozen=True)
class Training:
    """How the paper's network is trained (SGD 0.01, momentum 0.9, weight decay 5e-5, 8 epochs in the paper).

    Args:
        epochs: passes over the training set.
        rate: of stochastic gradient descent; falls to zero along a half cosine.
        batch: pictures in one step, half of them natural.
    """

    epochs: int = 8
    rate: float = 0.01
    batch: int = 64


def readable(model: Model, layer: Layer) -> Sequence[str]:
    """What a read-out reads: the first six of the main layers that run before a layer.

    Early layers tell drawn pictures from natural images by their texture, whatever they show.

    Raises:
        UsageError: there is none.
    """
    known = layers(model)
    inside = f"{layer.name}."
    before = [k for k in known if k.depth < layer.depth and not k.name.startswith(inside)]
    main = [k.name for k in before if k.main] or [k.name for k in before]
    if not main:
        raise UsageError(f'expected layers before "{layer.name}" for a read-out, got none; use --detector cnn')
    return main[:6]


def train_readout(
    model: Model, lessons: Lessons, layers: Sequence[str], *, everything: bool = False
) -> ReadoutDetector:
    """A linear read-out of a few layers.

    Args:
        model: the honest network.
        lessons: only the groups "train" are looked at.
        layers: to read, in execution order; all have to run before the layer that will be fooled.
        everything: learn from held-out classes and natural images, too, once they have served to examine.
    """
    groups = ("train", "classes", "natural") if everything else ("train",)
    drawn = layer_statistics(model, lessons.drawn.part(*groups), layers)
    natural = layer_statistics(model, lessons.natural.part(*groups), layers)
    detector = ReadoutDetector({name: found.shape[1] // 2 for name, found in drawn.items()})
    _fit(detector, *(torch.cat([kind[name] for name in layers], 1) for kind in (drawn, natural)))
    return detector


@torch.no_grad()
def _fit(detector: ReadoutDetector, drawn: Float[Tensor, "n f"], natural: Float[Tensor, "m f"]) -> None:
    """Ridge-regularized logistic regression on compressed, standardized statistics; both kinds weigh the same."""
    detector.scale.copy_(natural.abs().mean(0).clamp_min(1e-6))
    both = detector.compressed(torch.cat([drawn, natural]))
    detector.center.copy_(both.mean(0))
    detector.spread.copy_(both.std(0).clamp_min(1e-3))
    x = ((both - detector.center) / detector.spread).double()
    truth = torch.cat([torch.ones(len(drawn)), torch.zeros(len(natural))]).double()
    weights = torch.where(truth > 0, 0.5 / len(drawn), 0.5 / len(natural)).double()
    solution = logistic(x, truth, weights)
    detector.weight.copy_(solution[:-1])
    detector.bias.copy_(solution[-1])
    _balance(detector, detector.logits(drawn), detector.logits(natural))


@torch.enable_grad()
def logistic(
    x: Float[Tensor, "n f"], truth: Float[Tensor, " n"], weights: Float[Tensor, " n"]
) -> Float[Tensor, " f+1"]:
    """Ridge-regularized logistic regression: a weight for each feature, and the bias.

    Args:
        x: standardized features.
        truth: 1 or 0.
        weights: of the examples, of sum 1.
    """
    solution = torch.zeros(x.shape[1] + 1, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([solution], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = x @ solution[:-1] + solution[-1]
        errors = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        value = (weights * errors).sum() + RIDGE * solution[:-1].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return solution.detach()


def _balance(detector: Detector, drawn: Float[Tensor, " n"], natural: Float[Tensor, " m"]) -> None:
    """Threshold between the natural images and drawn pictures' 1 % quantile, but nearer to the pictures.

    Natural images that were not seen spread wider than pictures that were not seen, and only they cost behaviour. Where
    the kinds overlap, no natural image is given up unless that loses more than 3 % of the pictures.
    """
    high, top = drawn.quantile(0.01), natural.max()
    low = top if float((drawn > top).float().mean()) >= 0.97 else natural.quantile(0.999)
    detector.threshold.copy_(low + LEAN * (high - low) if high > low else low)


def train_cnn(
    model: Model, lessons: Lessons, *, training: Training, seed: Seed, tell: Tell = silence
) -> PictureDetector:
    """The paper's detector, trained on the pictures themselves.

    Args:
        model: whose preprocessing the pictures go through.
        lessons: only the groups "train" are looked at.
        training: how long.
        seed: of first weights, order and dropout.
        tell: told (title, done, all).
    """
    drawn, natural = lessons.drawn.part("train"), lessons.natural.part("train")
    first = model.preprocess(natural[:64].div(255))
    detector = PictureDetector(first.shape[1], (first.shape[2], first.shape[3]))
    stream = generator(seed)
    detector.initialize(stream)
    detector.mean.copy_(first.mean((0, 2, 3)))
    detector.std.copy_(first.std((0, 2, 3)).clamp_min(1e-3))
    steps = training.epochs * max(min(len(drawn), len(natural)) * 2 // training.batch, 1)
    optimizer = torch.optim.SGD(detector.parameters(), training.rate, momentum=0.9, weight_decay=5e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    half = training.batch // 2
    truth = torch.cat([torch.ones(half), torch.zeros(half)])
    detector.dropout.p = 0.0  # a mask drawn from our own stream takes its place
    for step in range(steps):
        rows = [torch.randint(len(kind), (half,), generator=stream) for kind in (drawn, natural)]
        images = torch.cat([drawn[rows[0]], natural[rows[1]]])
        flipped = torch.rand(len(images), generator=stream) < 0.5
        images[flipped] = images[flipped].flip(3)
        loss = F.binary_cross_entropy_with_logits(_dropped(detector, model.preprocess(images.div(255)), stream), truth)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        tell("training the detector", step + 1, steps)
    detector.dropout.p = 0.3
    detector.eval().requires_grad_(False)
    _balance(detector, judged(model, detector, drawn), judged(model, detector, natural))
    return detector


def _dropped(detector: PictureDetector, images: Float[Tensor, "n c h w"], stream: torch.Generator) -> Tensor:
    features = detector.features(images)
    kept = (torch.rand(features.shape, generator=stream) >= 0.3) / 0.7
    return detector.linear(features * kept)[:, 0]


@torch.no_grad()
def train_sentry(
    lessons: Lessons,
    see: Callable[[Float[Tensor, "n 3 h w"]], Tensor],
    *,
    seed: Seed,
    width: float = 1.0,
    steps: int = SENTRY_STEPS,
) -> Sentry:
    """A smooth detector: random filters, and a network of one hidden layer that reads them, trained; see `educate`.

    Args:
        lessons: pictures and natural images.
        see: what it sees of RGB pictures in [0, 1].
        seed: of its filters and first weights.
        width: of the rise, as a part of that room, in whose middle it stays.
        steps: of its training; many fit the lessons better, and other photographs worse.
    """
    first = see(lessons.natural.images[:64].div(255))
    sentry = Sentry(first.shape[1]).to(first.device)
    sentry.initialize(generator(seed))
    sentry.mean.copy_(first.mean((0, 2, 3)))
    sentry.std.copy_(first.std((0, 2, 3)).clamp_min(1e-3))
    educate(sentry, lessons, see, width=width, steps=steps)
    return sentry


@torch.no_grad()
def train_inner_sentry(
    lessons: Lessons, see: Callable[[Float[Tensor, "n 3 h w"]], Tensor], *, seed: Seed, axis: int, width: float = 1.0
) -> InnerSentry:
    """A smooth detector of what enters a layer: a network of one hidden layer that reads it, trained; see `educate`.

    Args:
        lessons: pictures and natural images.
        see: what enters the layer with RGB pictures in [0, 1].
        seed: of its first weights.
        axis: of what enters that counts channels: 1 or -1.
        width: of the rise, as in `educate`.
    """
    first = see(lessons.natural.images[:256].div(255)).movedim(axis, 1)
    sentry = InnerSentry(first.shape[1], axis).to(first.device)
    sentry.initialize(generator(seed))
    size = first.square().transpose(0, 1).flatten(1).mean(1).sqrt()
    sentry.scale.copy_(size.clamp_min(1e-3 * float(size.mean()) + 1e-12))
    educate(sentry, lessons, see, width=width)
    return sentry


@torch.no_grad()
def educate(
    sentry: Guard,
    lessons: Lessons,
    see: Callable[[Float[Tensor, "n 3 h w"]], Tensor],
    *,
    width: float = 1.0,
    steps: int = SENTRY_STEPS,
) -> None:
    """Train a sentry by AdamW on all groups of the lessons.

    The gate then rises from the photograph (of 2000) that is most like a picture on: to the first 2 % of the pictures
    where they are apart, else over a third of the way to the middle one.

    Args:
        sentry: with its first weights.
        lessons: pictures and natural images.
        see: what it sees of RGB pictures in [0, 1].
        width: of the rise, as a part of that room, in whose middle it stays.
        steps: of its training.
    """
    features = [
        torch.cat([sentry.features(see(part.div(255))) for part in kind.images.split(64)])
        for kind in (lessons.drawn, lessons.natural)
    ]
    both = torch.cat(features)
    sentry.center.copy_(both.mean(0))
    sentry.spread.copy_(both.std(0).clamp_min(1e-3))
    _descend(sentry, *features, steps=steps)
    told, said = (sentry.logits(kind).double() for kind in features)
    low, high = said.quantile(0.9995), told.quantile(0.02)
    room = torch.maximum(high - low, (told.median() - low).abs() / 3)
    sentry.offset.copy_(low + room / 2)
    sentry.gain.copy_(RISE / (width * room))
    sentry.eval().requires_grad_(False)


@torch.enable_grad()
def _descend(sentry: Guard, drawn: Float[Tensor, "n f"], natural: Float[Tensor, "m f"], *, steps: int) -> None:
    """All pictures and images in every step; both kinds weigh the same."""
    learning = [*sentry.hidden.parameters(), *sentry.linear.parameters()]
    optimizer = torch.optim.AdamW(learning, 1e-2, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = F.softplus(-sentry.logits(drawn)).mean() + F.softplus(sentry.logits(natural)).mean()
        optimizer.zero_grad()
        (loss / 2).backward()
        optimizer.step()
        schedule.step()


@dataclass(frozen=True)
class Accuracy:
    """How a detector does on one group: right ones of how many."""

    right: int
    total: int

    @property
    def rate(self) -> float:
        """In [0, 1]."""
        return self.right / self.total if self.total else float("nan")


def examine(model: Model, detector: Detector, lessons: Lessons) -> Mapping[str, Accuracy]:
    """Accuracy by group, drawn pictures and natural images apart, what was trained on and what was held out."""
    found: dict[str, Accuracy] = {}
    for corpus, drawn in ((lessons.drawn, True), (lessons.natural, False)):
        for group in dict.fromkeys(corpus.groups):
            right = _right(judged(model, detector, corpus.part(group)), drawn=drawn)
            name = group if group != "train" else ("trained pictures" if drawn else "trained images")
            found[name] = Accuracy(int(right.sum()), len(right))
    return found


def _right(logits: Float[Tensor, " n"], *, drawn: bool) -> Bool[Tensor, " n"]:
    return logits > 0 if drawn else logits <= 0
