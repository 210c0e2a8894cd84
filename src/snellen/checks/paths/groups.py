"""Which natural images and which pictures belong together: the images of a class, or the top images of a unit."""

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.base import UsageError


@dataclass(frozen=True)
class Group:
    """Natural images that share something, and the pictures that claim to show it.

    Args:
        images: numbers of natural images, each once.
        pictures: numbers of pictures; empty where the group only serves as "others".
    """

    images: tuple[int, ...]
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True)
class Grouping:
    """Groups of one kind. An image may belong to several.

    Args:
        name: "classes", or "LAYER units".
        groups: any number.

    Raises:
        UsageError: a group names an image twice, or an image as a picture.
    """

    name: str
    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        images = {i for group in self.groups for i in group.images}
        for group in self.groups:
            if len(set(group.images)) < len(group.images):
                raise UsageError(f"expected every image once in a group, got {group.images}; drop the repetitions")
            if images.intersection(group.pictures):
                raise UsageError(
                    f"expected pictures apart from images, got {group.pictures}; number pictures after images"
                )

    @property
    def targets(self) -> tuple[Group, ...]:
        """The groups that can be examined: with a picture and at least two images."""
        return tuple(g for g in self.groups if g.pictures and len(g.images) > 1)

    @property
    def others(self) -> tuple[Group, ...]:
        """The remaining groups that have images; they serve in the lower baseline only."""
        targets = self.targets
        return tuple(g for g in self.groups if g.images and g not in targets)


def by_class(labels: Sequence[int], picture_labels: Sequence[int]) -> Grouping:
    """One group for every class; pictures are numbered on from the images.

    Args:
        labels: class of every natural image.
        picture_labels: class of every picture.
    """
    classes = sorted({*labels, *picture_labels})
    return Grouping(
        "classes",
        tuple(
            Group(
                tuple(i for i, label in enumerate(labels) if label == c),
                tuple(len(labels) + i for i, label in enumerate(picture_labels) if label == c),
            )
            for c in classes
        ),
    )


def by_unit(layer: str, tops: Sequence[Sequence[int]], pictures: Sequence[Sequence[int]]) -> Grouping:
    """One group for every unit of a layer: the natural images that excite it most, and its pictures.

    Args:
        layer: name of the layer.
        tops: for every unit its top images.
        pictures: for every unit the numbers of its pictures.

    Raises:
        UsageError: the two differ in length.
    """
    if len(tops) != len(pictures):
        raise UsageError(
            f"expected top images and pictures of the same units, got {len(tops)} and {len(pictures)} units"
        )
    groups = tuple(Group(tuple(t), tuple(p)) for t, p in zip(tops, pictures, strict=True))
    return Grouping(f"{layer} units", groups)
