"""A source of models: what a word before a colon stands for."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from snellen.base import ModelError
from snellen.base.plugins import Group
from snellen.models.model import Model
from snellen.models.sources.found import Found
from snellen.models.steady import seeded


@dataclass(frozen=True)
class Source:
    """Models by name: "WORD:NAME" is `find("NAME")`.

    A saved model's honest network may be named by the house's own sources alone, which run no code but a library's.

    Args:
        name: the word.
        what: stands behind the colon, for messages, such as "NAME" or "FOLDER".
        find: the name -> a module that takes RGB in [0, 1], or a `snellen.Model`, or, of the house's own, a `Found`.
    """

    name: str
    what: str
    find: Callable[[str], Found | Model | nn.Module]

    def found(self, name: str) -> Found:
        """What it finds; random numbers start from a fixed seed, so that untrained networks are the same each time.

        Raises:
            ModelError: it is no network.
        """
        with seeded(0):
            made = self.find(name)
        return given(made, name, {"source": self.name}, who=f"{self.name}:{name}")


def given(made: object, name: str, source: dict[str, str], *, who: str) -> Found:
    """What somebody's code gives, as what is known of it.

    Args:
        made: the network.
        name: for people, where the network has none.
        source: where it comes from.
        who: made it, for the error.

    Raises:
        ModelError: it is no network.
    """
    if isinstance(made, Found):
        return made
    if isinstance(made, Model):
        own = name if made.name == Model.name else made.name
        provenance = {**source, **dict(made.provenance)}
        return Found(made.module, own, made.size, "the model", made.preprocess, made.labels, provenance)
    if isinstance(made, nn.Module):
        return Found(made, name, provenance=source)
    raise ModelError(f"expected {who} to return a torch.nn.Module or a snellen.Model, got {type(made).__name__}")


SOURCES: Group[Source] = Group(
    "snellen.sources",
    "source of models",
    Source,
    {
        "torchvision": "snellen.models.sources.hub:TORCHVISION",
        "timm": "snellen.models.sources.hub:TIMM",
        "transformers": "snellen.models.sources.transformers_folder:TRANSFORMERS",
        "structure": "snellen.structures.saved:STRUCTURED",  # a name alone: what is built above models imports them
    },
)
