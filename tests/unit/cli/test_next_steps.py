"""What a mistake's message says to type next is read by the parser, and fits the mistake."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from tests.support.own_files import own_config, reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint

from gluetune.analysis.evaluation import evaluate
from gluetune.cli.app import app, main
from gluetune.cli.predict import _refuse_file
from gluetune.cli.run_glue import translate
from gluetune.core.config import FileFormat, make_config
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError
from gluetune.core.files import nearest_file
from gluetune.core.settings import shell_settings
from gluetune.core.settings_files import read_settings, split_names
from gluetune.data.formats.registry import detect
from gluetune.data.own.source import OwnFile, OwnSource
from gluetune.publishing.leaderboard_files import faults
from gluetune.serving.server import _address_hint
from gluetune.serving.settings import Limits

VERBS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", VERBS)
def test_no_name_of_an_option_is_cut_in_80_columns(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([verb, "--help-all"])
    shown = capsys.readouterr().out
    words = set(re.findall(r"--[a-z0-9-]+", shown))
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    shown_ones = [each for each in command.params if not getattr(each, "hidden", False)]
    names = {name for each in shown_ones for name in (*each.opts, *each.secondary_opts)}
    assert {name for name in names if name.startswith("--")} <= words
    assert not re.search(r"\w…", shown), "nothing is cut"
    assert not re.search(r"<\w", shown), "placeholders are no types of Python"
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("setting", "value", "typed"),
    [
        ("format", "cvs", "--format csv"),
        ("format", "xml", "--format "),
        ("kind", "single_lable", "--kind single_label"),
        ("quoting", "singel", "--quoting single"),
        ("quoting", "double", "--quoting auto"),
        ("precision", "bfloat16", "--precision bf16"),
        ("compute", "unpaded", "--compute unpadded"),
    ],
)
def test_the_nearest_choice_is_named(setting: str, value: str, typed: str) -> None:
    with pytest.raises(ConfigurationError) as caught, shell_settings():
        make_config({"train_file": "a.csv", setting: value})
    hint = caught.value.findings[0].hint
    assert f"Type: {typed}" in hint
    make_config({"train_file": "a.csv", setting: hint.rpartition(" ")[2]})


def test_text_of_ones_own_beside_a_task_of_glue_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"--train-file my\.csv is text of your own"):
        make_config({"task": "cola", "train_file": "my.csv"})
    with pytest.raises(ConfigurationError, match="leave --data-set glue out"):
        make_config({"task": "cola", "data_set": "glue"})
    with pytest.raises(ConfigurationError, match=r"positive='x'.*\n?.*'sst2' is GLUE's"):
        make_config({"task": "sst2", "positive": "x"})


@pytest.mark.parametrize("header", [True, False])
def test_a_file_with_other_columns_than_the_runs_is_read_as_the_message_says(
    tmp_path: Path, header: bool
) -> None:
    train = write_csv(tmp_path / "reviews.csv", reviews())
    config = own_config(train)
    task = OwnSource(config).task
    lines = train.read_text().splitlines()
    other = tmp_path / "other.csv"
    other.write_text("\n".join((["review,verdict"] if header else []) + lines[1:]) + "\n")
    stated = FileFormat(header=header)
    with pytest.raises(DataError, match="no column 'text' and no column 'label'") as caught:
        OwnFile(config, task, other, stated).read(task, "validation")
    (finding,) = caught.value.findings
    assert "has no --" not in finding.hint
    flag, columns, names = shlex.split(finding.hint.partition("order: ")[2])
    assert (flag, columns) == ("--header" if header else "--no-header", "--columns")
    typed = FileFormat(header=header, columns=tuple(split_names(names)))
    assert len(OwnFile(config, task, other, typed).read(task, "validation")) == len(lines) - 1


def test_rows_that_a_run_cannot_score_have_no_option_to_skip_them(tmp_path: Path) -> None:
    config = own_config(write_csv(tmp_path / "reviews.csv", reviews()))
    task = OwnSource(config).task
    other = tmp_path / "other.csv"
    other.write_text("text,label\nSome text,never seen\n")
    with pytest.raises(DataError) as caught:
        OwnFile(config, task, other).read(task, "validation")
    assert "--" not in caught.value.findings[0].hint
    assert "Fix the file" in caught.value.findings[0].hint


def test_a_file_that_is_not_there_is_reported_with_the_one_that_may_be_meant(
    tmp_path: Path,
) -> None:
    there = tmp_path / "reviews.csv"
    there.write_text("text,label\n")
    with pytest.raises(DataError) as caught:
        detect(tmp_path / "reviewz.csv", FileFormat())
    assert caught.value.findings[0].hint == f"Did you mean {there}?"
    assert nearest_file(tmp_path / "else.json") == "Check the name of the file."
    assert nearest_file(tmp_path / "no folder" / "a.csv") == "Check the name of the file."


def test_a_split_that_is_not_there_is_not_answered_with_train(tmp_path: Path) -> None:
    source = OwnSource(own_config(write_csv(tmp_path / "reviews.csv", reviews())))
    with pytest.raises(DataError, match=r"no split 'test'[\s\S]*Type: --split validation"):
        source.read(source.task, "test")


def test_a_folder_of_a_run_in_place_of_its_settings(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    with pytest.raises(ConfigurationError, match="is a folder"):
        read_settings(run)
    (run / "config.yaml").write_text("epochs: 3\n")
    with pytest.raises(ConfigurationError) as caught:
        read_settings(run)
    flag, typed = shlex.split(caught.value.findings[0].hint.removeprefix("Type: "))
    assert flag == "--config"
    assert read_settings(Path(typed)) == {"epochs": 3}


def test_the_model_of_a_run_leads_to_its_run(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "reviews"
    run.mkdir(parents=True)
    (run / "record.json").write_text("{}")
    write_tiny_checkpoint(run / "model", "bert", id2label={0: "good", 1: "bad"})
    with pytest.raises(GluetuneError) as caught:
        evaluate(run / "model")
    assert caught.value.findings[0].hint == f"Give its run: gluetune evaluate {run}"


def test_a_host_that_is_none_is_not_answered_with_a_port() -> None:
    assert "--host 127.0.0.1" in _address_hint("no.such.host.invalid")
    assert "--host 127.0.0.1" in _address_hint("x" * 300)
    assert "--port 0" in _address_hint("127.0.0.1")


def test_a_limit_that_is_refused_has_one_that_is_not() -> None:
    with pytest.raises(ConfigurationError) as caught, shell_settings():
        Limits(header_timeout=-1, keep_alive=0, max_connections=0, max_wait_ms=-3)
    hints = {each.message.split()[0]: each.hint for each in caught.value.findings}
    assert hints.pop("--max-connections").endswith("Or leave it out.")
    typed = {name: hint.partition("Type: ")[2] for name, hint in hints.items()}
    assert typed == {
        "--header-timeout": "--header-timeout 10.0",
        "--keep-alive": "--keep-alive 30.0",
        "--max-wait-ms": "--max-wait-ms 2.0",
    }


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_what_is_no_submission_is_answered_with_how_one_is_made(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "submission.zip"
    if content is not None:
        path.write_bytes(content)
    (fault,) = faults(path)
    assert "gluetune submit" in fault.hint


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "arrow"])
def test_a_format_that_the_file_has_not_is_what_is_wrong(tmp_path: Path, kind: str) -> None:
    path = write_csv(tmp_path / "reviews.csv", reviews())
    with pytest.raises(DataError) as caught:
        _ = OwnSource(own_config(path, format=kind)).task
    (finding,) = caught.value.findings
    assert re.search(kind, finding.message, re.IGNORECASE)
    assert finding.hint


def test_a_delimiter_that_the_file_has_not_is_what_is_wrong(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", reviews())
    with pytest.raises(DataError) as caught:
        _ = OwnSource(own_config(path, delimiter=";")).task
    (finding,) = caught.value.findings
    assert "one column with --delimiter ';': 'text,label'" in finding.message
    assert finding.hint.startswith("Leave --delimiter out")


@pytest.mark.parametrize("name", ["new.csv", "a file.jsonl", "lines.txt"])
def test_the_name_of_a_file_is_no_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("text\nSome text.\n")
    with pytest.raises(ConfigurationError) as caught:
        _refuse_file(name)
    words = shlex.split(caught.value.findings[0].hint.removeprefix("Type: ").partition(";")[0])
    assert words == ["--file", name]
    for text in ("Some text.", "other.csv", "x" * 5000, "a\0.csv", "."):
        _refuse_file(text)


@pytest.mark.parametrize(
    ("flag", "typed"),
    [
        ("--task", "gluetune train cola"),
        ("--lr", "--learning-rate 2e-5"),
        ("--text-column", "--text COLUMN"),
        ("--label_column", "--label COLUMN"),
    ],
)
def test_flags_of_no_script_that_are_typed_all_the_same(flag: str, typed: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(typed)):
        translate(["train", flag, "cola"])
