"""The result of a search: `SearchResult`, returned by `gluetune.search`, and `search.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING, Any

from gluetune.core.errors import RunError
from gluetune.core.events import Trial, TrialState, best_trial
from gluetune.core.files import write_text
from gluetune.core.runs import Run, RunFolder, base_name, without_folders
from gluetune.core.tables import Cell, Column, Table, plain, tables_html
from gluetune.core.tasks import HELD_OUT
from gluetune.experiments.search.request import SearchFolder, SearchRequest, read_request
from gluetune.experiments.search.scheduler import read_trials
from gluetune.experiments.search.space import Range
from gluetune.experiments.search.study import JOURNAL, importances, load_study
from gluetune.rendering import search_plots
from gluetune.rendering.pages import html_environment

if TYPE_CHECKING:
    import optuna
    import pandas as pd


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The best trial of a search, all its trials, and the final runs."""

    value: float
    """The best trial's objective at its best epoch, on the data that trials are scored on."""
    parameters: Mapping[str, Any]
    """The best trial's parameters."""
    number: int
    """The best trial's number."""
    run: Run
    """The best trial's run, with its model."""
    objective: str
    direction: str
    tuned_on: str
    """What trials are scored on: `holdout`, a part of train, or `validation`."""
    folder: Path
    """The search's folder."""
    trials: tuple[Trial, ...]
    finals: tuple[Run, ...]
    """The best parameters trained on all of train, one run for each seed."""

    @classmethod
    def load(cls, path: str | PathLike[str]) -> SearchResult:
        """Open the search in a folder, with its finished final runs.

        Raises RunError where there is none, or none of its trials has finished.
        """
        folder = SearchFolder(path)
        runs = sorted(folder.path.glob("final/s*"), key=lambda one: int(one.name[1:]))
        finals = [Run(one) for one in runs if RunFolder(one).record.exists()]
        return cls.of(folder, [run for run in finals if run.status == "finished"])

    @classmethod
    def of(cls, folder: SearchFolder, finals: Sequence[Run]) -> SearchResult:
        """Return the result of the search in `folder`, with these final runs."""
        request = read_request(folder)
        trials = read_trials(load_study(folder.path), folder)
        best = best_trial(trials, request["direction"])
        if best is None or best.value is None:
            raise RunError(
                f"None of the {len(trials)} trials of {folder.path} has finished.",
                hint="Type the command that started the search again: it resumes.",
            )
        objective = request["objective"]
        if isinstance(objective, Mapping):  # a function: `module.name (digest)`
            objective = objective["callable"].partition(" ")[0].rpartition(".")[2]
        return cls(
            value=best.value,
            parameters=best.parameters,
            number=best.number,
            run=Run(best.run),
            objective=objective,
            direction=request["direction"],
            tuned_on=HELD_OUT if request["fixed"].get("holdout") else "validation",
            folder=folder.path,
            trials=trials,
            finals=tuple(finals),
        )

    def __fspath__(self) -> str:
        return fspath(self.folder)

    def __repr__(self) -> str:
        score = "" if self.score is None else f", validation {self.score:.4f}"
        return (
            f"SearchResult('{self.folder}', {self.count('finished')} of {len(self.trials)} trials "
            f"finished, best {self.objective} {self.value:.4f}{score})"
        )

    def _repr_html_(self) -> str:
        return tables_html((self.best_table, self.finals_table, self.trials_table))

    @property
    def best(self) -> Trial:
        """The best trial."""
        return self.trials[self.number]

    @cached_property
    def study(self) -> optuna.Study:
        """The Optuna study, for its own plots and dashboards."""
        return load_study(self.folder)

    @cached_property
    def importances(self) -> Mapping[str, float]:
        """Importance of each parameter for the value, by fANOVA; empty where undefined."""
        return importances(self.study, self.run.config.seed)

    @property
    def scores(self) -> tuple[float, ...]:
        """The final runs' scores on the validation set."""
        return tuple(run.score for run in self.finals if run.score is not None)

    @property
    def score(self) -> float | None:
        """Mean of the final runs' scores; None without any."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the final runs' scores; None for fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def count(self, state: TrialState) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    def trials_dataframe(self) -> pd.DataFrame:
        """Return one row per trial, with columns named as Optuna's: `params_learning_rate`, …"""
        import pandas as pd

        return pd.DataFrame(
            {
                "number": trial.number,
                "value": trial.value,
                **{f"params_{name}": value for name, value in trial.parameters.items()},
                "state": trial.state,
                "evaluation": trial.evaluation,
                "evaluations": trial.evaluations,
                "seconds": trial.seconds,
                "error": trial.error,
                "run": str(trial.run),
            }
            for trial in self.trials
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        found: dict[str, Any] = plain(
            {
                "folder": self.folder,
                "objective": self.objective,
                "direction": self.direction,
                "tuned_on": self.tuned_on,
                "value": self.value,
                "parameters": self.parameters,
                "number": self.number,
                "run": self.run.path,
                "score": self.score,
                "deviation": self.deviation,
                "finals": [
                    {"run": run.path, "seed": run.record.seed, "score": run.score}
                    for run in self.finals
                ],
                "importances": self.importances,
                "trials": self.trials,
            }
        )
        return found

    @property
    def best_table(self) -> Table:
        """The best trial's value and parameters."""
        return best_table(self.best, self.objective)

    @property
    def trials_table(self) -> Table:
        """All trials."""
        return trials_table(self.trials, self.best, self.objective)

    @property
    def finals_table(self) -> Table:
        """The final runs, with their mean and standard deviation."""
        return finals_table(self.finals)


def best_table(best: Trial | None, objective: str) -> Table:
    """Return the best trial's value and parameters as a table."""
    pairs: dict[str, Any] = {}
    if best is not None:
        pairs = {"trial": str(best.number), objective: _number(best.value)}
        pairs |= {name: _text(value) for name, value in best.parameters.items()}
    return Table.of("The best trial.", ("", "value"), list(pairs.items()))


def trials_table(trials: Sequence[Trial], best: Trial | None, objective: str) -> Table:
    """Return trials as a table."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.parameters))
    return Table.of(
        f"Trials. {objective} at the best epoch.",
        (
            Column("trial", align="right"),
            "state",
            Column(objective, "number"),
            "epoch",
            *names,
            Column("seconds", align="right"),
            "error",
        ),
        [
            (
                str(trial.number),
                f"{trial.state}, best" if best and trial.number == best.number else trial.state,
                trial.value,
                "" if trial.evaluation is None else f"{trial.evaluation} of {trial.evaluations}",
                *(_text(trial.parameters.get(name, "")) for name in names),
                "" if trial.seconds is None else f"{trial.seconds:.0f}",
                trial.error,
            )
            for trial in trials
        ],
    )


def finals_table(finals: Sequence[Run], root: Path = Path()) -> Table:
    """Return the final runs as a table, their folders as seen from `root`.

    Scores are in points, unless the metric is not in points.
    """
    in_points = all(run.task.in_points() for run in finals)
    score = Column("score", "points" if in_points else "number", missing="undefined")
    rows: list[tuple[Cell, ...]] = []
    for run in finals:
        baseline = run.record.majority_baseline
        majority = "" if baseline is None else baseline.score
        rows.append(
            (f"seed {run.record.seed}", run.score, majority, str(_relative(run.path, root)))
        )
    scores = [run.score for run in finals if run.score is not None]
    if len(scores) > 1:
        mean = f"{score.text(fmean(scores))} ± {score.text(stdev(scores))}"
        rows.append(("all", mean, "", f"mean and sd of {len(scores)} seeds"))
    unit = ", in points, 0 to 100" if in_points else ""
    return Table.of(
        f"The best parameters, trained on all of train: validation scores{unit}.",
        ("", score, replace(score, title="majority"), "run"),
        rows,
    )


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write_page(
    folder: SearchFolder,
    request: SearchRequest,
    study: optuna.Study,
    trials: Sequence[Trial],
    finals: Sequence[Run],
) -> None:
    """Write the search's page, with its trials and final runs so far."""
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
            best=_compared_table(request, best, title),
            finals=finals_table(finals, folder.path),
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
        f"Model {base_name(request.base.model)}. {len(trials)} trials: {counts or 'none'}.",
        f"Objective: {request.direction} {request.objective_title} on {tuned_on}; "
        f"a trial's value is that of its best epoch.",
        *_versus_defaults(request, trials),
    ]


def _warnings(request: SearchRequest, trials: Sequence[Trial]) -> list[str]:
    warnings = []
    if not request.base.holdout:
        warnings.append(
            "Trials were scored on the validation set: its scores, including those of the final "
            "runs, are optimistic."
        )
    if sum(trial.state == "finished" for trial in trials) > 1:
        warnings.append(
            "The best value is the best of many: expect a worse one from a new run with these "
            "parameters."
        )
    return warnings


def _compared_table(request: SearchRequest, best: Trial | None, objective: str) -> Table:
    """Return the best trial next to the values that its parameters have without a search."""
    table = best_table(best, objective)
    if best is None:
        return table
    settings = request.base.model_dump(mode="json")
    defaults = {name: settings.get(name) for name in best.parameters}
    values = {name: "" if value is None else _text(value) for name, value in defaults.items()}
    return replace(
        table,
        title="The best trial, and the settings without a search.",
        columns=(*table.columns, Column("default")),
        rows=tuple((*row, values.get(str(row[0]), "")) for row in table.rows),
    )


def _versus_defaults(request: SearchRequest, trials: Sequence[Trial]) -> list[str]:
    """Return how the best trial compares with one of the default settings, and with the others."""
    best = best_trial(trials, request.direction)
    values = [one.value for one in trials if one.state == "finished" and one.value is not None]
    if best is None or best.value is None or len(values) < 2:
        return []
    settings = request.base.model_dump(mode="json")
    same = [
        one
        for one in trials
        if one.value is not None
        and all(settings.get(name) == value for name, value in one.parameters.items())
    ]
    middle = f"the median of {len(values)} finished trials is {median(values):.4f}"
    found = f"The best trial ({best.number}) has {best.value:.4f}; {middle}"
    if not same:
        return [f"{found}. No trial had the default settings, so the gain over them is unknown."]
    first = same[0]
    return [f"{found}; with the default settings (trial {first.number}) it is {first.value:.4f}."]


def _requested_table(request: SearchRequest) -> Table:
    requested = request.requested()
    space = {f"space: {name}": value for name, value in requested["space"].items()}
    rest = {name: requested[name] for name in requested if name not in ("fixed", "space")}
    rows = [
        (name, without_folders(_setting_text(value)))
        for name, value in {**space, **rest, **requested["fixed"]}.items()
        if value not in ({}, [])
    ]
    return Table.of("Settings that determine every trial.", ("setting", "value"), rows)


def _logarithmic(request: SearchRequest) -> list[str]:
    if callable(request.space):
        return []
    return [name for name, one in request.space.items() if isinstance(one, Range) and one.log]


def _setting_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
