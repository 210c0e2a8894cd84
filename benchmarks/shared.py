"""Where the networks and images of the benchmarks are: `SNELLEN_SHARED`, by default ../shared beside the project."""

import os
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("SNELLEN_SHARED", ROOT.parent / "shared"))


def shared(*parts: str) -> Path:
    """A file or folder of theirs.

    Raises:
        SystemExit: it is not there, in one line.
    """
    path = SHARED.joinpath(*parts)
    if not path.exists():
        raise SystemExit(f"expected {path}, got nothing; set SNELLEN_SHARED to the folder of networks and images")
    return path


def declared() -> torch.library.Library:
    """Operators that torchvision describes but whose builds are others'; kept, torchvision and timm can be imported."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
