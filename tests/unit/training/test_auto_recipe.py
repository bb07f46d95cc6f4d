"""`--recipe auto`: settings by model size, rows and classes, with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_runs import Bench, outcome, resumed
from transformers import AutoModel

import gluetune
from gluetune.core.config import make_config
from gluetune.training.auto_recipe import choose, count_weights, resolve_auto


@pytest.mark.parametrize(
    ("parameters", "rows", "classes", "expected"),
    [
        (22_700_000, 2_490, 2, (1e-4, 16, 10.0, 500)),
        (110_000_000, 67_349, 2, (5e-5, 32, 5.0, 500)),
        (335_000_000, 392_702, 3, (2e-5, 32, 3.0, 500)),
        (600_000_000, 100, 0, (1e-5, 16, 10.0, 500)),
        (22_700_000, 3_000, 77, (1e-4, 16, 10.0, 1000)),
    ],
)
def test_choices_depend_on_size_rows_and_classes(
    parameters: int, rows: int, classes: int, expected: tuple[float, ...]
) -> None:
    found = list(choose(parameters, rows, classes))
    settings = {name: value for one in found for name, value in one.settings.items()}
    names = ("learning_rate", "batch_size", "epochs", "min_steps")
    assert tuple(settings[name] for name in names) == expected
    assert all(one.reason for one in found)
    make_config({"task": "cola", **settings})


def test_the_weights_of_a_checkpoint_are_counted_from_its_files(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    model = AutoModel.from_pretrained(bench.model)
    assert count_weights(bench.model) == sum(each.numel() for each in model.parameters())


def test_a_run_records_what_was_chosen_and_why(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.train(recipe="auto", epochs=2, min_steps=1)
    assert run.config.auto_settings is False
    assert (run.config.epochs, run.config.learning_rate) == (2, 1e-3), "what is given wins"
    assert (run.config.warmup, run.config.average_epochs) == (0.1, 3)
    notes = run.record.notes
    assert notes[0].startswith("Recipe auto: measured with")
    assert any(note.startswith("Recipe auto: batch_size 16 (40 training rows") for note in notes)
    assert not any("learning_rate" in note for note in notes)
    again = gluetune.train(config=run.folder.config, output=bench.new_output(), progress=False)
    assert outcome(again) == outcome(run), "config.yaml has what was chosen"


def test_it_is_for_ones_own_text_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    file = write_csv(tmp_path / "reviews.csv", reviews(40))
    settings: dict[str, Any] = {
        "train_file": file,
        "model": str(bench.model),
        "epochs": 1,
        "min_steps": 1,
    }
    run = gluetune.train(
        **settings, recipe="auto", threads=1, output=tmp_path / "run", progress=False
    )
    assert run.config.learning_rate == 1e-4
    assert run.config.task == "reviews"
    probed = gluetune.train(
        train_file=file,
        model=str(bench.model),
        method="probe",
        recipe="auto",
        output=tmp_path / "probe",
        progress=False,
    )
    assert probed.record.notes[1] == "Recipe auto: --method probe has no settings to choose."


def test_an_interrupted_run_keeps_what_was_chosen(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    whole = bench.train(recipe="auto", epochs=2, min_steps=1)
    output = bench.new_output()

    def cut_power(epoch: object) -> None:
        raise MemoryError("no clean-up of gluetune's own")

    with pytest.raises(MemoryError):
        gluetune.train(
            **bench.settings(epochs=2, min_steps=1),
            recipe="auto",
            output=output,
            on_epoch=cut_power,
            progress=False,
        )
    assert outcome(resumed(output)) == outcome(whole)


def test_without_the_recipe_nothing_is_chosen(tmp_path: Path) -> None:
    config = make_config({"task": "cola"})
    assert resolve_auto(config, checkpoint=tmp_path, rows=100, classes=2) == (config, [])
