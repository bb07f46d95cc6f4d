"""Where the points of a plot lie; the template draws them as SVG, with text that stays text.

Small templates rather than matplotlib: lines and ticks need no plotting library, and a page that
follows the reader's light or dark scheme needs colours from its own style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 320, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 34


@dataclass(frozen=True)
class Tick:
    """A mark on an axis, in the plot's units, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """A value, placed."""

    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """One series. A gap in it, where a value is undefined, cuts it into several segments."""

    name: str
    segments: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True)
class Plot:
    """A plot of lines over epochs."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    best: float | None
    """Where the best epoch stands, or None."""


def epoch_plot(
    title: str,
    epochs: Sequence[float],
    series: dict[str, Sequence[float | None]],
    best: float | None = None,
) -> Plot | None:
    """Return the plot of `series` over `epochs`; None where no value is defined."""
    values = [value for line in series.values() for value in line if value is not None]
    if not values:
        return None
    low, high = _range(values)
    first, last = _range(epochs)

    def across(epoch: float) -> float:
        return round(_LEFT + (epoch - first) / (last - first) * (WIDTH - _LEFT - _RIGHT), 2)

    def down(value: float) -> float:
        share = (value - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 2)

    step = max(1, -(-len(epochs) // 6))
    return Plot(
        title=title,
        lines=tuple(
            Line(name, _segments([across(each) for each in epochs], line, down))
            for name, line in series.items()
            if any(value is not None for value in line)
        ),
        x_ticks=tuple(Tick(across(each), f"{each:g}") for each in epochs[::step]),
        y_ticks=tuple(Tick(down(each), f"{each:.3g}") for each in (low, (low + high) / 2, high)),
        best=None if best is None else across(best),
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and highest value, apart even where all are the same."""
    low, high = min(values), max(values)
    margin = abs(low) / 10 or 1.0
    return (low, high) if high > low else (low - margin, high + margin)


def _segments(
    xs: Sequence[float], values: Sequence[float | None], down: Callable[[float], float]
) -> tuple[tuple[Point, ...], ...]:
    segments: list[list[Point]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None:
            segments.append([])
        else:
            segments[-1].append(Point(x, down(value)))
    return tuple(tuple(each) for each in segments if each)
