"""Files, folders, tasks and labels with names that look like a terminal's markup."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint

from gluetune.cli.app import main
from gluetune.core.command_lines import command_line

LABELS = ("[red]", "[/]", "\u202eab")

Typed = Callable[..., str]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return what a command prints, on standard output and error, where both are ASCII."""

    def run(*words: object) -> str:
        written = io.BytesIO()
        for name in ("stdout", "stderr"):
            stream = io.TextIOWrapper(
                written, encoding="ascii", errors="strict", write_through=True
            )
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        text = written.getvalue().decode("ascii")
        assert ended.value.code in (0, None), text
        return text

    return run


class Place:
    """A folder with a file, a checkpoint and two runs, all of them badly named."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "[bold]"
        (self.folder / "[b]x[").mkdir(parents=True)
        self.file = write_csv(self.folder / "[b]x[/b].csv", reviews(60, LABELS))
        self.other = write_csv(self.folder / "[red] [i].csv", reviews(60, LABELS))
        self.model = write_tiny_checkpoint(self.folder / "[i]bert[_i]", "bert")
        self.runs = [self.folder / f"[u]run[]{seed}" for seed in (1, 2)]

    def settings(self, seed: int) -> list[object]:
        output = ["--output", self.runs[seed - 1], "--seed", seed]
        few = ["--epochs", 1, "--threads", 1, "--precision", "fp32", "--learning-rate", 1e-3]
        return ["--train-file", self.file, "--model", self.model, *few, *output]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("hostile"))


def test_every_verb_prints_such_names_as_they_are(place: Place, typed: Typed) -> None:
    checked = typed("check", place.file)
    assert all(label in checked for label in LABELS[:2])
    assert "?ab" in checked  # a direction override is made visible
    for seed, run in enumerate(place.runs, start=1):
        trained = typed("train", *place.settings(seed))
        assert command_line("report", run) in trained
    (first, second) = place.runs
    evaluated = typed("evaluate", first)
    assert all(label in evaluated for label in LABELS[:2])
    assert all(f"{label}" in typed("predict", first, "some text") for label in LABELS[:2])
    assert json.loads(typed("predict", first, "some text", "--json"))["label"] in LABELS
    compared = typed("compare", first, second)
    assert first.name in compared
    assert str(first) in typed("report", first)
    assert "this run" in typed("references", "--run", first)


def test_a_file_is_printed_by_its_name(place: Place, typed: Typed) -> None:
    run = place.folder / "[blink]"
    settings = place.settings(1)[2:-4]
    trained = typed("train", *settings, "--train-file", place.other, "--output", run)
    assert str(place.other) in trained
    assert command_line("serve", run) in trained
    assert f"{place.other} (validation" in " ".join(typed("evaluate", run).split())


def test_search_prints_such_names(place: Place, typed: Typed) -> None:
    space = place.folder / "[space].yaml"
    space.write_text("batch_size: [8]\n", encoding="utf-8")
    output = place.folder / "[s]search[]"
    found = typed(
        *("search", *place.settings(1)[:-4], "--trials", 1),
        *("--space", space, "--output", output),
    )
    assert str(output) in found


def test_suite_prints_such_names(place: Place, typed: Typed) -> None:
    output = place.folder / "[s]suite[]"
    few = ("--tasks", "cola,rte", "--seeds", 1, "--fraction", 0.02, "--epochs", 1, "--threads", 1)
    command = ("suite", "--model", place.model, "--data", "sample", *few, "--jobs", 1)
    found = typed(*command, "--output", output)
    assert command_line("report", output) in found
    messages = typed(*command, "--output", output, "--json")
    assert json.loads(messages[messages.index("{\n") :])["jobs"]
