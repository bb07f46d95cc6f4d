"""The page of a search: correct plots, and escaped text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.html_pages import HOSTILE, Page
from tests.support.run_folders import write_run
from tests.support.trials import trial
from tests.unit.rendering.test_browser import CHROMIUM, console_of

from gluetune.core.config import make_config
from gluetune.core.events import Trial
from gluetune.core.runs import Run
from gluetune.experiments.search.request import SearchFolder, SearchRequest
from gluetune.experiments.search.result import finals_table, write_page
from gluetune.experiments.search.scheduler import read_trials
from gluetune.experiments.search.space import parse_space
from gluetune.experiments.search.study import ERROR, PARAMETERS, importances
from gluetune.rendering.search_plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    history,
    importance_bars,
    parallel,
)

SETTINGS = SearchRequest(
    base=make_config({"task": "cola", "model": HOSTILE, "holdout": 0.2}),
    space=parse_space(
        {
            "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True},
            "batch_size": [16, 32],
            "set.report_to": ["none", HOSTILE],
        }
    ),
)


def _study(trials: int = 10) -> optuna.Study:
    """Return trials whose rate decides: one is pruned, one has failed, one runs."""
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for number in range(trials):
        asked = study.ask()
        rate = asked.suggest_float("learning_rate", 1e-5, 1e-3, log=True)
        asked.suggest_categorical("batch_size", [16, 32])
        asked.suggest_categorical("set.report_to", ["none", HOSTILE])
        asked.set_user_attr(PARAMETERS, asked.params)
        asked.report(rate * 500, 1)
        asked.report(rate * 400, 2)
        if number == 3:
            study.tell(asked, state=optuna.trial.TrialState.PRUNED)
        elif number == 4:
            asked.set_user_attr(ERROR, f"ValueError: {HOSTILE}")
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        elif number != 9:
            study.tell(asked, rate * 500)
    return study


def _page(path: Path, finals: int = 0) -> Path:
    folder = SearchFolder(path)
    study = _study()
    runs = [Run(write_run(path / f"f{seed}", seed=seed)) for seed in range(finals)]
    write_page(folder, SETTINGS, study, read_trials(study, folder), runs)
    return folder.page


def test_the_page_shows_all_trials_and_escapes_text(tmp_path: Path) -> None:
    text = _page(tmp_path / "a <script>", finals=2).read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("svg") == 3
    assert page.tags.count("circle") == 8, "seven finished and one pruned"
    assert page.tags.count("polyline") == 1 + 7
    for words in (
        "10 trials: 7 finished, 1 pruned, 1 failed, 1 running",
        "maximize score on 0.2 of train, held out",
        "ValueError: <script>",
        "50.0 ± 0.0",
        "study.journal",
    ):
        assert words in page.text
    assert "\x00" not in text
    assert "optimistic" not in page.text


def test_the_best_trial_is_compared_with_the_default_settings(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    base = make_config({"task": "cola", "holdout": 0.2})
    request = replace(SETTINGS, base=base)
    for rate, value in ((1e-4, 0.4), (base.learning_rate, 0.3), (3e-4, 0.2)):
        asked = study.ask()
        asked.set_user_attr(PARAMETERS, {"learning_rate": rate})
        asked.report(value, 1)
        study.tell(asked, value)
        folder = SearchFolder(tmp_path)
        write_page(folder, request, study, read_trials(study, folder), ())
        text = Page(folder.page.read_text(encoding="utf-8")).text
        assert ("with the default settings (trial 1) it is 0.3000" in text) is (value < 0.4)
    assert "The best trial (0) has 0.4000; the median of 3 finished trials is 0.3000" in text
    assert f"learning_rate0.0001{base.learning_rate:.3g}" in "".join(text.split())


def test_the_best_trial_is_compared_with_the_median_without_one_of_the_defaults(
    tmp_path: Path,
) -> None:
    text = Page(_page(tmp_path).read_text(encoding="utf-8")).text
    assert "No trial had the default settings, so the gain over them is unknown." in text


def test_an_empty_search_has_a_page(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    settings = SearchRequest(base=make_config({"task": "cola"}), space=SETTINGS.space)
    write_page(folder, settings, optuna.create_study(), (), ())
    page = Page(folder.page.read_text(encoding="utf-8"))
    assert "0 trials: none" in page.text
    assert "optimistic" in page.text
    assert "svg" not in page.tags


@pytest.mark.parametrize(
    ("metric", "shown", "title"),
    [("accuracy", ["50.0", "0.0", "50.0 ± 0.0"], "in points"), ("log_loss", ["0.5000"], "scores.")],
)
def test_final_scores_are_shown_in_points_unless_the_metric_is_not(
    tmp_path: Path, metric: str, shown: list[str], title: str
) -> None:
    runs = [Run(write_run(tmp_path / f"f{seed}", seed=seed)) for seed in (1, 2)]
    for run in runs:
        run.record.own_task = replace(run.task, metrics=(metric,))
    table = finals_table(runs)
    cells = [column.text(row[at]) for row in table.rows for at, column in enumerate(table.columns)]
    assert set(shown) <= set(cells)
    assert ("50.0" in cells) is (metric == "accuracy")
    assert title in table.title


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_opens_with_an_empty_console(tmp_path: Path) -> None:
    dom, console = console_of(_page(tmp_path / "a <script>"), tmp_path / "profile")
    assert "Parallel coordinates" in dom
    assert "CONSOLE" not in console


def test_the_decisive_parameter_has_the_greatest_importance() -> None:
    found = importances(_study(30), 0)
    assert max(found, key=lambda name: found[name]) == "learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert importances(optuna.create_study(), 0) == {}


_VALUES = st.floats(-1, 1)
_PARAMETERS: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {
        "rate": st.floats(1e-6, 1) | st.just(1e-6),
        "kind": st.sampled_from(["a", "b", None, True]),
        "size": st.integers(1, 3),
    },
    optional={"some": st.integers()},
)
_STATES = st.sampled_from(["finished", "pruned"])
_TRIALS = st.lists(st.tuples(_VALUES, _STATES, _PARAMETERS), max_size=12).map(
    lambda rows: [
        trial(number, value=value, state=state, parameters=parameters)
        for number, (value, state, parameters) in enumerate(rows)
    ]
)


@given(_TRIALS, st.booleans())
def test_every_point_is_between_the_axes(tried: list[Trial], maximize: bool) -> None:
    shown = history(tried, maximize=maximize)
    across = parallel(tried, ["rate"], "score", maximize=maximize)
    points = []
    if shown is not None:
        points += [*shown.finished, *shown.pruned, *shown.best]
        assert len(shown.finished) + len(shown.pruned) == len(tried)
        heights = [point.y for point in shown.best]
        assert heights == sorted(heights, reverse=maximize)
    finished = [one for one in tried if one.state == "finished"]
    assert (across is None) == (len(finished) < 2)
    if across is not None:
        points += [point for trace in across.traces for point in trace.points]
        assert len(across.traces) == len(finished)
        assert {len(trace.points) for trace in across.traces} == {len(across.axes)}
        best = (max if maximize else min)(one.value or 0.0 for one in finished)
        assert f"{best:.4f}" in next(trace.label for trace in across.traces if trace.best)
    for point in points:
        assert LEFT <= point.x <= WIDTH - RIGHT
        assert TOP <= point.y <= HEIGHT - BOTTOM


def test_bars_are_proportional_to_their_shares() -> None:
    bars = importance_bars({"a": 0.25, "b": 0.75})
    assert bars is not None
    assert [(bar.name, bar.share) for bar in bars.bars] == [("b", "75%"), ("a", "25%")]
    assert bars.bars[0].width == pytest.approx(3 * bars.bars[1].width, abs=0.1)
    assert importance_bars({}) is None
