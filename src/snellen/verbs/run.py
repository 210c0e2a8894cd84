"""A finished audit as a value: its verdict, findings, units with their pictures, and its report."""

import io
import os
import sys
import webbrowser
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float
from PIL import Image

from snellen.base import RecordError, UnitError, nearest
from snellen.base.markup import Markup, element, figure, grid
from snellen.checks.finding import Finding, badge
from snellen.jobs import Store
from snellen.record import PictureEntry, Record, UnitEntry, read_record

_SHOWN = 24  # units in a notebook
_WIDTH = 132  # of a picture in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Exemplar:
    """A natural image at one end of a unit's responses.

    Args:
        name: of the image in its set.
        response: of the unit to it.
        label: name of its class; None where it has none.
        path: of its thumbnail.
    """

    name: str
    response: float
    label: str | None
    path: Path

    @property
    def image(self) -> Image.Image:
        """The thumbnail."""
        return _opened(self.path)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.response:.4g}>"


class AuditedUnit:
    """What an audit knows of one unit.

    Args:
        folder: of the audit.
        entry: the unit's, in the record.
    """

    def __init__(self, folder: Path, entry: UnitEntry) -> None:
        self._folder, self._entry = folder, entry
        self.address: str = entry.unit
        self.label: str | None = entry.label

    @property
    def verdict(self) -> str:
        """ "suspicious"; else "tells much", "tells something" or "tells nothing"; "unknown" also without a picture."""
        return self._entry.verdict or "unknown"

    @property
    def evidence(self) -> tuple[tuple[str, str], ...]:
        """(check, sentence) pairs behind the verdict, what weighs most first."""
        judgement = self._entry.judgement
        return tuple((reason.check, reason.words) for reason in judgement.evidence) if judgement else ()

    @property
    def status(self) -> str:
        """Of its most exciting picture: "ok", "dead", "diverged", or "missing" where it was not drawn."""
        picture = self._picture("max")
        return "missing" if picture is None else picture.status

    @property
    def picture(self) -> Image.Image | None:
        """The picture that excites it most; None where there is nothing to show."""
        return self.pictures.get("max")

    @property
    def pictures(self) -> dict[str, Image.Image]:
        """Its pictures by direction, "max" and "min"."""
        return {p.direction: _opened(self._folder / p.image) for p in self._entry.pictures if p.image is not None}

    @property
    def response(self) -> float | None:
        """To its most exciting picture; None where there is none."""
        picture = self._picture("max")
        return None if picture is None else picture.response

    @property
    def exemplars(self) -> dict[str, tuple[Exemplar, ...]]:
        """Natural images that excite it most ("top") and least ("bottom"), the most extreme first."""
        ends = {"top": self._entry.exemplars.top, "bottom": self._entry.exemplars.bottom}
        return {
            end: tuple(
                Exemplar(e.id, e.response, e.folder, self._folder / e.image)
                for e in shown
                if e.image is not None and e.response is not None
            )
            for end, shown in ends.items()
        }

    @property
    def responses(self) -> Float[np.ndarray, " n"]:
        """To all natural images, in the order of their set.

        Raises:
            RecordError: the record is of an older version, which did not say where they are, or they are gone.
        """
        key = self._entry.natural.key if self._entry.natural else None
        if key is None:
            raise RecordError(
                f"expected the responses of {self.address} in {self._folder}, got none; run the audit again"
            )
        return np.asarray(Store(self._folder / "blobs").get(key)["responses"], np.float64)

    def _picture(self, direction: str) -> PictureEntry | None:
        return next((picture for picture in self._entry.pictures if picture.direction == direction), None)

    def __repr__(self) -> str:
        response = "none" if self.response is None else f"{self.response:.4g}"
        label = f' "{self.label}"' if self.label else ""
        return f"<{self.address}{label}: {self.verdict}, response {response}>"

    def _repr_html_(self) -> str:
        heading = element("div", element("b", self.address), f" {self.label or ''} ", badge(self.verdict))
        words = [element("li", f"{check}: {said}") for check, said in self.evidence]
        tops = self.exemplars["top"]
        shown = [("most exciting picture", self.pictures.get("max"), self.response)]
        least = self._picture("min")
        shown.append(("least exciting picture", self.pictures.get("min"), least.response if least else None))
        figures = [_figure(image, what, _number(response)) for what, image, response in shown]
        figures += [_figure(e.image, e.label or e.name, _number(e.response)) for e in tops[:4]]
        return element("div", heading, grid(figures), element("ul", *words))


class Units(Mapping[str, AuditedUnit]):
    """The audited units by address; `units["layer4:17"]` also finds `layer4/pre:17`, as inner units are read.

    Args:
        folder: of the audit.
        entries: of the record.
    """

    def __init__(self, folder: Path, entries: Iterable[UnitEntry]) -> None:
        self._known = {entry.unit: AuditedUnit(folder, entry) for entry in entries}

    def __getitem__(self, address: str) -> AuditedUnit:
        found = self._found(address)
        if found is None:
            hint = nearest(str(address), self._known) or f"there are {', '.join(list(self._known)[:5])}"
            raise UnitError(f'expected an audited unit, got "{address}"; {hint}')
        return found

    def get(self, address: str, default: Any = None) -> Any:
        """The unit, or something else where it was not audited."""
        return default if (found := self._found(address)) is None else found

    def _found(self, address: str) -> AuditedUnit | None:
        layer, _, channel = str(address).rpartition(":")
        return self._known.get(address) or self._known.get(f"{layer}/pre:{channel}")

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._found(address) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<{len(self)} audited units: {', '.join(list(self)[:4])}{', ...' if len(self) > 4 else ''}>"

    def _repr_html_(self) -> str:
        units = list(self.values())
        figures = [
            _figure(u.picture, u.label or u.address, _number(u.response), badge(u.verdict)) for u in units[:_SHOWN]
        ]
        more = [element("div", f"and {len(units) - _SHOWN} more")] if len(units) > _SHOWN else []
        return element("div", grid(figures), *more)


class Audit(os.PathLike[str]):
    """The record of an audit in its folder. It serves as the folder's path, too: `audit / "audit.json"`.

    Args:
        folder: that `snellen.audit` wrote.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @cached_property
    def record(self) -> Record:
        """All that the audit wrote down.

        Raises:
            RecordError: there is no record, or it is damaged, of another version, or misses a blob.
        """
        return read_record(self.folder)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Of all checks; the verdict's own comes last."""
        return tuple(Finding.from_data(msgspec.to_builtins(entry)) for entry in self.record.findings)

    @property
    def verdict(self) -> str:
        """On the model: "consistent", "unreliable here", "suspicious" or "unknown"."""
        return next((f.verdict for f in self.findings if f.check == "judgement"), "unknown")

    @cached_property
    def units(self) -> Units:
        """What is known of every audited unit, by address."""
        return Units(self.folder, self.record.units)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.record.status == "complete"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about how the model was loaded, guesses among it."""
        return self.record.model.notes

    @property
    def page(self) -> Path | None:
        """The report's first page; None where no pages were written."""
        path = self.folder / "index.html"
        return path if path.is_file() else None

    def show(self) -> None:
        """Show the verdict, findings and pictures in a notebook; elsewhere open the report in the browser."""
        ipython = sys.modules.get("IPython")
        shell = ipython.get_ipython() if ipython is not None else None
        if getattr(shell, "kernel", None) is not None:
            from IPython.display import display

            display(self)
            return
        if self.page is None:
            raise RecordError(f"expected pages in {self.folder}, got none; make them with snellen.report(audit)")
        webbrowser.open(self.page.resolve().as_uri())

    def __fspath__(self) -> str:
        return str(self.folder)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.folder / name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Audit) and other.folder == self.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    def __repr__(self) -> str:
        state = "" if self.complete else ", not finished"
        return f"<audit of {self.record.model.name}: {self.verdict}, {len(self.units)} units{state}, {self.folder}>"

    def _repr_html_(self) -> str:
        model = self.record.model
        size = "x".join(str(side) for side in model.size)
        heading = element(
            "div",
            element("b", f"{model.name} "),
            badge(self.verdict),
            f" {model.kind}, {size} px, {len(self.units)} units" + ("" if self.complete else ", not finished"),
        )
        notes = [element("div", f"note: {note}", style="opacity:.8") for note in self.notes]
        ordered = sorted(self.findings, key=lambda f: f.check != "judgement")
        findings = [element("li", badge(f.verdict), f" {f.title} ", element("i", f.claim)) for f in ordered]
        page = [] if self.page is None else [element("div", f"report: {self.page}", style="opacity:.7")]
        return element("div", heading, *notes, element("ul", *findings), Markup(self.units._repr_html_()), *page)


def open_audit(folder: str | os.PathLike[str]) -> Audit:
    """The audit in a folder, as `snellen.audit` returned it.

    Examples:
        >>> audit = snellen.open_audit("first")  # that of `snellen.audit`'s example
        >>> audit.verdict
        'unreliable here'

    Raises:
        RecordError: there is no record, or it is damaged, of another version, or misses a blob.
    """
    found = Audit(Path(folder))
    _ = found.record
    return found


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except OSError as error:
        raise RecordError(f"expected a picture at {path}, got {error}; run the audit again") from error


def _number(value: float | None) -> str:
    return "" if value is None else f"response {value:.3g}"


def _figure(image: Image.Image | None, *lines: str) -> Markup:
    if image is None:
        return figure(None, *lines, width=_WIDTH)
    file = io.BytesIO()
    image.save(file, "PNG")
    return figure(file.getvalue(), *lines, width=_WIDTH)
