"""snellen certify: what a unit's pictures and exemplars guarantee about its response to further images."""

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from snellen.certificates.units import Certified
    from snellen.theory.certificate import Certificate


def certify(  # noqa: PLR0913 - a command line's options
    model: options.Model,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help='"layer:3", "layer:3@2,4" or "layer/pre:3".')],
    *,
    images: Annotated[str, typer.Option("--images", metavar="DIR", help="Natural images.")] = "builtin",
    over: Annotated[
        str | None, typer.Option(metavar="LAYER", help="Take the unit as a function of this layer's output.")
    ] = None,
    lipschitz: Annotated[
        float | None,
        typer.Option(metavar="L", min=0, help="Your own l2 Lipschitz constant, not a proved one."),
    ] = None,
    most: Annotated[int, typer.Option(min=2, help="How many images to read.")] = 200,
    exemplars: Annotated[int, typer.Option(min=0, help="Exemplars at either end that count as evidence.")] = 9,
    steps: Annotated[
        int, typer.Option(min=1, callback=options.steps_in_reach, help="Optimization steps of the two pictures.")
    ] = 128,
    pictures: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="K",
            help="Pictures of a class whose structure says what many guarantee (structure:FOLDER, patch-quadratic).",
            show_default=False,
        ),
    ] = None,
    size: options.Size = None,
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
    seed: options.Seed = 0,
) -> None:
    """Guaranteed response intervals of a unit, from its pictures and exemplars, checked against its true responses."""
    from snellen.cli.progress import bar

    with bar("loading") as tell:
        from snellen.verbs.certify import certify as run

        certified = run(
            model,
            unit,
            images=images,
            over=over,
            lipschitz=lipschitz,
            most=most,
            exemplars=exemplars,
            steps=steps,
            pictures=pictures,
            size=size,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            seed=seed,
            progress=tell,
        )
    _say_class(certified)
    shown = list(certified.found.items())
    if certified.known:  # a ladder, of which the last rung tells everything
        _say_ladder(certified)
        shown = shown[-1:]
    for source, certificate in shown:
        _say(certified, source, certificate)


def _say_class(certified: "Certified") -> None:
    if certified.known:
        typer.echo(f"{certified.unit}: {certified.known}")
        typer.echo("  so pictures drawn one after the other, each orthogonal to the earlier, fix a part of it exactly")
        return
    proof = certified.proof
    of = "the image" if certified.over is None else f"the output of {certified.over}"
    if proof is None:
        typer.echo(
            f"{certified.unit}: Lipschitz in l2 over {of}, L = {certified.bound:.4g}: declared by you, NOT proved;"
        )
        typer.echo("  no two of the responses here contradict it, and what follows holds as far as it is true")
    else:
        largest = sorted(proof.factors, key=lambda f: -f[1])[:3]
        named = ", ".join(f"{name} {factor:.3g}" for name, factor in largest) or "no operation in between"
        kind = "an affine function of" if proof.affine else "Lipschitz in l2 over"
        count = len(proof.factors)
        made = f"proved from {count} operation{'s' if count != 1 else ''}"
        typer.echo(f"{certified.unit}: {kind} {of}, L <= {proof.bound:.4g}: {made}")
        typer.echo(f"  largest factors: {named}")
    if proof is not None and proof.affine:
        typer.echo("  so its largest and smallest inputs are known exactly from one gradient; no picture is drawn")
    if certified.pictures is not None:
        high, low = certified.pictures
        typer.echo(f"  responses to the pictures: {high:.4g} to the maximizing, {low:.4g} to the minimizing one")


def _say_ladder(certified: "Certified") -> None:
    """One line for each number of pictures."""
    import numpy as np

    width = max(len(source) for source in certified.found)
    typer.echo("\nshare of the natural range that an interval leaves open, median; true responses inside:")
    for source, certificate in certified.found.items():
        held, count = int(certificate.holds.sum()), len(certificate.truth)
        typer.echo(f"  {source:>{width}}  {np.median(certificate.relative_width):7.2%}  {held} of {count}")


def _say(certified: "Certified", source: str, certificate: "Certificate") -> None:
    import numpy as np

    held, count = int(certificate.holds.sum()), len(certificate.truth)
    low, median, high = np.quantile(certificate.relative_width, [0, 0.5, 1])
    typer.echo(f"\nfrom {source}:")
    typer.echo(f"  true response inside the guaranteed interval: {held} of {count} images")
    typer.echo(
        f"  natural range {certificate.natural[0]:.4g} to {certificate.natural[1]:.4g}; share of it that an interval "
        f"leaves open: median {median:.1%}, smallest {low:.1%}, largest {high:.1%}"
    )
    if held < count and (certified.proof is not None or certified.known):
        typer.echo("  a response outside its interval contradicts the proof: please report this network")
    _say_examples(certified, certificate)
    exact = bool("ball" in source and high <= 1e-3)
    _say_verdict(certified, certificate, (low, median), exact=exact)


def _say_examples(certified: "Certified", certificate: "Certificate") -> None:
    """The images of the smallest, the middle and the largest response."""
    order = certificate.truth.argsort()
    rows = [int(order[i]) for i in dict.fromkeys((0, len(order) // 2, len(order) - 1))]
    width = max(len(certified.names[i]) for i in rows)
    for i in rows:
        guaranteed = f"guaranteed {certificate.lo[i]:9.4g} to {certificate.up[i]:9.4g}"
        typer.echo(f"  {certified.names[i]:<{width}}  {guaranteed}, true {certificate.truth[i]:9.4g}")


def _say_verdict(
    certified: "Certified", certificate: "Certificate", widths: tuple[float, float], *, exact: bool
) -> None:
    import numpy as np

    smallest, median = widths
    affine = certified.proof is not None and certified.proof.affine
    if affine and exact:
        typer.echo("  the unit is identified exactly: on a ball the two pictures are the ends of its slope")
    elif smallest >= 0.999:
        typer.echo("  nothing is guaranteed: every interval covers the whole natural range")
    if certified.known and median > 0.5:
        typer.echo("  what would be needed: more pictures (--pictures K), at most one for each number of an image")
    if affine and median > 0.5:
        typer.echo("  what would be needed: its pictures on a ball instead of a box, or one gradient")
    if np.isfinite(certificate.needed) and median > 0.5:
        typer.echo(
            f"  what would be needed to halve it for half of the images: L at most {certificate.needed:.3g} "
            f"(it is {certified.bound:.3g}), or exemplars {certified.bound / certificate.needed:.3g} times nearer"
        )
