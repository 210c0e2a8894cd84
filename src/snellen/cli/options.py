"""Arguments and options that several commands share."""

from typing import Annotated

import typer

from snellen.base import check_seed, check_steps


def steps_in_reach(steps: int | None) -> int | None:
    """Raises UsageError: more steps than a picture can be drawn in."""
    if steps is not None:
        check_steps(steps)
    return steps


def seed_in_reach(seed: int) -> int:
    """Raises UsageError: not a seed."""
    check_seed(seed)
    return seed


Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help='"builtin", "path/to/file.py:factory", "torchvision:NAME", "timm:NAME" or "transformers:FOLDER".',
        show_default=False,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(min=1, callback=steps_in_reach, help="Optimization steps of each picture.", show_default=False),
]
Size = Annotated[int | None, typer.Option(min=1, metavar="PX", help="Input size; by default the model's own.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute.")]
Seed = Annotated[int, typer.Option(min=0, callback=seed_in_reach, help="Root of all random numbers.")]
Weights = Annotated[
    str | None, typer.Option(metavar="FILE", help="Local weights (safetensors) to load into the model.")
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Read pickled weights, which can run any code on this machine.")
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="The honest network, in code of your own, that a model saved by `snellen deceive` is built from.",
    ),
]
Precision = Annotated[
    str, typer.Option(metavar="float32|bfloat16", help="bfloat16 is faster where the hardware has it.")
]
Compile = Annotated[
    bool,
    typer.Option("--compile", help="Fuse slow layers (response norms); needs a C++ compiler and 20 s at the start."),
]
Canvas = Annotated[str, typer.Option(metavar="fourier|pixel", help="What is optimized.")]
