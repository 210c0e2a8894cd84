"""snellen certify: what a unit's pictures and exemplars guarantee about its response to further images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.images import ImageSet
    from snellen.models import Model, Unit
    from snellen.theory import Evidence
    from snellen.theory.certificate import Certificate
    from snellen.theory.constants import Proof
    from snellen.theory.domain import Array


def certify(
    model: options.Model,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help='"layer:3" or "layer:3@2,4".')],
    *,
    images: Annotated[str, typer.Option("--images", metavar="DIR", help="Natural images.")] = "builtin",
    most: Annotated[int, typer.Option(min=2, help="How many images to read.")] = 200,
    exemplars: Annotated[int, typer.Option(min=0, help="Exemplars at either end that count as evidence.")] = 9,
    steps: Annotated[int, typer.Option(min=1, help="Optimization steps of the two pictures.")] = 128,
    size: options.Size = None,
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    seed: options.Seed = 0,
) -> None:
    """Guaranteed response intervals of a unit, from its pictures and exemplars, checked against its true responses."""
    from snellen.images import open_images
    from snellen.models import units as expand
    from snellen.models.sources import load_model
    from snellen.visualize import exemplars as stream

    loaded = load_model(model, weights=None if weights is None else Path(weights), size=size, trust_pickle=trust_pickle)
    found = expand([unit], loaded)[0]
    shown = open_images(images)
    shown = shown.subset(range(0, len(shown), max(len(shown) // most, 1))[:most])
    proof = _prove(loaded, found)
    _say_proof(found, proof)
    streamed = stream(loaded, shown, [found], most=min(exemplars, len(shown) // 3) or 1)
    chosen = sorted({*streamed.top[0].tolist(), *streamed.bottom[0].tolist()} if exemplars else set())
    pictures = _draw(loaded, found, steps, seed)
    _say(proof, _intervals(loaded, found, proof, (shown, chosen, pictures)))


def _prove(model: "Model", unit: "Unit") -> "Proof":
    """The unit's constant over RGB images in [0, 1]: the network's, times that of the preprocessing."""
    import torch

    from snellen.base import UsageError
    from snellen.theory.constants import Proof, prove_lipschitz

    if unit.pre:
        raise UsageError(f'expected a layer of its own, got "{unit}"; name the layer whose output enters the ReLU')

    example = model.preprocess(torch.zeros(1, 3, *model.size, dtype=model.dtype))
    proof = prove_lipschitz(model.module, example, unit.layer, unit.channel, position=unit.position)
    gain = max(abs(model.preprocess.scale) / s for s in model.preprocess.std)
    return Proof(proof.bound * gain, proof.affine, (("preprocessing", gain), *proof.factors))


def _draw(model: "Model", unit: "Unit", steps: int, seed: int) -> "Tensor":
    import torch

    from snellen.base import Seed
    from snellen.visualize import render

    high = render(model, unit, steps=steps, seeds=Seed(seed), direction="max").images
    low = render(model, unit, steps=steps, seeds=Seed(seed), direction="min").images
    return torch.cat([high, low]).clamp(0, 1)


def _intervals(
    model: "Model", unit: "Unit", proof: "Proof", seen: "tuple[ImageSet, list[int], Tensor]"
) -> "dict[str, Certificate]":
    """What each kind of evidence guarantees for the images that are not evidence themselves."""
    import torch

    from snellen.theory import Affine, Lipschitz
    from snellen.theory.certificate import certify as bound

    shown, chosen, pictures = seen
    loaded = torch.stack([shown.load(i, model.size) for i in range(len(shown))])
    known = torch.cat([pictures, loaded[chosen]])
    asked = loaded[[i for i in range(len(shown)) if i not in set(chosen)]]
    pair = (known, _respond(model, unit, known)), (asked, _respond(model, unit, asked))
    if not proof.affine:
        return {"the two pictures and the exemplars": bound(Lipschitz(proof.bound), *pair)}
    ball, cube = _extremes(model, unit)
    return {
        "the pictures on the ball around the cube of images": bound(Affine(), *pair, evidence=ball),
        "the pictures on the cube": bound(Affine(), *pair, evidence=cube),
    }


def _respond(model: "Model", unit: "Unit", images: "Tensor") -> "Array":
    import torch

    from snellen.models import observe, response

    with torch.no_grad():
        blocks = images.to(device=model.device, dtype=model.dtype).split(16)
        parts = [response(observe(model, block, [unit.address])[unit.address], unit) for block in blocks]
    return torch.cat(parts).double().cpu().numpy()


def _extremes(model: "Model", unit: "Unit") -> "tuple[Evidence, Evidence]":
    """The pictures of an affine unit, which one gradient gives exactly: on the ball through the cube's corners, and on
    the cube itself."""
    import torch

    from snellen.models import observe, response
    from snellen.theory import Ball, Box, Evidence

    grey = torch.full((1, 3, *model.size), 0.5, dtype=model.dtype, device=model.device, requires_grad=True)
    answer = response(observe(model, grey, [unit.address])[unit.address], unit).sum()
    (slope,) = torch.autograd.grad(answer, grey)
    slope = slope.detach()
    radius = 0.5 * slope.numel() ** 0.5
    evidence = []
    for step, domain in (
        (slope * (radius / slope.norm().clamp(min=1e-30)), Ball(_flat(grey), radius * (1 + 1e-6))),
        (0.5 * slope.sign(), Box.unit(slope.numel())),
    ):
        ends = torch.cat([grey.detach() - step, grey.detach() + step])
        low, high = _respond(model, unit, ends).tolist()
        evidence.append(Evidence(domain, _flat(ends[0]), _flat(ends[1]), low, max(low, high), tolerance=1e-5))
    return evidence[0], evidence[1]


def _flat(image: "Tensor") -> "Array":
    return image.detach().cpu().double().numpy().reshape(-1)


def _say_proof(unit: "Unit", proof: "Proof") -> None:
    kind = "an affine function of the image" if proof.affine else "Lipschitz in l2"
    largest = sorted(proof.factors, key=lambda f: -f[1])[:3]
    named = ", ".join(f"{name} {factor:.3g}" for name, factor in largest)
    typer.echo(f"{unit} is {kind}, L <= {proof.bound:.4g} (proved from {len(proof.factors)} layers; largest: {named})")


def _say(proof: "Proof", found: "dict[str, Certificate]") -> None:
    import numpy as np

    for source, certificate in found.items():
        held, count = int(certificate.holds.sum()), len(certificate.truth)
        widths = certificate.relative_width
        typer.echo(f"from {source}:")
        typer.echo(f"  true responses inside the guaranteed interval: {held} of {count}")
        low, median, high = np.quantile(widths, [0, 0.5, 1])
        typer.echo(
            f"  width against the natural range {certificate.natural[0]:.4g} to {certificate.natural[1]:.4g}: "
            f"median {median:.1%}, smallest {low:.1%}, largest {high:.1%}"
        )
        if low >= 0.999:
            typer.echo("  nothing can be guaranteed: every interval covers the whole natural range")
        if np.isfinite(certificate.needed) and median > 0.5:
            typer.echo(
                f"  to halve it for half of the images, L would have to be at most {certificate.needed:.3g} "
                f"(it is {proof.bound:.3g}), or exemplars {proof.bound / certificate.needed:.3g} times nearer"
            )
        if held < count:
            typer.echo("  a response outside its interval contradicts the proof: please report this model")
