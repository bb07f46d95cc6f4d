"""`search.html`: history, importances, parallel coordinates and the table of a search's trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gluetune.core.events import Trial, best_trial
from gluetune.core.files import write_text
from gluetune.core.tables import Table
from gluetune.experiments.search.request import SearchFolder, SearchRequest
from gluetune.experiments.search.result import best_table, finals_table, trials_table
from gluetune.experiments.search.space import Range
from gluetune.experiments.search.study import JOURNAL, importances
from gluetune.rendering import search_plots
from gluetune.rendering.pages import html_environment

if TYPE_CHECKING:
    import optuna

    from gluetune.core.runs import Run


def write_page(
    folder: SearchFolder,
    request: SearchRequest,
    study: optuna.Study,
    trials: Sequence[Trial],
    finals: Sequence[Run],
) -> None:
    """Write the search's page, whatever it has come to so far."""
    maximize = request.direction == "maximize"
    best = best_trial(trials, request.direction)
    title = request.objective_title
    text = (
        html_environment("gluetune.rendering")
        .get_template("search.html")
        .render(
            title=f"Search on {request.base.task}: {folder.path.resolve().name}",
            summary=_summary(request, trials),
            warnings=_warnings(request, trials),
            objective=title,
            canvas=search_plots,
            best=best_table(best, title),
            finals=finals_table(finals),
            history=search_plots.history(trials, maximize=maximize),
            importances=search_plots.importance_bars(importances(study, request.base.seed)),
            parallel=search_plots.parallel(trials, _logarithmic(request), title, maximize=maximize),
            trials=trials_table(trials, best, title),
            requested=_requested_table(request),
            journal=JOURNAL,
        )
    )
    write_text(folder.page, text)


def _summary(request: SearchRequest, trials: Sequence[Trial]) -> list[str]:
    counts = ", ".join(
        f"{count} {state}"
        for state in ("finished", "pruned", "failed", "running")
        if (count := sum(trial.state == state for trial in trials))
    )
    share = request.base.holdout
    tuned_on = f"{share:.3g} of train, held out" if share else "the validation set"
    return [
        f"Model {request.base.model}. {len(trials)} trials: {counts or 'none'}.",
        f"Objective: {request.direction} {request.objective_title} on {tuned_on}; "
        f"a trial's value is that of its best epoch.",
    ]


def _warnings(request: SearchRequest, trials: Sequence[Trial]) -> list[str]:
    warnings = []
    if not request.base.holdout:
        warnings.append(
            "Trials were scored on the validation set: its scores, those of the final runs too, "
            "are flattered by the choice."
        )
    if sum(trial.state == "finished" for trial in trials) > 1:
        warnings.append(
            "The best value is the best of many: expect less of a new run with these parameters."
        )
    return warnings


def _requested_table(request: SearchRequest) -> Table:
    requested = request.requested()
    space = {f"space: {name}": value for name, value in requested["space"].items()}
    rest = {name: requested[name] for name in requested if name not in ("fixed", "space")}
    rows = [
        (name, _text(value))
        for name, value in {**space, **rest, **requested["fixed"]}.items()
        if value not in ({}, [])
    ]
    return Table.of("What decides every trial.", ("setting", "value"), rows)


def _logarithmic(request: SearchRequest) -> list[str]:
    if callable(request.space):
        return []
    return [name for name, one in request.space.items() if isinstance(one, Range) and one.log]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
