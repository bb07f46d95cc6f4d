"""The plots of a search's page: where their points are; `search.html` draws them as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from gluetune.core.events import Trial
from gluetune.core.plots import data_ends, round_ticks
from gluetune.rendering.plots import Point, Tick, tick_text

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 30, 30, 44
_BAR, _NAMES = 26, 190
_FAINTEST = 0.35
_LONGEST = 24
"""Opacity of the worst trial's line (the best one's is 1); letters of a name on an axis."""


@dataclass(frozen=True)
class History:
    """Values over trials: finished ones, pruned ones, and the best of the finished so far."""

    finished: tuple[Point, ...]
    pruned: tuple[Point, ...]
    best: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Bar:
    """Importance of one parameter."""

    name: str
    share: str
    y: float
    width: float


@dataclass(frozen=True)
class Bars:
    """Importances, the greatest first."""

    bars: tuple[Bar, ...]
    height: float
    names: int = _NAMES


@dataclass(frozen=True)
class Axis:
    """A parameter's axis, or the value's."""

    x: float
    name: str
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Trace:
    """One trial's line across the axes."""

    points: tuple[Point, ...]
    opacity: float
    best: bool
    label: str


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates: one axis for each parameter, one for the value."""

    axes: tuple[Axis, ...]
    traces: tuple[Trace, ...]


def history(trials: Sequence[Trial], *, maximize: bool) -> History | None:
    """Return the history of values; None without any trial."""
    ended = _values(trials, "finished", "pruned")
    if not ended:
        return None
    last = max(max(trial.number for trial, _ in ended), 1)
    marks = round_ticks(data_ends([value for _, value in ended]))
    low, high = marks[0], marks[-1]

    def place(number: float, value: float) -> Point:
        return Point(_across(number / last), _down((value - low) / (high - low)))

    best: list[Point] = []
    so_far: float | None = None
    for trial, value in sorted(_values(trials, "finished"), key=lambda one: one[0].number):
        if so_far is not None:
            best.append(place(trial.number, so_far))
        if so_far is None or (value > so_far if maximize else value < so_far):
            so_far = value
            best.append(place(trial.number, so_far))
    if so_far is not None:
        best.append(place(last, so_far))
    step = max(1, -(-last // 10))
    return History(
        finished=tuple(place(one.number, value) for one, value in _values(trials, "finished")),
        pruned=tuple(place(one.number, value) for one, value in _values(trials, "pruned")),
        best=tuple(best),
        x_ticks=tuple(Tick(_across(n / last), str(n)) for n in range(0, last + 1, step)),
        y_ticks=tuple(Tick(_down((mark - low) / (high - low)), tick_text(mark)) for mark in marks),
    )


def importance_bars(importances: Mapping[str, float]) -> Bars | None:
    """Return the importances, which sum to 1, as bars; None without any."""
    if not importances:
        return None
    room = WIDTH - _NAMES - 70
    ranked = sorted(importances.items(), key=lambda item: -item[1])
    return Bars(
        bars=tuple(
            Bar(_cut(name), f"{share:.0%}", _BAR * number + 6, round(room * share, 1))
            for number, (name, share) in enumerate(ranked)
        ),
        height=_BAR * len(ranked) + 8,
    )


def parallel(
    trials: Sequence[Trial], logarithmic: Sequence[str], value_name: str, *, maximize: bool
) -> Parallel | None:
    """Return finished trials across the parameters that all of them have; None for fewer than two.

    `logarithmic` names the parameters whose axis is so.
    """
    finished = _values(trials, "finished")
    if len(finished) < 2:
        return None
    names = [
        name
        for name in finished[0][0].parameters
        if all(name in trial.parameters for trial, _ in finished)
    ]
    columns = [[trial.parameters[name] for trial, _ in finished] for name in names]
    values: list[Any] = [value for _, value in finished]
    scales = [
        _scale(column, log_scale=name in logarithmic)
        for name, column in [*zip(names, columns, strict=True), (value_name, values)]
    ]
    xs = [_across(number / len(names)) for number in range(len(names) + 1)]
    low, high = data_ends(values)
    best = (max if maximize else min)(values)
    traces = []
    chosen = values.index(best)
    for number, (trial, value) in enumerate(finished):
        row = [column[number] for column in (*columns, values)]
        heights = [_down(place(one)) for (place, _), one in zip(scales, row, strict=True)]
        share = (value - low) / (high - low)
        goodness = share if maximize else 1 - share
        traces.append(
            Trace(
                points=tuple(Point(x, y) for x, y in zip(xs, heights, strict=True)),
                opacity=round(_FAINTEST + (1 - _FAINTEST) * goodness, 2),
                best=number == chosen,
                label=f"trial {trial.number}: {value:.4f}",
            )
        )
    traces.sort(key=lambda trace: (trace.best, trace.opacity))
    axes = tuple(
        Axis(x, _cut(name), tuple(Tick(_down(at), _cut(text)) for at, text in ticks))
        for x, name, (_, ticks) in zip(xs, [*names, value_name], scales, strict=True)
    )
    return Parallel(axes, tuple(traces))


def _values(trials: Sequence[Trial], *states: str) -> list[tuple[Trial, float]]:
    """Return the trials of these states that have a value, with it."""
    return [(one, one.value) for one in trials if one.state in states and one.value is not None]


def _scale(column: Sequence[Any], *, log_scale: bool) -> tuple[Any, list[tuple[float, str]]]:
    """Return the function from values to positions from 0 to 1, and the ticks of the axis."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in column):
        bend = log if log_scale and min(column) > 0 else float
        low, high = data_ends([bend(value) for value in column])
        ends = dict.fromkeys((min(column), max(column)))
        return (
            lambda value: (bend(value) - low) / (high - low),
            [((bend(value) - low) / (high - low), f"{value:.3g}") for value in ends],
        )
    kinds = list(dict.fromkeys(str(value) for value in column))
    room = max(len(kinds) - 1, 1)
    return (
        lambda value: kinds.index(str(value)) / room,
        [(number / room, kind) for number, kind in enumerate(kinds)],
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _across(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _down(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)
