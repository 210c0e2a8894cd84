"""Evidence of a finding in the forms that somebody reads: a check may write further ones, which stay plain data."""

from collections.abc import Mapping

from msgspec import Struct

from snellen.record.numbers import Count, Number, Whole


class Row(Struct, frozen=True, kw_only=True):
    """What a check says of one unit.

    Args:
        unit: its address.
        words: one plain sentence with the figure.
        figure: None where it cannot be had.
        strength: of the evidence of manipulation: 0, 1 or 2.
        coarse: responses at even places on the way from a photograph to the picture; none where no way was gone.
        place: of the largest jump on that way, 0 to 1.
    """

    unit: str
    words: str
    figure: Number | None
    strength: Whole
    coarse: tuple[Number, ...] = ()
    place: Number | None = None

    def __post_init__(self) -> None:
        if self.figure is not None and bool(self.coarse) is (self.place is None):
            raise ValueError("expected coarse and place of a way, got one of the two")


class Rows(Struct, frozen=True):
    """What a check says of every unit."""

    units: tuple[Row, ...]


class Score(Struct, frozen=True):
    """How well a prediction fits responses to photographs that were held out.

    Args:
        spearman: rank correlation.
        auprc: area under precision and recall of the photographs that excite a unit most.
        choice: how often, of one of these and one of those that excite it least, the right one is named.
        lo, hi: interval of the rank correlation, where there is one.
        p: share of other units' pictures that do as well.
    """

    spearman: Number | None
    auprc: Number | None = None
    choice: Number | None = None
    lo: Number | None = None
    hi: Number | None = None
    p: Number | None = None


class Scores(Struct, frozen=True):
    """What a viewer predicts of a unit from its pictures, from as many photographs, from others, and at best."""

    pictures: Score
    photographs: Score
    others: Score | None
    ceiling: Score


class Certified(Struct, frozen=True):
    """Intervals that hold a new photograph's response with a stated probability.

    Args:
        radius: half of the interval around the prediction from pictures.
        constant: half of that around a constant.
        width, constant_width: the intervals as parts of the range of natural responses.
        coverage: share of held-out photographs inside.
    """

    radius: Number | None
    constant: Number | None
    width: Number | None
    constant_width: Number | None
    coverage: Number | None


class Told(Struct, frozen=True, kw_only=True):
    """What a unit's pictures tell a viewer.

    Args:
        unit: its address.
        words: all of it in a sentence.
        figure: rank correlation of the prediction with the response; None where too little is known.
        interval: its 95 % interval.
        viewer: the one that is shown; "" likewise.
        tells: "tells much", "tells something", "tells nothing"; "" likewise.
        told: the pictures' score over that of as many photographs; None where these tell nothing.
        scores: by viewer.
        certified: of the viewer that is shown.
    """

    unit: str
    words: str
    figure: Number | None
    interval: tuple[Number, Number] | None = None
    viewer: str = ""
    tells: str = ""
    told: Number | None = None
    scores: dict[str, Scores] = {}
    certified: Certified | None = None

    def __post_init__(self) -> None:
        if self.figure is not None and self.viewer not in self.scores:
            raise ValueError("expected scores of the viewer that is shown, got none")


class Sorting(Struct, frozen=True, kw_only=True):
    """How often a viewer of class pictures puts a photograph into the class that the network does.

    Args:
        viewer: whose eyes.
        classes: how many pictures of classes it knows.
        photographs: that it is asked about.
        pictures: share that it sorts as the network does.
        lo, hi: its interval.
        by_photographs: the same share for one photograph a class.
        chance: the share that both would agree on if they had nothing to do with each other.
    """

    viewer: str
    classes: Count
    photographs: Count
    pictures: Number
    lo: Number
    hi: Number
    by_photographs: Number
    chance: Number


class DecodingEvidence(Struct, frozen=True, kw_only=True):
    """What the pictures tell.

    Args:
        units: one by one.
        viewers: names of all.
        shown: by layer the viewer that is shown.
        sorting: of classes; None where there are fewer than two.
        photographs: how many a viewer may learn from, "reference", and is asked about, "held out".
        level: probability of the certified intervals.
        share: of what photographs tell, from which on a picture tells much.
    """

    units: tuple[Told, ...]
    viewers: tuple[str, ...]
    shown: dict[str, str]
    sorting: Sorting | None
    photographs: dict[str, Count]
    level: Number
    share: Number


class Series(Struct, frozen=True):
    """A normalized similarity by layer with its interval; None where it is undefined."""

    s: tuple[Number | None, ...]
    lo: tuple[Number | None, ...]
    hi: tuple[Number | None, ...]


class Ceiling(Struct, frozen=True):
    """The same for a photograph in the picture's place."""

    mean: tuple[Number | None, ...]
    lo: tuple[Number | None, ...]
    hi: tuple[Number | None, ...]


class Raw(Struct, frozen=True):
    """Similarities by layer that a series is made of: of pictures, of photographs of one kind, of different kinds."""

    picture: tuple[Number | None, ...]
    same: tuple[Number | None, ...]
    other: tuple[Number | None, ...]


class PathEvidence(Struct, frozen=True, kw_only=True):
    """What the similarity of paths was measured to be, by metric ("spearman" at least) and layer.

    Args:
        group: "classes" or "LAYER units".
        layers: from the input to the output.
        curves: normalized similarity.
        raw: what it is made of.
        ceiling: the same of photographs.
        images: that were compared.
        classes: of them; None where they have none.
        resamples: of the bootstrap.
        trusted_from: the layer from which on pictures count as processed like photographs; None for none.
        threshold: from which similarity on they do.
    """

    group: str
    layers: tuple[str, ...]
    curves: dict[str, Series]
    raw: dict[str, Raw]
    ceiling: dict[str, Ceiling]
    images: Count
    classes: Count | None = None
    resamples: Count = 0
    trusted_from: str | None
    threshold: Number

    def __post_init__(self) -> None:
        if "spearman" not in self.curves:
            raise ValueError("expected curves.spearman, got nothing")
        for field in ("curves", "raw", "ceiling"):
            measured: Mapping[str, Struct] = getattr(self, field)
            for metric, told in measured.items():
                for part in told.__struct_fields__:
                    if (count := len(getattr(told, part))) != len(self.layers):
                        raise ValueError(
                            f"expected {field}.{metric}.{part} to have {len(self.layers)} items, got {count}"
                        )


class GateEntry(Struct, frozen=True, kw_only=True):
    """A gate with silent channels or switches.

    Args:
        gate: its name.
        channels: that it has.
        silent: channels that some picture moves out of all proportion to photographs, or at all where those do not.
        switches: channels that are at one value for photographs and at another for pictures.
        listed: some of these channels.
        rests_at: the middle of what photographs do to it, at the median channel.
        reaches: the farthest value that a picture drives a channel to.
    """

    gate: str
    channels: Count
    silent: Count
    switches: Count
    listed: tuple[Count, ...]
    rests_at: Number | None
    reaches: Number | None


class Scan(Struct, frozen=True):
    """Gates that a scan found, and how many photographs and pictures went through them."""

    gates: tuple[GateEntry, ...]
    images: Count
    pictures: Count


class Reference(Struct, frozen=True):
    """Similarity of paths of the class pictures at the last layer, and its lowest and highest in honest networks."""

    last: Number | None
    honest: tuple[Number, Number]


class Summary(Struct, frozen=True):
    """The verdict's own evidence: the claims that led to it, and where the class pictures end."""

    reasons: tuple[str, ...]
    paths: Reference | None = None
