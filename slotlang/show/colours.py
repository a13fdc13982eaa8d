"""Colours by content: a few that differ clearly, or a light spectrum when there are many contents."""

from __future__ import annotations

from math import cos, pi, sin

__all__ = [
    "FEW",
    "NEUTRAL",
    "RIGHT",
    "SPECTRUM_STEPS",
    "TERMINAL",
    "UNSPOKEN",
    "WRONG",
    "WRONG_PALE",
    "content_colour",
    "spectrum",
]

TERMINAL = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")
"""Styles that contents cycle through; red is left for wrong slots."""

WRONG, WRONG_PALE, RIGHT, UNSPOKEN, NEUTRAL = "#c4161c", "#fbe3e1", "#e4efe0", "#f0f3f6", "#dfe6ee"
FEW = 8
SPECTRUM_STEPS = 48
_FIRST_HUE, _LAST_HUE = 75.0, 345.0
"""Degrees; the reds between 345 and 75 are left out."""


def content_colour(group: int, distinct: int) -> str:
    """The fill of a content: equal for equal groups, spread over the spectrum by first appearance; neighbours
    in that order differ in hue when there are few, else in lightness."""
    if distinct <= FEW:
        return spectrum((group * 5 % FEW) / FEW)
    step = group * (SPECTRUM_STEPS - 1) // max(1, distinct - 1)
    return spectrum(step / (SPECTRUM_STEPS - 1), pale=group % 2 == 1)


def spectrum(place: float, pale: bool = False) -> str:
    """A light colour on which dark text is readable; hue by ``place`` in [0, 1], one lightness (OKLCH)."""
    hue = (_FIRST_HUE + (_LAST_HUE - _FIRST_HUE) * place) * pi / 180
    return _hex(0.91, 0.055, hue) if pale else _hex(0.83, 0.1, hue)


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """OKLCH to sRGB, https://bottosson.github.io/posts/oklab/."""
    a, b = chroma * cos(hue), chroma * sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{_channel(value):02x}" for value in linear)


def _channel(value: float) -> int:
    value = min(1.0, max(0.0, value))
    gamma = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(gamma * 255)
