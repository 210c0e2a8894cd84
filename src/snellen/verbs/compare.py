"""`snellen.compare`: structures trained alike, and what their pictures tell."""

from collections.abc import Iterable
from pathlib import Path

from snellen.base import Note, silence
from snellen.progress import Watch, told
from snellen.reports.comparison import build_comparison
from snellen.structures.comparison import Comparison, run_comparison
from snellen.structures.group import STRUCTURES
from snellen.verbs.train import asked


def compare(
    *,
    structure: str | Iterable[str] | None = None,
    images: str = "builtin:train",
    held: str | None = None,
    out: str | Path = "comparison",
    seeds: int | None = None,
    size: int = 32,
    steps: int | None = None,
    viewer: str = "builtin",
    quick: bool = False,
    progress: Watch = True,
    note: Note | None = None,
) -> Path:
    """Train networks of several structures on the same images, and compare what their pictures tell.

    The folder that it writes can be continued: after a crash or Ctrl-C the same call goes on where it was.

    Args:
        structure: names; by default all that there are. The ordinary network is always among them.
        images: with classes, to train on: a folder of class folders, an .npz file (its train split), or
            "builtin:train".
        held: images to measure with; by default every fifth of a folder's class, the test split of an .npz file.
        out: folder of the table, its page and all networks.
        seeds: networks of each structure, from seed 0 on; by default 3, and 1 with `quick`.
        size: of the images in pixels, a multiple of 8.
        steps: of every training; by default twelve passes over the images, at least 400 steps, and 150 with `quick`.
        viewer: the independent network, as `snellen.load_model` takes it.
        quick: fewer steps, photographs, units and resamples.
        progress: False for no bar; or called with (title, done, total).
        note: told what was damaged and is made again, line by line.

    Returns:
        The path of the page; the table is comparison.json beside it.

    Examples:
        >>> page = snellen.compare(structure="quadratic", steps=4, quick=True, out="beside", progress=False)
        >>> page.name
        'index.html'

    Raises:
        UsageError: no such structure, images without classes, or a folder of another comparison.
        SnellenError: images or the viewer cannot be read, or the folder cannot be written to.
    """
    names = (structure,) if isinstance(structure, str) else tuple(structure or STRUCTURES.parts)
    comparison = Comparison(
        names,
        seeds if seeds is not None else 1 if quick else 3,
        asked(images, held),
        size=size,
        steps=steps if steps is not None else 150 if quick else None,
        viewer=viewer,
        quick=quick,
    )
    folder = Path(out)
    with told(progress, "loading") as tell:
        run_comparison(comparison, folder, tell=tell, wrote=lambda: build_comparison(folder), note=note or silence)
        return build_comparison(folder)
