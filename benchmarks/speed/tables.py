"""Measurements as Markdown: the ratios first, then what each contestant did at each case."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.figures import (
    absolute_difference,
    geometric_mean,
    relative_difference,
    share_of_gemm,
    speedups,
    spread,
)
from benchmarks.speed.turns import Measurement, Phase

Seconds = Mapping[str, Mapping[int, float]]
"""By contestant, then by round."""


@dataclass(frozen=True)
class Row:
    """One contestant's measurements at one case, or one of its ways of evaluating."""

    contestant: str
    how: str
    """The way of evaluating; "" for the first one, and for training."""
    turns: Sequence[Measurement]
    phases: Sequence[Phase]

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.contestant}, {self.how}" if self.how else self.contestant

    @property
    def logits(self) -> list[list[float]]:
        """The predictions of this way of evaluating in the first of the rounds."""
        return self.turns[0].logits[self.how]

    @property
    def seconds(self) -> dict[int, float]:
        """Seconds by round."""
        return {
            turn.round: phase.seconds for turn, phase in zip(self.turns, self.phases, strict=True)
        }


def training_rows(turns: Iterable[Measurement]) -> dict[str, Row]:
    """Return a row for each contestant of a case, by name."""
    by_name = _grouped(turns, lambda turn: turn.contestant)
    return {
        name: Row(name, "", group, [turn.training for turn in group])
        for name, group in by_name.items()
    }


def evaluation_rows(turns: Iterable[Measurement]) -> dict[str, Row]:
    """Return a row for each contestant and each of its ways of evaluating, by name."""
    rows = {}
    for contestant, group in _grouped(turns, lambda turn: turn.contestant).items():
        for how in group[0].evaluations:
            row = Row(contestant, how, group, [turn.evaluations[how] for turn in group])
            rows[row.name] = row
    return rows


def cases_of(turns: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Return the turns by case, in the order in which cases were first seen."""
    return _grouped(turns, lambda turn: turn.case)


def ratio_table(rows_by_case: Mapping[str, Mapping[str, Row]], baseline: str) -> str:
    """Return how many times faster than `baseline` each row is: median (least to most)."""
    rows_by_case = {case: rows for case, rows in rows_by_case.items() if baseline in rows}
    names = list(
        dict.fromkeys(name for rows in rows_by_case.values() for name in rows if name != baseline)
    )
    medians: dict[str, list[float]] = {name: [] for name in names}
    lines = []
    for case, rows in rows_by_case.items():
        cells = []
        for name in names:
            ratios = speedups(rows[baseline].seconds, rows[name].seconds) if name in rows else []
            if ratios:
                medians[name].append(spread(ratios).median)
            cells.append(_ratio(ratios))
        lines.append([case, *cells])
    if len(lines) > 1:
        means = [
            f"**{geometric_mean(medians[name]):.2f}**" if medians[name] else "-" for name in names
        ]
        lines.append(["geometric mean", *means])
    return markdown(["", *names], lines)


def slower_cases(rows_by_case: Mapping[str, Mapping[str, Row]], baseline: str, who: str) -> str:
    """Say where `who` is slower than `baseline` by the median, and whether in every round."""
    found = {
        case: spread(ratios)
        for case, rows in rows_by_case.items()
        if baseline in rows
        and who in rows
        and (ratios := speedups(rows[baseline].seconds, rows[who].seconds))
    }
    slower = [
        f"{case} ({ratio.median:.2f}, {'in every round' if ratio.high < 1 else 'not always'})"
        for case, ratio in found.items()
        if ratio.median < 1
    ]
    return f"Where {who} is slower than {baseline}: {', '.join(slower) or f'none of {len(found)}'}."


def training_table(rows: Mapping[str, Row], reference: str, rates: Mapping[str, float]) -> str:
    """Return one case's training: rates, memory, and the losses of the same steps."""
    lines = []
    for row in rows.values():
        first = row.turns[0]
        seconds = statistics.median(row.seconds.values())
        lines.append(
            [
                row.name,
                f"{1000 * seconds / first.steps:.1f}",
                *_rates(row, seconds, rates, training=True),
                f"{statistics.median(turn.outside_seconds for turn in row.turns):.1f}",
                *_losses(first.losses),
                _difference(
                    relative_difference(rows[reference].turns[0].losses, first.losses)
                    if reference in rows
                    else None
                ),
            ]
        )
    heads = ["outside s", "first loss", "mean", "last", f"off {reference} by"]
    return markdown(["training", "ms/step", *_RATES, *heads], lines)


def evaluation_table(rows: Mapping[str, Row], reference: str, rates: Mapping[str, float]) -> str:
    """Return one case's evaluation: rates, memory, and how far the logits are from each other."""
    lines = []
    for row in rows.values():
        seconds = statistics.median(row.seconds.values())
        lines.append(
            [
                row.name,
                f"{seconds:.2f}",
                *_rates(row, seconds, rates, training=False),
                _difference(
                    absolute_difference(rows[reference].logits, row.logits)
                    if reference in rows
                    else None
                ),
            ]
        )
    return markdown(["evaluation", "seconds", *_RATES, f"logits off {reference} by"], lines)


def projection_table(
    rows_by_case: Mapping[str, tuple[Mapping[str, Row], Mapping[str, Row]]],
    sizes: Mapping[str, Mapping[str, int]],
    *,
    epochs: int,
) -> str:
    """Return the seconds that each contestant would take for whole runs, case by case.

    They are what `train()` takes outside of its steps, `epochs` times the training rows and as
    often the validation rows, at the median rates. `rows_by_case` are training's and evaluation's.
    """
    names = list(dict.fromkeys(name for rows, _ in rows_by_case.values() for name in rows))
    seconds = {
        case: [
            _whole(training[name], evaluation[name], sizes[case], epochs)
            if name in training
            else None
            for name in names
        ]
        for case, (training, evaluation) in rows_by_case.items()
    }
    lines = [[case, *map(_seconds, row)] for case, row in seconds.items()]
    totals = [
        None if None in column else sum(value for value in column if value is not None)
        for column in zip(*seconds.values(), strict=True)
    ]
    lines.append(["all of them", *(f"**{_seconds(total)}**" for total in totals)])
    return markdown(["", *names], lines)


def _whole(training: Row, evaluation: Row, size: Mapping[str, int], epochs: int) -> float:
    outside = statistics.median(turn.outside_seconds for turn in training.turns)
    row, scored = (
        statistics.median(each.seconds.values()) / each.phases[0].examples
        for each in (training, evaluation)
    )
    return outside + epochs * (size["train"] * row + size["validation"] * scored)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


_RATES = ("examples/s", "real tokens/s", "padding", "of GEMM", "peak MiB")


def _rates(row: Row, seconds: float, rates: Mapping[str, float], *, training: bool) -> list[str]:
    phase, turn = row.phases[0], row.turns[0]
    share = share_of_gemm(
        parameters=turn.parameters,
        tokens=phase.real_tokens,
        seconds=seconds,
        training=training,
        rate=rates[turn.precision],
    )
    peak = statistics.median(phase.peak_bytes for phase in row.phases)
    return [
        f"{phase.examples / seconds:,.1f}",
        f"{phase.real_tokens / seconds:,.0f}",
        f"{1 - phase.real_tokens / phase.all_tokens:.0%}",
        f"{share:.0%} of {turn.precision}",
        f"{peak / 2**20:,.0f}",
    ]


def _losses(losses: Sequence[float]) -> list[str]:
    if not losses:
        return ["not seen", "", ""]
    return [f"{losses[0]:.4f}", f"{statistics.fmean(losses):.4f}", f"{losses[-1]:.4f}"]


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    found = spread(ratios)
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"


def _difference(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _grouped(
    turns: Iterable[Measurement], key: Callable[[Measurement], str]
) -> dict[str, list[Measurement]]:
    groups: dict[str, list[Measurement]] = {}
    for turn in turns:
        groups.setdefault(key(turn), []).append(turn)
    return groups
