"""What a notebook shows of a result: tables of its values, with every text escaped."""

from __future__ import annotations

from pathlib import Path

from tests.support.html_pages import HOSTILE, Page
from tests.support.run_folders import write_run

from gluetune.analysis.evaluation import evaluation_of
from gluetune.core.errors import Finding
from gluetune.core.runs import Run
from gluetune.core.text import visible
from gluetune.experiments.learning_curve import CurvePoint
from gluetune.inference.file_checks import CheckedFiles
from gluetune.inference.file_predictions import FilePredictions
from gluetune.publishing.upload import PushResult, Verification


def test_results_are_tables_of_their_fields() -> None:
    page = Page(CurvePoint(share=0.5, rows=1000, score=0.65432, run=Path("r"))._repr_html_())
    assert page.tags.count("tr") == 1 + 4
    assert "CurvePoint" in page.text
    for text in ("1,000", "0.6543"):
        assert text in page.text


def test_fields_without_a_value_are_left_out_and_texts_stay_text() -> None:
    found = CheckedFiles(
        findings=(Finding(HOSTILE),), remarks=("one", "two"), left_out={}, labels={"a": 3, "b": 4}
    )
    page = Page(found._repr_html_())
    assert "script" not in page.tags
    assert visible(HOSTILE) in page.text
    assert "a: 3, b: 4" in page.text
    assert "left out" not in page.text


def test_every_other_result_has_a_table() -> None:
    pushed = PushResult(
        status="uploaded",
        repo="me/m",
        url="https://hub/me/m",
        revision="main",
        private=True,
        card="x" * 10_000,
        files=(("a", 12),),
    )
    assert len(pushed._repr_html_()) < 3000, "the card is cut"
    for value in (pushed, Verification(5, 0.0), FilePredictions(Path("out.csv"), rows=7)):
        assert "table" in Page(value._repr_html_()).tags


def test_an_evaluation_starts_with_its_verdict(tmp_path: Path) -> None:
    evaluation = evaluation_of(Run(write_run(tmp_path / "a")))
    assert evaluation is not None
    assert evaluation._repr_html_().startswith("<p><strong>matthews_correlation is 0.5000: better")
