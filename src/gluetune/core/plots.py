"""A plot as a value: what is drawn, in the units of the data.

Its place on a page is decided by `rendering/plots.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10
from string import ascii_uppercase
from typing import Any

_BARS = 24
"""Maximum number of bars of a histogram."""
_DOTS = 600
"""Maximum number of dots of a scatter plot; more would hide each other and swell the page."""

_STEPS = 4
"""Maximum number of steps between the lowest and the highest value of an axis."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One series: values over places; None where one is undefined."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class Plot:
    """Lines, dots or bars between two axes."""

    title: str
    across: str
    """What the horizontal axis counts."""
    down: str = ""
    """What the vertical axis measures, with its unit."""
    lines: tuple[Line, ...] = ()
    dots: tuple[tuple[float, float], ...] = ()
    bars: tuple[tuple[float, float, float], ...] = ()
    """Left edge, right edge and height; heights start at 0."""
    best: float | None = None
    """Place of the best epoch."""
    diagonal: bool = False
    """Whether the line is drawn on which both axes have the same value."""
    ticks: tuple[tuple[float, str], ...] = ()
    """Marks on the horizontal axis; round numbers without any."""
    x_ends: Ends | None = None
    y_ends: Ends | None = None
    """Ends of the axes; those of the data unless given, the vertical ones at round numbers."""
    bounds: Ends = (-inf, inf)
    """What the vertical axis cannot exceed, such as 0 to 100 points."""
    name: str = ""
    """Key in a set of plots."""

    def to_dict(self) -> dict[str, Any]:
        """Return the plot as JSON has it."""
        return {
            "title": self.title,
            "across": self.across,
            "lines": {line.name: [list(point) for point in line.points] for line in self.lines},
            "dots": [list(dot) for dot in self.dots],
            "bars": [list(bar) for bar in self.bars],
        }

    def named(self, name: str) -> Plot:
        """Return the plot with this key."""
        return dataclasses.replace(self, name=name)


def line_plot(
    title: str,
    places: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    best: float | None = None,
    across: str = "epoch",
    down: str = "",
    bounds: Ends = (-inf, inf),
) -> Plot | None:
    """Return the plot of `series` over `places`, epochs by default; None where none is defined.

    All series are of one measure, which `down` names.
    """
    lines = tuple(
        Line(name, tuple(zip(places, values, strict=True)))
        for name, values in series.items()
        if any(value is not None for value in values)
    )
    if not lines:
        return None
    step = max(1, -(-len(places) // 6)) if across == "epoch" else len(places)
    ticks = tuple((place, f"{place:g}") for place in places[::step]) if step < len(places) else ()
    return Plot(title, across, down, lines, best=best, ticks=ticks, bounds=bounds)


def scatter_plot(title: str, across: str, down: str, xs: Any, ys: Any) -> Plot:
    """Return a scatter plot of two values in the same units; of many points, every n-th."""
    step = max(1, -(-len(xs) // _DOTS))
    dots = tuple((float(x), float(y)) for x, y in zip(xs[::step], ys[::step], strict=True))
    ends = data_ends([value for dot in dots for value in dot])
    return Plot(title, across, down, dots=dots, diagonal=True, x_ends=ends, y_ends=ends)


def histogram(title: str, across: str, values: Any) -> Plot:
    """Return a histogram of whole numbers, in bars of equal width."""
    import numpy as np

    low, high = int(values.min()), int(values.max())
    width = max(1, -(-(high - low + 1) // _BARS))
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(values, edges)
    bars = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return Plot(title, across, "examples", bars=tuple(bars))


def seeds_plot(
    title: str,
    groups: Sequence[Sequence[float]],
    *,
    names: Sequence[str] = (),
    across_name: str = "configuration, in the table's order",
    down: str = "",
    in_points: bool = True,
    bounded: bool = True,
) -> Plot | None:
    """Return each seed's score, a column a group; None for fewer than two scores.

    Groups are called by `names`; without them by letters, as in the table of configurations.
    """
    scale = 100 if in_points else 1
    dots = tuple(
        (float(number), scale * score) for number, group in enumerate(groups) for score in group
    )
    if len(dots) < 2:
        return None
    shown = names or [plot_letter(number) for number in range(len(groups))]
    return Plot(
        title=title,
        across=across_name,
        down=down or ("score, points" if in_points else "score"),
        dots=dots,
        bounds=share_bounds([at for _, at in dots], 100) if in_points and bounded else (-inf, inf),
        ticks=tuple((float(number), name) for number, name in enumerate(shown)),
        x_ends=(-0.5, max(len(groups) - 0.5, 0.5)),
    )


def plot_letter(number: int) -> str:
    """Return what a configuration is called on a plot and in its table: A, …, Z, A2, …"""
    turn, place = divmod(number, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(turn + 1) if turn else "")


def data_ends(values: Sequence[float]) -> Ends:
    """Return the lowest and highest value, apart even where all are the same."""
    low, high = min(values), max(values)
    margin = abs(low) / 10 or 1.0
    return (low, high) if high > low else (low - margin, high + margin)


def share_bounds(values: Sequence[float | None], whole: float = 1.0) -> Ends:
    """Return the bounds of scores out of `whole`: from 0, or its negative for correlations."""
    return (-whole if any(value is not None and value < 0 for value in values) else 0.0), whole


def round_ticks(ends: Ends, bounds: Ends = (-inf, inf)) -> tuple[float, ...]:
    """Return three to six round numbers from below `ends` to above them, within `bounds`."""
    low, high = max(ends[0], bounds[0]), min(ends[1], bounds[1])
    rough = (high - low) / _STEPS
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    numbers = range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)
    ticks = [float(f"{number * step:.10g}") for number in numbers]
    return tuple(tick for tick in ticks if bounds[0] <= tick <= bounds[1])
