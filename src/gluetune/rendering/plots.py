"""Places of the parts of a plot; the template draws them as SVG, with text that stays text.

Small templates rather than matplotlib: lines, dots and ticks need no plotting library, and a page
that follows the reader's light or dark scheme needs colours from its own style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from gluetune.core.plots import Ends, Plot, data_ends, round_ticks, share_bounds

if TYPE_CHECKING:
    from gluetune.analysis.scores import Scores

WIDTH, HEIGHT = 320, 206
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 32, 38


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
class Bar:
    """One bar of a histogram, placed."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Drawing:
    """A plot whose parts are placed."""

    title: str
    across: str
    down: str
    names: tuple[str, ...]
    """Of the lines."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[tuple[tuple[Point, ...], ...], ...]
    """Segments of each line: a gap, where a value is undefined, cuts it."""
    dots: tuple[Point, ...]
    bars: tuple[Bar, ...]
    best: float | None
    diagonal: tuple[Point, Point] | None


@dataclass(frozen=True)
class Mark:
    """One source on the axis of a score, in percent of the axis."""

    name: str
    text: str
    places: tuple[float, ...]
    interval: tuple[float, float] | None = None
    """Start and length."""
    own: bool = False


@dataclass(frozen=True)
class Scale:
    """A score, its interval and what it is compared with, on one axis."""

    title: str
    marks: tuple[Mark, ...]
    """The model's own first."""
    ticks: tuple[Tick, ...]


_MOST_SCALES = 3


def scales(scores: Scores) -> tuple[Scale, ...]:
    """Return the score with its metrics, each on an axis with everything that it compares with."""
    found = (_scale(scores, name) for name in scores.scored_names[:_MOST_SCALES])
    return tuple(scale for scale in found if scale is not None)


def _scale(scores: Scores, name: str) -> Scale | None:
    own, interval = scores.values()[name], scores.intervals.get(name)
    others = list(scores.compared(name))
    if own is None or (interval is None and not others):
        return None
    around = [] if interval is None else [interval.low, interval.high]
    values = [own, *around, *(value for _, each in others for value in each)]
    bounds = share_bounds(values) if scores.task.in_points(name) else (-inf, inf)
    ticks = round_ticks(data_ends(values), bounds)
    low, width = ticks[0], ticks[-1] - ticks[0]

    def across(value: float) -> float:
        return round(100 * min(max((value - low) / width, 0.0), 1.0), 2)

    bar = None if interval is None else (across(interval.low), across(interval.high))
    marks = [
        Mark(
            "this run",
            f"{own:.4f}",
            (across(own),),
            None if bar is None else (bar[0], round(bar[1] - bar[0], 2)),
            own=True,
        )
    ]
    marks += [
        Mark(label, _range_text(each), tuple(across(value) for value in each))
        for label, each in others
    ]
    title = scores.task.metric_title(name)
    return Scale(title, tuple(marks), tuple(Tick(across(each), tick_text(each)) for each in ticks))


def _range_text(values: Sequence[float]) -> str:
    low, high = f"{min(values):.4f}", f"{max(values):.4f}"
    return low if low == high else f"{low} to {high}"


def place(plot: Plot) -> Drawing:
    """Return a plot with its parts placed."""
    x_ends, y_ends, y_ticks = _ends(plot)
    across, down = _scales(x_ends, y_ends)
    shared = max(x_ends[0], y_ends[0]), min(x_ends[1], y_ends[1])
    return Drawing(
        title=plot.title,
        across=plot.across,
        down=plot.down,
        names=tuple(line.name for line in plot.lines),
        x_ticks=tuple(Tick(across(at), text) for at, text in plot.ticks) or _ticks(across, x_ends),
        y_ticks=tuple(Tick(down(at), tick_text(at)) for at in y_ticks),
        lines=tuple(_segments(line.points, across, down) for line in plot.lines),
        dots=tuple(Point(across(x), down(y)) for x, y in plot.dots),
        bars=tuple(_bar(each, across, down) for each in plot.bars),
        best=None if plot.best is None else across(plot.best),
        diagonal=(
            Point(across(shared[0]), down(shared[0])),
            Point(across(shared[1]), down(shared[1])),
        )
        if plot.diagonal
        else None,
    )


def _ends(plot: Plot) -> tuple[Ends, Ends, tuple[float, ...]]:
    """Return the ends of both axes, and the marks of the vertical one, which ends at marks."""
    points = [point for line in plot.lines for point in line.points]
    xs = [x for x, _ in (*points, *plot.dots)] + [edge for bar in plot.bars for edge in bar[:2]]
    ys = [y for _, y in (*points, *plot.dots) if y is not None]
    heights = [height for *_, height in plot.bars]
    found = (0.0, max(heights) or 1.0) if heights else data_ends(ys)
    ticks = round_ticks(plot.y_ends or found, plot.bounds)
    low, high = plot.y_ends or (ticks[0], ticks[-1])
    shown = tuple(tick for tick in ticks if low <= tick <= high)
    return plot.x_ends or data_ends(xs), (low, high), shown


def _bar(bar: tuple[float, float, float], across: _Scale, down: _Scale) -> Bar:
    low, high, value = bar
    return Bar(
        x=across(low),
        y=down(value),
        width=round(max(across(high) - across(low) - 1, 1), 1),
        height=round(down(0.0) - down(value), 1),
    )


_Scale = Callable[[float], float]


def _scales(xs: Ends, ys: Ends) -> tuple[_Scale, _Scale]:
    """Return the functions from data to pixels, across and down."""

    def across(value: float) -> float:
        share = (value - xs[0]) / (xs[1] - xs[0])
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def down(value: float) -> float:
        share = (value - ys[0]) / (ys[1] - ys[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    return across, down


def _ticks(scale: _Scale, ends: Ends) -> tuple[Tick, ...]:
    return tuple(
        Tick(scale(each), tick_text(each))
        for each in round_ticks(ends)
        if ends[0] <= each <= ends[1]
    )


def tick_text(value: float) -> str:
    """Return a number as an axis shows it: at most seven characters fit."""
    whole = f"{value:,.0f}"
    text = whole if value == int(value) and len(whole) <= 7 else f"{value:.3g}"
    if len(text) <= 7 and "e" not in text:
        return text
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _segments(
    points: Sequence[tuple[float, float | None]], across: _Scale, down: _Scale
) -> tuple[tuple[Point, ...], ...]:
    segments: list[list[Point]] = [[]]
    for x, y in points:
        if y is None:
            segments.append([])
        else:
            segments[-1].append(Point(across(x), down(y)))
    return tuple(tuple(each) for each in segments if each)
