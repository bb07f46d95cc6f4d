"""`search.html`: history, importances, parallel coordinates and the table of a search's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gluetune.core.files import write_text
from gluetune.experiments.search.outcomes import TrialRow, best_of
from gluetune.experiments.search.settings import SearchFolder, SearchSettings
from gluetune.experiments.search.space import Range
from gluetune.experiments.search.studies import JOURNAL, quiet_optuna
from gluetune.rendering import search_plots
from gluetune.rendering.pages import html_environment
from gluetune.rendering.search_plots import Tried
from gluetune.rendering.tables import Table, pairs_table, points

if TYPE_CHECKING:
    import optuna

    from gluetune.core.runs import Run


def write_page(
    folder: SearchFolder,
    settings: SearchSettings,
    study: optuna.Study,
    rows: Sequence[TrialRow],
    finals: Sequence[Run],
) -> None:
    """Write the search's page, whatever it has come to so far."""
    maximize = settings.direction == "maximize"
    tried = [
        Tried(row.number, row.value, row.state == "finished", row.parameters)
        for row in rows
        if row.state in ("finished", "pruned") and row.value is not None
    ]
    text = (
        html_environment("gluetune.rendering")
        .get_template("search.html")
        .render(
            title=f"Search on {settings.base.task}: {folder.path.resolve().name}",
            said=_said(settings, rows),
            warnings=_warnings(settings, rows),
            objective=settings.objective_title,
            canvas=search_plots,
            best=_best_table(settings, rows),
            finals=_finals_table(finals),
            history=search_plots.history(tried, maximize=maximize),
            importances=search_plots.importance_bars(importances(study, settings.base.seed)),
            parallel=search_plots.parallel(
                tried, _logarithmic(settings), settings.objective_title, maximize=maximize
            ),
            trials=_trials_table(settings, rows),
            asked=pairs_table("What decides every trial.", ("setting", "value"), _asked(settings)),
            journal=JOURNAL,
        )
    )
    write_text(folder.page, text)


def importances(study: optuna.Study, seed: int) -> Mapping[str, float]:
    """Return each parameter's share of what decides the value, by fANOVA; none where it cannot.

    It needs two finished trials that differ, in value and in parameters that all of them have.
    """
    import optuna

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in done}) < 2:
        return {}
    with quiet_optuna():
        found = optuna.importance.get_param_importances(
            study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed)
        )
    return {name: share for name, share in found.items() if share == share}  # no NaN


def _said(settings: SearchSettings, rows: Sequence[TrialRow]) -> list[str]:
    counts = ", ".join(
        f"{count} {state}"
        for state in ("finished", "pruned", "failed", "running")
        if (count := sum(row.state == state for row in rows))
    )
    share = settings.base.holdout
    tuned_on = f"{share:.3g} of train, held out" if share else "the validation set"
    return [
        f"Model {settings.base.model}. {len(rows)} trials: {counts or 'none'}.",
        f"Objective: {settings.direction} {settings.objective_title} on {tuned_on}; "
        f"a trial's value is that of its best epoch.",
    ]


def _warnings(settings: SearchSettings, rows: Sequence[TrialRow]) -> list[str]:
    told = []
    if not settings.base.holdout:
        told.append(
            "Trials were scored on the validation set: its scores, those of the final runs too, "
            "are flattered by the choice."
        )
    if len([row for row in rows if row.state == "finished"]) > 1:
        told.append(
            "The best value is the best of many: expect less of a new run with this setting."
        )
    return told


def _best_table(settings: SearchSettings, rows: Sequence[TrialRow]) -> Table:
    best = best_of(rows, settings.direction)
    found: dict[str, Any] = {}
    if best is not None:
        found = {"trial": best.number, settings.objective_title: _number(best.value)}
        found |= {name: _text(value) for name, value in best.parameters.items()}
    return pairs_table("The best trial.", ("", "value"), found)


def _finals_table(finals: Sequence[Run]) -> Table:
    rows = [
        (f"seed {run.record.seed}", points(run.score), *_validated(run), str(run.path))
        for run in finals
    ]
    scores = [run.score for run in finals if run.score is not None]
    if len(scores) > 1:
        said = f"mean and sd of {len(scores)} seeds"
        rows.append(("all", f"{points(fmean(scores))} ± {points(stdev(scores))}", "", said))
    return Table(
        "The best setting, trained on all of train: validation scores in points, 0 to 100.",
        ("", "score", "majority", "run"),
        tuple(rows),
        frozenset({1, 2}),
    )


def _validated(run: Run) -> tuple[str]:
    baseline = run.record.majority_baseline
    return (points(baseline.score) if baseline is not None else "",)


def _trials_table(settings: SearchSettings, rows: Sequence[TrialRow]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row.parameters))
    best = best_of(rows, settings.direction)
    return Table(
        f"Trials. {settings.objective_title} at the best epoch.",
        ("trial", "state", settings.objective_title, "epoch", *names, "seconds", "error"),
        tuple(
            (
                str(row.number),
                f"{row.state}, best" if best and row.number == best.number else row.state,
                _number(row.value),
                "" if row.evaluation is None else f"{row.evaluation} of {row.evaluations}",
                *(_text(row.parameters.get(name, "")) for name in names),
                "" if row.seconds is None else f"{row.seconds:.0f}",
                row.error,
            )
            for row in rows
        ),
        frozenset({0, 2}),
    )


def _asked(settings: SearchSettings) -> dict[str, Any]:
    asked = settings.asked()
    space = {f"space: {name}": _text(value) for name, value in asked["space"].items()}
    rest = {name: asked[name] for name in asked if name not in ("fixed", "space")}
    return {**space, **rest, **asked["fixed"]}


def _logarithmic(settings: SearchSettings) -> list[str]:
    if callable(settings.space):
        return []
    return [name for name, one in settings.space.items() if isinstance(one, Range) and one.log]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
