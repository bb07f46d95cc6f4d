"""The scripts in examples/, run unchanged with a checkpoint that trains in a second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tiny_checkpoints import write_tiny_checkpoint

FOLDER = Path(__file__).parents[2] / "examples"


def test_the_notebooks_story_as_a_script(tmp_path: Path) -> None:
    source = (FOLDER / "text_classification_on_glue.py").read_text("utf-8")
    assert source.count('"minilm"') == 1
    assert len(source.splitlines()) < 30
    script = tmp_path / "script.py"
    tiny = write_tiny_checkpoint(tmp_path / "tiny", "bert")
    script.write_text(source.replace('"minilm"', repr(str(tiny))), "utf-8")
    quiet = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | quiet | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("most frequent class: 0.5")
    assert "McNemar's exact test" in lines[2]
    assert Path(lines[3]).name == "report.html"
    assert (tmp_path / lines[3]).exists()
    assert "Prediction(label=" in lines[4]
    assert "'model.safetensors'" in lines[-1]
    assert (tmp_path / "predictions.jsonl").read_text().count('"label"') == 1


def test_every_example_is_tested() -> None:
    assert [path.name for path in sorted(FOLDER.glob("*.py"))] == ["text_classification_on_glue.py"]
