"""The style sheet's colours: enough contrast for text, and told apart by people who are colour-blind."""

import re
from pathlib import Path

import numpy as np
import pytest

import snellen.reports

CSS = (Path(snellen.reports.__file__).parent / "templates" / "report.css").read_text()
ROOTS = re.findall(r":root \{(.*?)\}", CSS, re.S)
THEMES = dict(zip(("light", "dark", "print"), ROOTS, strict=True))

# Viénot, Brettel and Mollon (1999): what people without L or without M cones see, in linear RGB.
BLINDNESS = {
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def colours(theme: str) -> dict[str, np.ndarray]:
    """Linear RGB of every opaque colour of a theme."""
    found = {}
    for name, digits in re.findall(r"--([\w-]+): #([0-9a-f]+)\b", THEMES[theme]):
        wide = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
        if len(wide) == 6:
            srgb = np.array([int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)])
            found[name] = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return found


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """WCAG 2's contrast ratio."""
    light, dark = sorted((float(c @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_ruler_itself() -> None:
    assert contrast(np.ones(3), np.zeros(3)) == pytest.approx(21)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["paper", "sunk"])
@pytest.mark.parametrize("text", ["ink", "quiet", "link", "picture", "natural"])
def test_text_has_aa_contrast(theme: str, ground: str, text: str) -> None:
    assert contrast(colours(theme)[text], colours(theme)[ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_lines_have_graphics_contrast(theme: str) -> None:
    assert contrast(colours(theme)["picture-fill"], colours(theme)["paper"]) >= 3
    assert contrast(colours(theme)["natural"], colours(theme)["paper"]) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", BLINDNESS)
def test_pictures_and_photographs_stay_distinct(theme: str, kind: str) -> None:
    seen = [np.clip(BLINDNESS[kind] @ colours(theme)[name], 0, 1) ** (1 / 2.4) for name in ("picture", "natural")]
    assert np.linalg.norm(seen[0] - seen[1]) > 0.3
