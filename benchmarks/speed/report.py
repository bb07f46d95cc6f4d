"""The report of a contest as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from benchmarks.speed.contest import Contest
from benchmarks.speed.options import shown_command
from benchmarks.speed.tables import (
    Row,
    cases_of,
    evaluation_rows,
    evaluation_table,
    projection_table,
    ratio_table,
    slower_cases,
    training_rows,
    training_table,
)

_BASELINE, _SCRIPT = "notebook", "run_glue"


def report(contest: Contest) -> str:
    """Return the whole report; what was not measured is not in it."""
    cases = cases_of(contest.turns)
    training = {case: training_rows(turns) for case, turns in cases.items()}
    evaluation = {case: evaluation_rows(turns) for case, turns in cases.items()}
    present = {turn.contestant for turn in contest.turns}
    baseline = _BASELINE if _BASELINE in present else contest.turns[0].contestant
    parts = [
        "# Speed of gluetune and other libraries",
        _introduction(contest),
        *_summary("training", training, baseline),
        *_summary("evaluation", evaluation, baseline),
    ]
    if _SCRIPT in present and baseline != _SCRIPT:
        parts += _summary("training", _without(training, baseline), _SCRIPT)
        parts += _summary("evaluation", _without(evaluation, baseline), _SCRIPT)
    if epochs := contest.options.epochs:
        parts += [
            f"## Seconds that {epochs} epochs of all the data would take, each evaluated",
            projection_table(
                {case: (training[case], evaluation[case]) for case in cases},
                {case.name: case.rows for case in contest.cases},
                epochs=epochs,
            ),
        ]
    for case in cases:
        parts += [
            f"## {case}",
            training_table(training[case], baseline, contest.rates),
            evaluation_table(evaluation[case], baseline, contest.rates),
        ]
    return "\n\n".join([*parts, _reading(contest, baseline)]) + "\n"


def other_batches(contest: Contest) -> list[str]:
    """Return a line for each case whose contestants were not given the same examples."""
    return [
        f"{case}: the contestants were not given the same examples."
        for case, turns in cases_of(contest.turns).items()
        if len({turn.batches for turn in turns}) > 1
    ]


def _introduction(contest: Contest) -> str:
    options, machine = contest.options, contest.machine
    hardware, versions = machine["hardware"], machine["versions"]
    rounds = 1 + max(turn.round for turn in contest.turns)
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in contest.rates.items())
    shape = " x ".join(str(side) for side in machine["shape"])
    model = options.model and "the checkpoint of --model"
    if options.architectures is not None:
        model = "random checkpoints (benchmarks/speed/architectures.py)"
    lines = [
        f"- device: {hardware['device']}; {hardware['cpu']}, {hardware['cores']} cores, "
        f"{hardware['threads']} threads; bf16 native: {'yes' if machine['native_bf16'] else 'no'}",
        f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- data: {contest.data}",
        f"- model: {model or 'all-MiniLM-L6-v2'}",
        f"- {rounds} round(s); batch {options.batch_size}, {options.steps} timed steps "
        f"after {options.warmup} of warm-up, seed 42; at most the first {options.eval_examples} "
        f"validation examples in batches of {options.eval_batch_size}; "
        f"dropout {'off' if options.no_dropout else 'on'}",
        f"- torch.mm of {shape}, GFLOP/s: {rates}",
        *(f"- {contestant.name}: {contestant.what}" for contestant in contest.contestants),
        *(f"- {note}" for note in [*contest.notes, *other_batches(contest)]),
    ]
    return "\n".join([f"    {shown_command(sys.argv[1:])}", "", *lines])


def _summary(phase: str, rows_by_case: Mapping[str, Mapping[str, Row]], baseline: str) -> list[str]:
    parts = [
        f"## Times faster than {baseline}: {phase}",
        ratio_table(rows_by_case, baseline),
    ]
    names = dict.fromkeys(name for rows in rows_by_case.values() for name in rows)
    if baseline == _BASELINE and "gluetune" in names:
        parts.append(slower_cases(rows_by_case, baseline, "gluetune"))
    return parts


def _without(rows_by_case: Mapping[str, Mapping[str, Row]], name: str) -> dict[str, dict[str, Row]]:
    return {
        case: {other: row for other, row in rows.items() if other != name}
        for case, rows in rows_by_case.items()
    }


def _reading(contest: Contest, baseline: str) -> str:
    exact = (
        "Dropout is off, so a step's losses differ by rounding, precision and cutting alone."
        if contest.options.no_dropout
        else "Dropout draws differ between contestants, so their losses do too; --no-dropout shows "
        "what is left without them."
    )
    return "\n".join(
        [
            "## How to read it",
            "",
            "Each turn is a process of its own; contestants take turns within a round. A ratio is "
            f"{baseline}'s seconds by the other's within one round; shown are median, least and "
            "most over rounds. Real tokens are no padding; 'padding' is what the plain "
            "Trainer's batches hold of it. 'of GEMM' is 6 operations "
            "(evaluation: 2) per real token and weight outside of embeddings (one that layers "
            "share counts once), by the rate of "
            "torch.mm measured in the same run at the contestant's precision. 'outside s' is what "
            "train() took before its first and after its last step, which no ratio counts. Memory "
            f"is the process's, or the accelerator's where there is one. {exact}",
            "",
            "Scores after equal epochs are another benchmark: `benchmarks/notebook_recipe.py`.",
        ]
    )
