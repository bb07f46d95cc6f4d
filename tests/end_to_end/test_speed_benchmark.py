"""The speed benchmark runs, and finds that both sides compute the same.

Only the plain contestant has a process of its own here, where it proves that it imports no
gluetune; the other jobs are done in this one, which has torch loaded.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed import contest, turns, worker
from benchmarks.speed.__main__ import main
from tests.support.tiny_checkpoints import write_tiny_checkpoint

OPTIONS = (
    *("--data", "sample", "--tasks", "wnli", "--contestants", "notebook", "gluetune"),
    *("--rounds", "1", "--steps", "3", "--warmup", "1", "--eval-examples", "40"),
    *("--threads", "1", "--no-dropout"),
)
in_a_process = turns.run_worker


def in_this_process(job: Any, request: dict[str, Any], **how: Any) -> dict[str, Any]:
    if request.get("trainer") == "transformers":
        return in_a_process(job, request, **how)
    found: dict[str, Any] = json.loads(json.dumps(worker.do(job, request)))
    return found


def test_both_sides_train_and_evaluate_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_tiny_checkpoint(tmp_path / "model", "bert", dropout=0.1)
    written = tmp_path / "speed.md"
    for module in (contest, turns):
        monkeypatch.setattr(module, "run_worker", in_this_process)
    monkeypatch.setattr(
        "sys.argv", ["speed", *OPTIONS, "--model", str(model), "--write", str(written)]
    )

    assert main() == 0

    report = written.read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip().endswith(report.strip())
    assert str(tmp_path) not in report
    assert re.search(r"\| wnli \| \d+\.\d\d \(", report), report
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if "% of " in line]
    assert [row[0] for row in rows] == [
        "notebook",
        "gluetune",
        "notebook",
        "gluetune",
        "gluetune, Trainer.predict",
    ]
    for row in rows:
        in_half = any("% of bf16" in cell for cell in row)  # what `auto` takes where it is native
        assert float(row[-1]) < (0.02 if in_half else 1e-5)
