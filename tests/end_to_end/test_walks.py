"""How many files of the package a command imports on its way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.support.imports import SOURCE, room
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import write_task

MOST_FILES = 67
"""Files whose functions run between `gluetune train cola` and its run folder. May only fall."""

OPTIONS = {"gluetune.experiments", "gluetune.serving"}
OPTIONS |= {f"{name}.settings" for name in OPTIONS}
"""The settings models of all verbs, from which the command line makes its options."""

# Of a real run: the package's files with a function that was called, and the modules imported, at
# the moment that training is done (`done`) and at the end. What runs while a module is imported
# (decorators, class bodies) is nobody's walk.
FOLLOWED = """
import json, sys
from pathlib import Path
source, arguments, output = Path(sys.argv[1]), sys.argv[2:-1], Path(sys.argv[-1])
called, importing, done = set(), 0, {}
def note():
    return {"files": sorted(called), "modules": sorted(sys.modules)}
def follow(frame, event, argument):
    global importing
    code = frame.f_code
    if code.co_name == "<module>" and event in ("call", "return"):
        importing += 1 if event == "call" else -1
    if event != "call" or importing or not code.co_filename.startswith(str(source)):
        return
    file = Path(code.co_filename)
    if (file.name, code.co_name) == ("run.py", "write_report"):
        done.update(note())
    if file.suffix == ".py" and code.co_flags & 1:  # a function: optimised locals
        called.add(file.relative_to(source).as_posix())
from gluetune.cli.app import main
sys.setprofile(follow)
try:
    main(arguments)
except SystemExit as end:
    assert not end.code, end.code
finally:
    sys.setprofile(None)
output.write_text(json.dumps({"done": done, "end": note()}))
"""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """What `gluetune train cola` runs and imports."""
    folder = tmp_path_factory.mktemp("walk")
    data = write_task(folder / "data", "cola")
    model = write_tiny_checkpoint(folder / "model", "bert")
    command = ["train", "cola", "--data", str(data), "--model", str(model), "--epochs", "1"]
    command += ["--output", str(folder / "run")]
    output = folder / "walk.json"
    done = subprocess.run(
        [sys.executable, "-c", FOLLOWED, str(SOURCE), *command, str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "run/report.html").exists()
    found: dict[str, dict[str, list[str]]] = json.loads(output.read_text(encoding="utf-8"))
    return found


def test_few_files_are_between_the_command_and_the_run_folder(
    followed: dict[str, dict[str, list[str]]],
) -> None:
    files = followed["done"]["files"]
    assert {"cli/train.py", "training/run.py", "training/trainer.py"} <= {*files}
    assert len(files) <= MOST_FILES, "\n".join(files)


def test_training_does_not_import_pages_hub_server_or_search(
    followed: dict[str, dict[str, list[str]]],
) -> None:
    rooms = {
        when: {room(name) for name in {*followed[when]["modules"]} - OPTIONS if "gluetune." in name}
        for when in ("done", "end")
    }
    assert not rooms["done"] & {"rendering", "publishing", "serving", "exporting", "experiments"}
    assert "rendering" in rooms["end"]
    assert not rooms["end"] & {"publishing", "serving", "exporting", "experiments"}
