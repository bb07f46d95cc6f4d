"""A user's own text works like GLUE's tasks: trained, repeated, scored, compared, predicted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.support.hub_server import Hub
from tests.support.own_files import reviews, write_csv
from tests.support.servers import serving
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At, outcome, resumed
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app, main
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.runs import Run
from gluetune.data.sources import scored_rows
from gluetune.exporting.onnx import export


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


def test_flags_yaml_and_python_give_the_same_run_bit_for_bit(own: Own, run: Run) -> None:
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


def test_the_record_and_the_configuration_have_what_was_resolved(own: Own, run: Run) -> None:
    assert run.task.labels == ("1", "2")
    config = yaml.safe_load(run.folder.config.read_text())
    assert config["train_file"] == str(own.file.resolve())
    assert (config["kind"], config["metric"], config["task"]) == (
        "single_label",
        "accuracy",
        "reviews",
    )
    assert run.record.data is not None
    assert run.record.data.source == str(own.file.resolve())
    written = json.loads(run.folder.record.read_text())
    assert written["own_task"]["labels"] == ["1", "2"]
    head = json.loads((run.model_path / "config.json").read_text())
    assert head["id2label"] == {"0": "1", "1": "2"}


def test_a_run_on_own_text_resumes_bit_for_bit(own: Own, run: Run) -> None:
    output = own.output

    def stop(**kwargs: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own.train(output=output, callbacks=[At("on_step_end", 4, stop)])
    assert outcome(resumed(output)) == outcome(run)


def test_every_later_verb_accepts_it(own: Own, run: Run, tmp_path: Path) -> None:
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
    with pytest.raises(ConfigurationError, match="not on a task of the leaderboard"):
        gluetune.submit(run.path)


def test_later_verbs_read_files_as_the_run_does(own: Own, tmp_path: Path) -> None:
    def rows(path: Path, between: str, header: str = "") -> Path:
        lines = [f'{row["label"]}{between}{row["text"]} "so' for row in reviews(40)]
        path.write_text("".join(f"{line}\n" for line in ([header] if header else []) + lines))
        return path

    train = rows(tmp_path / "train.tsv", "~")
    how = {"delimiter": "~", "quoting": "none", "columns": "stars,review"}
    run = own.train(train_file=str(train), **how)
    kept = yaml.safe_load(run.folder.config.read_text())
    assert kept["columns"] == ["stars", "review"]
    assert (kept["delimiter"], kept["quoting"]) == ("~", "none")
    again = gluetune.evaluate(run.path)
    assert again.score == gluetune.evaluate(str(run.path), split="validation").score

    same = rows(tmp_path / "same.tsv", "~")
    other = rows(tmp_path / "other.txt", "\t", "stars\treview")
    scores = [
        gluetune.evaluate(run.path, data=str(same)).score,
        gluetune.evaluate(run.path, data=str(other)).score,
    ]
    assert scores[0] == scores[1]
    answered = typed(
        *("evaluate", str(run.path), "--data", str(other), "--format", "tsv"),
        *("--quoting", "none", "--header", "--json"),
    )
    assert json.loads(answered)["rows"] == {"validation": 40}
    with pytest.raises(ConfigurationError, match="no file of your own text is evaluated"):
        gluetune.evaluate(run.path, file_format=gluetune.FileFormat(delimiter=";"))

    asked = tmp_path / "new.tsv"
    asked.write_text('1~a film that is fine\n2~another "one\n')
    typed(
        *("predict", str(run.path), "--file", str(asked), "--output", str(tmp_path / "out.tsv")),
        *("--columns", "id,review"),
    )
    head, *answers = (tmp_path / "out.tsv").read_text().splitlines()
    assert head.startswith("id~review~label~score")
    assert [line.split("~")[1] for line in answers] == ["a film that is fine", 'another "one']


def test_a_search_scores_its_trials_on_whole_groups_of_train(own: Own) -> None:
    users = {f"{row['text']} again": number % 8 for number, row in enumerate(reviews(64))}
    rows = [
        {"review": text, "stars": number % 2 + 1, "user": user}
        for number, (text, user) in enumerate(users.items())
    ]
    fixed = {name: own.settings[name] for name in own.settings if name != "learning_rate"}
    found = gluetune.search(
        **{**fixed, "train_file": str(write_csv(own.folder / "users.csv", rows)), "epochs": 1},
        group="user",
        space={"learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}},
        trials=2,
        output=own.output,
        progress=False,
    )
    assert (len(found.trials), found.tuned_on) == (2, "holdout")
    held, final = found.run, found.finals[0]
    assert found.parameters["learning_rate"] == final.config.learning_rate
    assert held.record.data is not None
    assert set(held.record.data.rows) == {"train", "holdout"}
    texts = scored_rows(held, held.task, "holdout")
    assert not isinstance(texts, str), texts
    kept = {users[text] for text in texts["review"].to_pylist()}
    validation = scored_rows(final, final.task, "validation")
    assert not isinstance(validation, str), validation
    assert kept.isdisjoint(users[text] for text in validation["review"].to_pylist())
    assert sum(user in kept for user in users.values()) == len(texts), "whole groups"


def test_a_run_is_pushed_and_loaded_by_name(own: Own, writable: Hub) -> None:
    run = own.train(compute="padded")  # as a checkpoint of the Hub is computed
    pushed = gluetune.push(run.path, "me/my-reviews")
    assert pushed.status == "uploaded"
    assert pushed.verification is not None
    assert pushed.verification.largest_difference == 0
    assert "nyu-mll/glue" not in pushed.card
    assert str(own.folder) not in pushed.card
    labels = gluetune.load("me/my-reviews", precision="fp32").labels
    assert labels == ("1", "2")


def test_a_run_is_served(run: Run) -> None:
    asked = gluetune.load(run.path)
    with serving(asked) as served, httpx.Client(base_url=served.url, timeout=30) as client:
        answered = client.post("/predict", json={"inputs": "film 3 is bad"}).json()
        page = client.get("/").text
    found = {one["label"]: one["score"] for one in answered}
    assert found == asked("film 3 is bad").probabilities
    assert "reviews" in page


def test_a_run_is_exported_and_predicts(run: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(run.path, tmp_path / "run")
    made = gluetune.export(copy)
    assert made.is_good
    assert (made.own_task, made.rows) == (run.task, {"validation": 4})
    assert made.checked[0].score == run.score
    text = "film 3 is bad"
    assert gluetune.load(copy, backend="onnx")(text).label == gluetune.load(copy)(text).label


def test_train_uses_the_tokens_that_check_cached(
    own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path))
    found = gluetune.check_files(
        own.file, text="review", label="stars", model=str(own.model), max_length=8
    )
    assert "36 of 36 texts of train (100.0%) are longer than 8 tokens" in found.remarks[-2]
    kept = sorted((tmp_path / "tokens").iterdir())
    assert len(kept) == 4  # of two splits: cut, and as windows would read them
    own.train(epochs=1, max_length=8)
    assert sorted((tmp_path / "tokens").iterdir()) == kept


def test_runs_with_other_labels_are_not_compared(own: Own, run: Run) -> None:
    other = own.train(kind="number", epochs=1)
    with pytest.raises(RunError, match="other labels or metrics"):
        gluetune.compare(run.path, other.path)


def test_rows_given_as_python_objects_equal_their_file(own: Own) -> None:
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
    with pytest.raises(ConfigurationError, match="rows cannot be read from a"):
        own.train(train_file=3.5)


def test_a_data_set_of_the_hub_equals_its_file(
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


def test_mistakes_of_data_and_checkpoint_are_reported_together(
    own: Own, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--train-file", str(own.file), "--text", "reviw", "--label", "star"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--model", str(own.folder / "nothing")])
    assert ended.value.code == 3
    messages = capsys.readouterr().err
    assert "has no column 'reviw'. Its columns: review, stars." in messages
    assert "Did you mean 'review'? Type: --text review" in messages
    assert "has no column 'star'" in messages
    assert "nothing" in messages


def test_rows_are_reported_with_their_own_file(own: Own, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [{"review": row["text"], "stars": row["label"]} for row in reviews(12, (1, 2))]
    more, last = (write_csv(own.folder / f"{name}.csv", rows) for name in ("dv", "te"))
    settings = {**own.settings, "validation_file": str(more), "test_file": str(last)}
    run = gluetune.train(output=own.output, **settings)
    said = capfd.readouterr().err
    files = f"{own.file} (train 40 examples), {more} (validation 12 examples)"
    assert f"data    {files}" in said
    shown = f"…/{own.file.name} (train 40 examples), …/{more.name} (validation 12 examples)"
    assert f"Data: {shown}." in (run.path / "report.html").read_text("utf-8")
    assert gluetune.evaluate(run.path).data == str(more)
    assert gluetune.evaluate(run.path, split="test").data == str(last)
    printed = "".join(typed("evaluate", str(run.path)).split())
    assert f"reviewson{more}(validation12)" in printed
    assert gluetune.evaluate(run.path, data=str(own.file)).data == str(own.file)
    assert export(run.path, output=own.folder / "onnx").data == str(more)
    more.write_text(more.read_text().replace("film 0", "movie 0"))
    reason = scored_rows(run, run.task, "validation")
    assert isinstance(reason, str)
    assert f"{more} has changed" in reason
