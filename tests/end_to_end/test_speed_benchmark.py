"""The speed benchmark runs, and finds that both sides do the same mathematics."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.pages import ROOT
from tests.support.tiny_checkpoints import write_tiny_checkpoint

COMMAND = (
    *(sys.executable, "-m", "benchmarks.speed", "--data", "sample", "--tasks", "wnli"),
    *("--contestants", "notebook", "gluetune", "--rounds", "1", "--threads", "1"),
    *("--steps", "3", "--warmup", "1", "--eval-examples", "40", "--no-dropout"),
)


def test_both_sides_train_and_evaluate_alike(tmp_path: Path) -> None:
    model = write_tiny_checkpoint(tmp_path / "model", "bert", dropout=0.1)
    written = tmp_path / "speed.md"

    done = subprocess.run(
        [*COMMAND, "--model", str(model), "--write", str(written)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = written.read_text(encoding="utf-8")
    assert done.stdout.strip() == report.strip()
    assert str(tmp_path) not in report
    assert re.search(r"\| wnli \| \d+\.\d\d \(", report), report
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if "% of fp32" in line]
    assert [row[0] for row in rows] == [
        "notebook",
        "gluetune",
        "notebook",
        "gluetune",
        "gluetune, Trainer.predict",
    ]
    assert max(float(row[-1]) for row in rows) < 1e-5
