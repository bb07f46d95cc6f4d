"""The public API is typed: mypy passes right calls, and refuses each wrong one at its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.pages import ROOT

RIGHT = """
from pathlib import Path

import gluetune

run = gluetune.train("cola", model="minilm", learning_rate=3e-5, precision="bf16", epochs=2)
gluetune.train(train_file=Path("a.csv"), text="review", label=["a", "b"], format="csv")
gluetune.train("rte", training_args={"adam_beta2": 0.98}, output="runs/x", callbacks=[])
gluetune.train(config=gluetune.TrainConfig(task="cola", epochs=3))
score: float | None = run.score
model: Path = run.model_path
gluetune.evaluate(run, split="validation", batch_size=8, precision="fp32")
predictor = gluetune.load(run, backend="onnx", label_order="no,yes")
label: str | None = predictor("A text.").label
gluetune.predict(predictor, "a.csv", output="b.csv", on_error="skip", prefix="x_")
gluetune.check_files("a.csv", Path("b.csv"), text="review", on_bad_row="skip")
gluetune.export(run, int8=True, max_loss=0.02)
gluetune.serve(run, port=8080, allowed_hosts=["a.example"], limits=gluetune.Limits(max_queue=8))
gluetune.push(run, "me/cola", private=True)
gluetune.compare(run, "runs/other")
good: bool = gluetune.check_files("a.csv").are_good
"""

WRONG = """
gluetune.train("cola", learning_rate="x")
gluetune.train("cola", lr=1)
gluetune.train("cola", precision="fp8")
gluetune.train("cola", seed=None)
gluetune.train("cola", set={"adam_beta2": 0.98})
gluetune.train(3)
gluetune.TrainConfig(task="cola", epoch=3)
gluetune.TrainConfig()
gluetune.evaluate(3)
gluetune.evaluate(run, batchsize=8)
gluetune.evaluate(run, precision="half")
gluetune.load(run, backend="tflite")
gluetune.load(run, max_len=12)
gluetune.predict(predictor, "a.csv", output="b.csv", on_error="ignore")
gluetune.predict(predictor, "a.csv")
gluetune.check_files("a.csv", textcolumn="review")
gluetune.check_files("a.csv", on_bad_row="drop")
gluetune.export(run, int8="yes")
gluetune.serve(run, port="80")
gluetune.Limits(max_queues=3)
gluetune.push(run)
run.scores
predictor(3)
"""


def test_mypy_passes_the_right_calls_and_refuses_each_wrong_one(tmp_path: Path) -> None:
    script = tmp_path / "calls.py"
    script.write_text(RIGHT + WRONG)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--show-error-codes"]
    done = subprocess.run([*command, script], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {int(number) for number in re.findall(r"calls\.py:(\d+): error", done.stdout)}
    first = RIGHT.count("\n") + 2  # WRONG begins with a line break
    wrong = dict(enumerate(WRONG.strip().splitlines(), first))
    assert not [line for line in done.stdout.splitlines() if "calls.py" not in line]
    assert [wrong[number] for number in wrong if number not in found] == []
    assert sorted(found - wrong.keys()) == [], done.stdout
