"""`gluetune export`: what was written answers as PyTorch does, and the record says so truly."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.processes import finish, fork_code
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app
from gluetune.core.errors import CheckpointError, ConfigurationError, RunError
from gluetune.core.runs import Checked, ExportFolder, ExportRecord, Run, read_export
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.exporting import onnx as module
from gluetune.exporting.checks import BackendResult, check
from gluetune.exporting.onnx import export, write_onnx
from gluetune.inference.exported import open_session
from gluetune.inference.predictor import Predictor, load
from gluetune.kinds import MULTI_LABEL
from gluetune.models.checkpoints import find_checkpoint
from gluetune.models.classifiers import load_trained
from gluetune.models.tokenizers import load_tokenizer

TEXTS = [("rain walks", "a river"), ("quietly blue", "kettle " * 30), ("a", "b")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Bench(tmp_path_factory.mktemp("bench")).train("mrpc", epochs=1)


@pytest.fixture(scope="module")
def record(run: Run) -> ExportRecord:
    return export(run.path, int8=True, max_loss=1.0)


def test_float32_gives_pytorchs_answers_at_any_batch_and_length(
    run: Run, record: ExportRecord
) -> None:
    onnx, plain = load(run.path, backend="onnx"), load(run.path)
    assert repr(onnx) == repr(plain)
    for texts in (TEXTS, TEXTS[:1], TEXTS * 9):
        np.testing.assert_allclose(onnx.logits(texts), plain.logits(texts), rtol=0, atol=1e-5)
    assert onnx("rain", "river").label == plain("rain", "river").label


def test_the_record_says_what_was_checked(run: Run, record: ExportRecord) -> None:
    assert record == read_export(run.folder.onnx / "export.json")
    assert [one.variant for one in record.checked] == ["onnx", "onnx-int8"]
    exact, rough = record.checked
    assert exact.good
    assert exact.score == record.score == run.score
    assert 0 < exact.largest_difference < 1e-4
    assert exact.changed_beyond_ties == 0
    assert rough.largest_difference > exact.largest_difference
    assert rough.megabytes < exact.megabytes
    assert record.rows == {"validation": 12}
    assert run.record.data is not None
    assert record.fingerprints["validation"] == run.record.data.fingerprints["validation"]
    assert {"onnx", "onnxruntime", "torch"} <= set(record.versions)


def test_a_second_export_at_once_is_refused_before_it_computes_and_the_first_is_whole(
    run: Run, record: ExportRecord, tmp_path: Path
) -> None:
    target = tmp_path / "onnx"
    waiting = """
import sys
from gluetune.exporting.onnx import export

def tell(line):
    print(line, flush=True)
    if line.startswith("ONNX Runtime"):
        sys.stdin.readline()

export(sys.argv[1], output=sys.argv[2], on_message=tell)
"""
    first = fork_code(waiting, run.path, target)
    while "ONNX Runtime" not in first.stdout.readline():
        assert first.poll() is None
    told: list[str] = []
    with pytest.raises(RunError, match=f"process {first.pid}.* is writing {target}") as refused:
        export(run, output=target, on_message=told.append)
    assert told == []
    assert "--output" in refused.value.findings[0].hint
    first.communicate("\n")
    assert first.returncode == 0
    assert read_export(target / "export.json").is_good
    assert load(target, backend="onnx").labels == ("not_equivalent", "equivalent")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["onnx"]


@pytest.mark.parametrize("call", [1, 2])
def test_an_export_killed_between_two_renames_leaves_one_that_runs(
    run: Run, record: ExportRecord, tmp_path: Path, call: int
) -> None:
    """As on a system that cannot exchange two names in one step."""
    copied = tmp_path / "run"
    shutil.copytree(run.path, copied)
    before = (copied / "onnx" / "export.json").read_bytes()
    deadly = f"""
import os, signal, sys
from pathlib import Path
from gluetune.core import files
from gluetune.exporting.onnx import export

files._exchange = lambda first, second: False
rename, calls = Path.rename, 0

def counted(self, target):
    global calls
    calls += "onnx" in self.name
    if calls == {call} and "onnx" in self.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.rename = counted
export(sys.argv[1])
"""
    code, _, err = finish(fork_code(deadly, copied))
    assert code == -signal.SIGKILL, err
    assert (copied / "onnx").exists() == (call == 1)
    assert load(Run(copied), backend="onnx").labels == ("not_equivalent", "equivalent")
    assert (copied / "onnx" / "export.json").read_bytes() == before
    assert export(copied).is_good
    assert sorted(path.name for path in copied.iterdir()) == sorted(
        path.name for path in run.path.iterdir()
    )


def test_int8_is_a_backend_too(run: Run, record: ExportRecord) -> None:
    found = load(run.path, backend="onnx-int8").logits(TEXTS)
    exact = load(run.path).logits(TEXTS)
    assert 0 < np.abs(found - exact).max() < 0.5


def test_the_folder_of_an_export_can_be_loaded_alone(
    run: Run, record: ExportRecord, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    run.folder.onnx.rename(moved)
    try:
        alone = load(moved, backend="onnx")
        assert alone.labels == ("not_equivalent", "equivalent")
        np.testing.assert_allclose(alone.logits(TEXTS), load(run.path).logits(TEXTS), atol=1e-5)
        with pytest.raises(RunError, match="holds no exported model"):
            load(run.path, backend="onnx")
    finally:
        moved.rename(run.folder.onnx)


def test_what_an_export_has_fixed_cannot_be_set(run: Run, record: ExportRecord) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(
            run.path, backend="onnx", precision="bf16", max_length=7, label_order=["a"], task="rte"
        )
    flags = [finding.message.split()[0] for finding in raised.value.findings]
    assert flags == ["--precision", "--max-length", "--label-order", "--task"]


def test_an_export_of_other_weights_is_refused(
    run: Run, record: ExportRecord, tmp_path: Path
) -> None:
    path = run.folder.onnx / "export.json"
    before = path.read_text()
    failed = {**record.checked[0].model_dump(), "good": False, "verdict": "it is not"}
    changes: list[tuple[dict[str, Any], str]] = [
        ({"weights_sha256": "0" * 64}, "exported from other weights"),
        ({"task": 3}, "damaged at 'task'"),
        ({"checked": [failed]}, "failed its check: it is not"),
        ({"checked": []}, "has no model.onnx"),
    ]
    try:
        for changed, message in changes:
            path.write_text(json.dumps({**json.loads(before), **changed}))
            with pytest.raises(RunError, match=message):
                load(run.path, backend="onnx")
    finally:
        path.write_text(before)
    assert load(run.path, backend="onnx")


def _result(rows: list[list[float]], score: float | None = 0.5) -> BackendResult:
    return BackendResult(np.array(rows, dtype=np.float32), score, 1.0)


def _checked(
    reference: BackendResult, found: BackendResult, variant: Any = "onnx", loss: float = 0.1
) -> Checked:
    return check(variant, Path(__file__), reference, found, loss)


def test_a_changed_label_is_good_only_between_ties() -> None:
    tied, apart = [0.0, 0.00005], [0.0, 1.0]
    swapped = _checked(_result([tied, apart]), _result([[0.00005, 0.0], apart]))
    assert (swapped.changed, swapped.changed_beyond_ties, swapped.good) == (1, 0, True)
    wrong = _checked(_result([tied, apart]), _result([tied, [1.0, 0.0]]))
    assert (wrong.changed, wrong.changed_beyond_ties, wrong.good) == (1, 1, False)
    assert "1 labels changed" in wrong.verdict


TAGS = TaskSpec(
    name="tags",
    title="Tags",
    text_columns=("text",),
    labels=("a", "b"),
    metrics=("f1_micro",),
    kind=MULTI_LABEL,
)


@pytest.mark.parametrize(
    ("thresholds", "before", "after", "changed", "beyond"),
    [
        ((), [[2.0, -0.1], [2.0, 0.3]], [[2.0, 0.1], [2.0, -0.3]], 2, 2),
        ((), [[2.0, -0.00001], [2.0, 0.3]], [[2.0, 0.00001], [2.0, 0.3]], 1, 0),
        ((0.0, 1.0), [[2.0, 0.5]], [[-2.0, 0.7]], 1, 1),
        ((0.0, 1.0), [[2.0, -0.5]], [[1.0, 0.9]], 0, 0),
        ((3.0, 1.0), [[2.0, -0.5]], [[-0.5, 0.9]], 0, 0),
    ],
)
def test_sets_of_labels_change_at_their_thresholds(
    thresholds: tuple[float, ...],
    before: list[list[float]],
    after: list[list[float]],
    changed: int,
    beyond: int,
) -> None:
    """The likeliest label stays the same in most of them."""
    task = replace(TAGS, thresholds=thresholds)
    found = check("onnx-int8", Path(__file__), _result(before), _result(after), 0.1, task=task)
    assert (found.changed, found.changed_beyond_ties) == (changed, beyond)


def test_one_label_can_change_and_a_number_has_none() -> None:
    before, after = _result([[1.0], [-1.0]]), _result([[-1.0], [1.0]])
    one = replace(TAGS, labels=("a",))
    assert check("onnx", Path(__file__), before, after, 0.1, task=one).changed == 2
    assert check("onnx", Path(__file__), before, after, 0.1, task=get_task("stsb")).changed == 0


def test_float32_must_agree_even_where_no_label_changes() -> None:
    assert not _checked(_result([[0.0, 1.0]]), _result([[0.0, 1.001]])).good
    assert not _checked(_result([[1.0]]), _result([[1.001]])).good
    assert _checked(_result([[100.0]]), _result([[100.001]])).good  # a part of the largest


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [(0.9, 0.85, True), (0.9, 0.75, False), (0.9, 0.95, True), (None, 0.9, False)],
)
def test_int8_must_keep_the_score(before: float | None, after: float, good: bool) -> None:
    rows = [[0.0, 1.0]]
    found = _checked(_result(rows, before), _result(rows, after), "onnx-int8")
    assert found.good == good
    assert f"{after:.4f}" in found.verdict


def test_what_is_not_good_is_written_said_and_ends_with_1(
    run: Run, record: ExportRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rough(path: Path, *_: Any, **__: Any) -> tuple[str, ...]:
        shutil.copy(run.folder.onnx / "model_int8.onnx", path)
        return tuple(record.inputs)

    monkeypatch.setattr(module, "write_onnx", rough)
    arguments = ["export", str(run.path), "--onnx", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert "onnx NOT GOOD: the largest logit difference is" in done.output
    with pytest.raises(RunError, match="failed its check"):
        load(tmp_path / "out", backend="onnx")


def test_mistakes_are_told_together_before_any_work(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConfigurationError) as raised:
        export(run.path, output=tmp_path, max_loss=-1)
    assert len(raised.value.findings) == 2
    assert (tmp_path / "mine.txt").read_text() == "precious"
    folder = write_tiny_checkpoint(tmp_path / "tiny", "bert", num_labels=2)
    with pytest.raises(ConfigurationError, match="needs an output folder"):
        export(folder)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        export(tmp_path)
    with pytest.raises(ConfigurationError, match="the data to check it on"):
        export(folder, output=tmp_path / "new")
    done = CliRunner().invoke(app, ["export", str(run.path)])
    assert isinstance(done.exception, ConfigurationError)
    assert "--onnx" in str(done.exception)


@pytest.mark.parametrize(
    "architecture", ["distilbert", "roberta", "deberta-v2", "modernbert", "t5"]
)
def test_other_architectures_export(architecture: str, tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / architecture, architecture, num_labels=3)
    classifier = load_trained(find_checkpoint(str(folder)))
    model, tokenizer = classifier.model.eval(), classifier.tokenizer
    path = ExportFolder(tmp_path).model("onnx")
    names = write_onnx(path, model, tokenizer, pairs=False)
    session = open_session(path, 1)
    for texts in (["a quick brown fox"], ["rain", "a b c d e f g", "walks " * 20]):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = model(**{name: batch[name] for name in names})["logits"].numpy()
        (found,) = session.run(None, {name: batch[name].numpy() for name in names})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


class InvertsItsMask(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """What XLNet and T5 do with an integer mask, and torch 2.13 cannot decompose."""

    dtype = torch.float32

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        hidden = (1.0 - attention_mask) * input_ids
        return {"logits": hidden.sum(dim=1, keepdim=True)}


def test_a_mask_that_is_inverted_is_exported_too(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny", "roberta")
    tokenizer = load_tokenizer(find_checkpoint(str(folder)))
    model: Any = InvertsItsMask()
    assert write_onnx(tmp_path / "m.onnx", model, tokenizer, pairs=False) == (
        "input_ids",
        "attention_mask",
    )
    ids, mask = np.array([[3, 4, 5]]), np.array([[1, 0, 0]])
    session = open_session(tmp_path / "m.onnx", 1)
    (found,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
    assert found.tolist() == [[9.0]]


def test_an_architecture_without_a_way_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise torch.onnx.OnnxExporterError("no such operator\nand much more")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(CheckpointError, match=r"BertFor.* cannot be exported to ONNX: no such op"):
        export(run.path, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_names_are_public() -> None:
    assert gluetune.export is export
    assert isinstance(gluetune.load, type(load))
    assert Predictor is gluetune.Predictor
