"""A user's own text goes the way of GLUE's tasks: trained, repeated, scored, compared, asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.support.hub_server import Hub
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.trainings import At, outcome, resumed
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app, main
from gluetune.errors import ConfigurationError, RunError
from gluetune.runs import Run


class Own:
    """A file of reviews and a tiny checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = write_tiny_checkpoint(folder / "bert", "bert")
        rows = [{"review": row["text"], "stars": row["label"]} for row in reviews(40, (1, 2))]
        self.file = write_csv(folder / "reviews.csv", rows)
        self._count = 0

    @property
    def output(self) -> Path:
        self._count += 1
        return self.folder / "runs" / str(self._count)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "train_file": str(self.file),
            "text": "review",
            "label": "stars",
            "model": str(self.model),
            "epochs": 2,
            "learning_rate": 1e-3,
            "threads": 1,
            "precision": "fp32",
        }

    def train(self, **changed: Any) -> Run:
        settings = {"output": self.output, **self.settings, **changed}
        return gluetune.train(**settings, progress=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return Own(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def run(own: Own) -> Run:
    return own.train()


def typed(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_flags_yaml_and_python_give_the_same_run_to_the_bit(own: Own, run: Run) -> None:
    flags = own.output
    words = [
        part
        for name, value in own.settings.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    typed("train", *words, "--output", str(flags))
    recipe = own.folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(own.settings))
    from_yaml = gluetune.train(config=recipe, output=own.output, progress=False)
    again = gluetune.train(config=run.folder.config, output=own.output, progress=False)
    assert outcome(Run(flags)) == outcome(from_yaml) == outcome(again) == outcome(run)
    assert run.task == again.task == Run(run.path).task


def test_the_record_and_the_configuration_say_what_was_decided(own: Own, run: Run) -> None:
    assert run.task.labels == ("1", "2")
    config = yaml.safe_load(run.folder.config.read_text())
    assert config["train_file"] == str(own.file.resolve())
    assert (config["kind"], config["metric"], config["task"]) == ("classes", "accuracy", "reviews")
    assert run.record.data is not None
    assert run.record.data.source == str(own.file.resolve())
    written = json.loads(run.folder.record.read_text())
    assert written["own_task"]["labels"] == ["1", "2"]
    head = json.loads((run.model_path / "config.json").read_text())
    assert head["id2label"] == {"0": "1", "1": "2"}


def test_a_run_on_own_text_resumes_to_the_bit(own: Own, run: Run) -> None:
    output = own.output

    def stop(**kwargs: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.train(output=output, callbacks=[At("on_step_end", 4, stop)])
    assert outcome(resumed(output)) == outcome(run)


def test_every_later_verb_takes_it(own: Own, run: Run, tmp_path: Path) -> None:
    measured = gluetune.evaluate(run.path)
    assert measured.score.score == run.score
    assert measured.agreement["validation"].largest_difference == 0
    assert gluetune.evaluate(run.path, data=str(own.file)).rows == {"validation": 40}
    other = own.train(seed=43)
    assert gluetune.compare(run.path, other.path).task == "reviews"
    assert gluetune.load(run.path)("film 3 is bad").label in ("1", "2")
    answered = tmp_path / "answers.csv"
    gluetune.predict(run.path, own.file, output=answered)
    assert answered.read_text().splitlines()[0] == (
        "review,stars,label,score,probability_1,probability_2"
    )
    assert "they say" in (run.path / "report.html").read_text()
    assert "reviews on" in typed("evaluate", str(run.path))
    with pytest.raises(ConfigurationError, match="no leaderboard scores"):
        gluetune.submit(run.path)


def test_runs_with_other_labels_are_not_compared(own: Own, run: Run) -> None:
    other = own.train(kind="number", epochs=1)
    with pytest.raises(RunError, match="other labels or metrics"):
        gluetune.compare(run.path, other.path)


def test_rows_that_python_holds_are_the_same_as_their_file(own: Own) -> None:
    import datasets

    frame = pd.read_csv(own.file)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, own.folder / "rows.parquet")
    given = (
        str(own.folder / "rows.parquet"),
        frame,
        table,
        datasets.Dataset.from_pandas(frame).select(range(len(frame))),
    )
    runs = [own.train(train_file=rows, epochs=1) for rows in given]
    found = [outcome(one) for one in runs]
    assert found[0] == found[1] == found[2] == found[3]
    repeat = gluetune.train(config=runs[1].folder.config, output=own.output, progress=False)
    assert outcome(repeat) == found[0]
    with pytest.raises(ConfigurationError, match="holds no rows that can be read"):
        own.train(train_file=3.5)


def test_a_data_set_of_the_hub_is_a_file_too(
    own: Own, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own.folder / "hub" / "data"
    folder.mkdir(parents=True)
    table = pa.Table.from_pandas(pd.read_csv(own.file), preserve_index=False)
    for split, part in (("train", table.slice(0, 30)), ("validation", table.slice(30))):
        pq.write_table(part, folder / f"{split}-00000-of-00001.parquet")
    hub.datasets["someone/reviews"] = folder.parent
    hub.use_in_process(monkeypatch)
    run = own.train(train_file=None, data_set="someone/reviews", epochs=1)
    assert run.record.data is not None
    assert run.record.data.rows == {"train": 30, "validation": 10}
    assert gluetune.evaluate(run.path).score.score == run.score
    with pytest.raises(gluetune.GluetuneError, match=r"no split 'trian'.*\n.*'train'"):
        own.train(train_file=None, data_set="someone/reviews", train_split="trian")


def test_mistakes_of_data_and_checkpoint_come_together(
    own: Own, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--train-file", str(own.file), "--text", "reviw", "--label", "star"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--model", str(own.folder / "nothing")])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "has no column 'reviw'. Its columns: review, stars." in told
    assert "Did you mean 'review'? Type: --text review" in told
    assert "has no column 'star'" in told
    assert "nothing" in told
