"""`snellen.train`: a network of a structure, trained on images with classes, as a model in a folder."""

from pathlib import Path

from snellen.base import check_seed
from snellen.progress import Watch, told
from snellen.structures.dataset import Split
from snellen.structures.group import STRUCTURES
from snellen.structures.trainer import Trainer


def train(
    structure: str,
    *,
    images: str = "builtin:train",
    held: str | None = None,
    out: str | Path | None = None,
    size: int = 32,
    steps: int | None = None,
    seed: int = 0,
    progress: Watch = True,
) -> Path:
    """Train a network whose structure says something of its pictures; a training that was stopped goes on.

    Args:
        structure: a name, such as "lipschitz"; `snellen plugins structures` lists them.
        images: with classes, to train on: a folder of class folders, an .npz file (its train split), or
            "builtin:train".
        held: images that are left out; by default every fifth of a folder's class, the test split of an .npz file.
        out: folder of the network; by default structures/NAME-SEED.
        size: of the images in pixels, a multiple of 8.
        steps: of the optimizer; by default twelve passes over the images, at least 400 steps.
        seed: root of all random numbers.
        progress: False for no bar; or called with (title, done, total).

    Returns:
        The folder; "structure:FOLDER" is a model for every command.

    Examples:
        >>> folder = snellen.train("quadratic", steps=4, out="small", progress=False)
        >>> snellen.load_model(f"structure:{folder}").size
        (32, 32)

    Raises:
        UsageError: no such structure, images without classes, or a folder of another training.
        SnellenError: images cannot be read, or the folder cannot be written to.
    """
    check_seed(seed)
    made = STRUCTURES.load(structure)()
    folder = Path(out) if out is not None else Path("structures") / f"{structure}-{seed}"
    with told(progress, "loading") as tell:
        training, _ = asked(images, held).open(tell=tell)
        return Trainer(training, size, steps).trained(made, seed, folder, tell=tell)


def asked(images: str, held: str | None) -> Split:
    """What to train on and what to leave out; of the built-in photographs the regions for either."""
    return Split(images, "builtin" if held is None and images == "builtin:train" else held)
