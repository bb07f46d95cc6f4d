"""Where the points of a plot lie; the template draws them as SVG, with text that stays text.

Small templates rather than matplotlib: lines, dots and ticks need no plotting library, and a page
that follows the reader's light or dark scheme needs colours from its own style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gluetune.statistics.calibration import Calibration

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 16, 38
_BARS = 24
"""Bars of a histogram at most."""
_DOTS = 600
"""Dots of a scatter plot at most; more would hide each other and swell the page."""


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
class Bar:
    """One bar of a histogram, placed."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Plot:
    """Lines, dots or bars between two axes."""

    title: str
    across: str
    """What the horizontal axis counts."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...] = ()
    dots: tuple[Point, ...] = ()
    bars: tuple[Bar, ...] = ()
    best: float | None = None
    """Where the best epoch stands."""
    diagonal: tuple[Point, Point] | None = None
    """Where both axes say the same."""


def line_plot(
    title: str,
    places: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    best: float | None = None,
    across: str = "epoch",
) -> Plot | None:
    """Return the plot of `series` over `places`, epochs by default; None where none is defined."""
    values = [value for line in series.values() for value in line if value is not None]
    if not values:
        return None
    place, down = _scales(_range(places), _range(values))
    step = max(1, -(-len(places) // 6))
    return Plot(
        title=title,
        across=across,
        lines=tuple(
            Line(name, _segments([place(each) for each in places], line, down))
            for name, line in series.items()
            if any(value is not None for value in line)
        ),
        x_ticks=tuple(Tick(place(each), f"{each:g}") for each in places[::step]),
        y_ticks=_ticks(down, _range(values)),
        best=None if best is None else place(best),
    )


def reliability_plot(title: str, measured: Calibration) -> Plot:
    """Return the share of right answers by the probability that was given."""
    across, down = _scales((0.0, 1.0), (0.0, 1.0))
    curve = tuple(Point(across(one.confidence), down(one.accuracy)) for one in measured.bins)
    return Plot(
        title=title,
        across="probability of the answer",
        lines=(Line("share right", (curve,)),),
        x_ticks=_ticks(across, (0.0, 1.0)),
        y_ticks=_ticks(down, (0.0, 1.0)),
        diagonal=(Point(across(0), down(0)), Point(across(1), down(1))),
    )


def scatter_plot(title: str, labels: Any, answers: Any) -> Plot:
    """Return each answer over its label; of many, every so many-th."""
    step = max(1, -(-len(labels) // _DOTS))
    pairs = [(float(x), float(y)) for x, y in zip(labels[::step], answers[::step], strict=True)]
    ends = _range([value for pair in pairs for value in pair])
    across, down = _scales(ends, ends)
    return Plot(
        title=title,
        across="label",
        dots=tuple(Point(across(x), down(y)) for x, y in pairs),
        x_ticks=_ticks(across, ends),
        y_ticks=_ticks(down, ends),
        diagonal=(Point(across(ends[0]), down(ends[0])), Point(across(ends[1]), down(ends[1]))),
    )


def histogram(title: str, across: str, values: Any) -> Plot:
    """Return how often whole numbers occur, in bars of equal width."""
    import numpy as np

    low, high = int(values.min()), int(values.max())
    width = max(1, -(-(high - low + 1) // _BARS))
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(values, edges)
    place, down = _scales((float(edges[0]), float(edges[-1])), (0.0, float(counts.max())))
    bars = tuple(
        Bar(
            x=place(float(edge)),
            y=down(float(count)),
            width=round(max(place(float(edge + width)) - place(float(edge)) - 1, 1), 1),
            height=round(down(0.0) - down(float(count)), 1),
        )
        for edge, count in zip(edges, counts, strict=False)
    )
    return Plot(
        title=title,
        across=across,
        bars=bars,
        x_ticks=_ticks(place, (float(edges[0]), float(edges[-1]))),
        y_ticks=(Tick(down(0.0), "0"), Tick(down(float(counts.max())), f"{int(counts.max()):,}")),
    )


def seeds_plot(
    title: str,
    groups: Sequence[Sequence[float]],
    *,
    names: Sequence[str] = (),
    across_name: str = "configuration, in the table's order",
) -> Plot | None:
    """Return each seed's score in points, a column a group; None for fewer than two scores.

    Groups are called by `names`; without them by letters, as in the table of configurations.
    """
    scores = [100 * score for group in groups for score in group]
    if len(scores) < 2:
        return None
    across, down = _scales((-0.5, max(len(groups) - 0.5, 0.5)), _range(scores))
    return Plot(
        title=title,
        across=across_name,
        dots=tuple(
            Point(across(number), down(100 * score))
            for number, group in enumerate(groups)
            for score in group
        ),
        x_ticks=tuple(
            Tick(across(number), names[number] if names else plot_letter(number))
            for number in range(len(groups))
        ),
        y_ticks=_ticks(down, _range(scores)),
    )


def plot_letter(number: int) -> str:
    """Return what a configuration is called on a plot and in its table: A, …, Z, A2, …"""
    turn, place = divmod(number, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(turn + 1) if turn else "")


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and highest value, apart even where all are the same."""
    low, high = min(values), max(values)
    margin = abs(low) / 10 or 1.0
    return (low, high) if high > low else (low - margin, high + margin)


_Scale = Callable[[float], float]


def _scales(xs: tuple[float, float], ys: tuple[float, float]) -> tuple[_Scale, _Scale]:
    """Return what places a value along each axis."""

    def across(value: float) -> float:
        share = (value - xs[0]) / (xs[1] - xs[0])
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def down(value: float) -> float:
        share = (value - ys[0]) / (ys[1] - ys[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    return across, down


def _ticks(scale: _Scale, ends: tuple[float, float]) -> tuple[Tick, ...]:
    low, high = ends
    return tuple(Tick(scale(each), tick_text(each)) for each in (low, (low + high) / 2, high))


def tick_text(value: float) -> str:
    """Return a number as it stands at an axis: more than seven characters have no room there."""
    text = f"{value:.3g}"
    if len(text) <= 6:
        return text
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _segments(
    xs: Sequence[float], values: Sequence[float | None], down: _Scale
) -> tuple[tuple[Point, ...], ...]:
    segments: list[list[Point]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None:
            segments.append([])
        else:
            segments[-1].append(Point(x, down(value)))
    return tuple(tuple(each) for each in segments if each)
