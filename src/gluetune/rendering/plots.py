"""Places of the parts of a plot; the template draws them as SVG, with text that stays text.

Small templates rather than matplotlib: lines, dots and ticks need no plotting library, and a page
that follows the reader's light or dark scheme needs colours from its own style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gluetune.core.plots import Ends, Plot, data_ends

WIDTH, HEIGHT = 320, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 16, 38


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


def place(plot: Plot) -> Drawing:
    """Return a plot with its parts placed."""
    x_ends, y_ends = _ends(plot)
    across, down = _scales(x_ends, y_ends)
    shared = max(x_ends[0], y_ends[0]), min(x_ends[1], y_ends[1])
    return Drawing(
        title=plot.title,
        across=plot.across,
        names=tuple(line.name for line in plot.lines),
        x_ticks=tuple(Tick(across(at), text) for at, text in plot.ticks) or _ticks(across, x_ends),
        y_ticks=_count_ticks(down, y_ends) if plot.bars else _ticks(down, y_ends),
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


def _ends(plot: Plot) -> tuple[Ends, Ends]:
    points = [point for line in plot.lines for point in line.points]
    xs = [x for x, _ in (*points, *plot.dots)] + [edge for bar in plot.bars for edge in bar[:2]]
    ys = [y for _, y in (*points, *plot.dots) if y is not None]
    if plot.bars:
        return plot.x_ends or data_ends(xs), (0.0, float(max(count for *_, count in plot.bars)))
    return plot.x_ends or data_ends(xs), plot.y_ends or data_ends(ys)


def _bar(bar: tuple[float, float, int], across: _Scale, down: _Scale) -> Bar:
    low, high, count = bar
    return Bar(
        x=across(low),
        y=down(float(count)),
        width=round(max(across(high) - across(low) - 1, 1), 1),
        height=round(down(0.0) - down(float(count)), 1),
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
    low, high = ends
    return tuple(Tick(scale(each), tick_text(each)) for each in (low, (low + high) / 2, high))


def _count_ticks(scale: _Scale, ends: Ends) -> tuple[Tick, ...]:
    return tuple(Tick(scale(each), f"{int(each):,}") for each in ends)


def tick_text(value: float) -> str:
    """Return a number as an axis shows it: at most seven characters fit."""
    text = f"{value:.3g}"
    if len(text) <= 6:
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
