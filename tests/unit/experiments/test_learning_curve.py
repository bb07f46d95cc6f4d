"""The learning curve: the same recipe on parts of the training set."""

from __future__ import annotations

import pytest
from tests.support.html_pages import Page
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.core.errors import ConfigurationError


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def test_parts_grow_are_scored_on_the_same_rows_and_are_not_trained_twice(bench: Bench) -> None:
    run = bench.train(epochs=1)
    points = gluetune.learning_curve(run.path, shares=(0.5, 0.25))
    assert [point.share for point in points] == [0.25, 0.5, 1.0]
    assert [point.rows for point in points] == [10, 20, 40]
    assert points[-1].score == run.score
    parts = [gluetune.Run(point.run) for point in points]
    prints = {
        str(part.record.data and part.record.data.fingerprints["validation"]) for part in parts
    }
    assert len(prints) == 1
    updated = [part.record.updated for part in parts]
    assert gluetune.learning_curve(run, shares=(0.5, 0.25)) == points
    assert [gluetune.Run(point.run).record.updated for point in points] == updated
    page = Page((run.path / "report.html").read_text(encoding="utf-8"))
    assert "Would more data help?" in page.text
    assert "Score by size of the training set" in page.text
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        gluetune.learning_curve(run, shares=(1.5,))
