"""Intervals that are kept beside the predictions that they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.predictions import random_classified, random_estimated
from tests.support.run_folders import write_run

from gluetune.analysis.evaluation import evaluation_of
from gluetune.core.records import Predictions, keep_predictions
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.rendering.pages import report
from gluetune.statistics import intervals as module
from gluetune.statistics.intervals import kept_intervals, score_intervals


def _refuse(*given: Any, **more: Any) -> Any:
    raise AssertionError("computed again")


def test_what_is_kept_is_what_was_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "intervals.json"
    for task, found in (("cola", random_classified(50)), ("stsb", random_estimated(150))):
        spec = get_task(task)
        expected = score_intervals(spec, {"validation": found})
        assert kept_intervals(path, spec, {"validation": found}) == expected
        with monkeypatch.context() as patch:
            patch.setattr(module, "score_intervals", _refuse)
            assert kept_intervals(path, spec, {"validation": found}) == expected


def test_other_predictions_other_metrics_and_another_method_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, task, found = tmp_path / "kept.json", get_task("mrpc"), random_classified(150)
    kept_intervals(path, task, {"validation": found})
    monkeypatch.setattr(module, "score_intervals", _refuse)
    turned = replace(found, predicted=found.predicted[::-1].copy())
    others = (
        (task, {"validation": turned}),
        (task, {"test": found}),
        (replace(task, metrics=("f1",)), {"validation": found}),
    )
    for spec, predictions in others:
        with pytest.raises(AssertionError, match="computed again"):
            kept_intervals(path, spec, predictions)
    monkeypatch.setattr(module, "_VERSION", 2)
    with pytest.raises(AssertionError, match="computed again"):
        kept_intervals(path, task, {"validation": found})


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": {"score": {"low": "x"}}}', '{"a": 1}'])
def test_a_damaged_file_is_made_anew(tmp_path: Path, content: str) -> None:
    path, task, found = tmp_path / "kept.json", get_task("cola"), random_classified(150)
    path.write_text(content)
    expected = score_intervals(task, {"v": found})
    assert kept_intervals(path, task, {"v": found}) == expected
    assert kept_intervals(path, task, {"v": found}) == expected
    assert "bca" in path.read_text()


def test_a_folder_that_cannot_be_written_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: Any) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(module, "write_json", refuse)
    found = {"v": random_classified(150)}
    intervals = kept_intervals(tmp_path / "kept.json", get_task("cola"), found)
    assert intervals == score_intervals(get_task("cola"), found)


def test_the_file_holds_the_newest_only(tmp_path: Path) -> None:
    path, task = tmp_path / "kept.json", get_task("rte")
    for seed in range(12):
        kept_intervals(path, task, {"v": random_classified(60, seed=seed)})
    assert len(module._read(path)) == module._MOST_ENTRIES
    newest = module._key(task, {"v": random_classified(60, seed=11)})
    assert newest in module._read(path)


def test_the_report_and_the_card_share_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(write_run(tmp_path / "run"))
    found: Predictions = random_classified(200)
    keep_predictions(run.folder.predictions_on("validation"), found, "print")
    report(run.path)
    monkeypatch.setattr(module, "score_intervals", _refuse)
    evaluation = evaluation_of(run)
    assert evaluation is not None
    assert evaluation.intervals == score_intervals(run.task, {"validation": found})
