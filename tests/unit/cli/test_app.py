from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gluetune
from gluetune.cli.app import main, print_error
from gluetune.core.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    Finding,
    GluetuneError,
    HubError,
    RunError,
    StorageError,
    TrainingError,
    merged,
)


def exit_code(*arguments: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def test_findings_are_told_on_standard_error_each_whole_on_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = f"/a/{'very-' * 40}long/path with [brackets]/train.tsv:3"
    print_error(DataError.of([Finding(f"{path}: no label.", "Do this."), Finding("Second.")]))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"error: {path}: no label.",
        "       Do this.",
        "error: Second.",
    ]


def test_no_name_of_a_column_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(DataError("It has: a\x1b[2Jb.\nNo more.", hint="Type: --text 'a\x1b[2Jb'"))
    assert capsys.readouterr().err.splitlines() == [
        "error: It has: a\u241b[2Jb.",
        "No more.",
        "       Type: --text 'a\u241b[2Jb'",
    ]


def test_mistakes_leave_with_2_and_are_told_all_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("train", "kola", "--epochs", "0", "--seed", "x") == 2
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 3
    assert "Did you mean 'cola'?" in errors
    assert "Traceback" not in errors


def test_refused_flags_leave_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", "cola", "--hub_token", "secret", "--cache_dir", "x") == 2
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 2
    assert "secret" not in errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TrainingError, 1),
        (ConfigurationError, 2),
        (RunError, 2),
        (DataError, 3),
        (CheckpointError, 3),
        (HubError, 4),
        (StorageError, 5),
    ],
)
def test_the_error_says_the_exit_code(
    error: type[GluetuneError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("no")

    monkeypatch.setattr("gluetune.cli.app.app", fail)
    assert exit_code("train", "cola") == code


@pytest.mark.parametrize("verb", ["train", "search", "suite", "evaluate"])
def test_ctrl_c_exits_with_130(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"gluetune.cli.{verb}.given_settings", stop)
    assert exit_code(verb, "cola" if verb != "suite" else "--seeds=1") == 130


def test_a_bug_is_a_traceback_not_one_of_our_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gluetune.cli.train.given_settings", fail)
    with pytest.raises(ZeroDivisionError):  # Python prints it and exits with 1
        main(["train", "cola"])


def test_every_exit_code_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"
    codes = {error.exit_code for error in _below(GluetuneError)} | {0, 1, 130}
    assert set(re.findall(r"^\| (\d+) \|", page.read_text(encoding="utf-8"), re.M)) == {
        str(code) for code in codes
    }


def _below(error: type[GluetuneError]) -> set[type[GluetuneError]]:
    return {error, *(one for each in error.__subclasses__() for one in _below(each))}


def test_mistakes_of_one_sort_keep_its_code_and_others_are_usage() -> None:
    data, network = DataError("no file"), HubError("no network")
    assert merged([data, CheckpointError("no model")]).exit_code == 3
    assert merged([data, network]).exit_code == ConfigurationError.exit_code


def test_without_a_verb_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code() == 0
    alone = capsys.readouterr().out
    assert exit_code("--help") == 0
    assert capsys.readouterr().out == alone
    assert "<bool>" not in alone


def test_the_short_help_has_common_options_and_names_the_long_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code("train", "--help") == 0
    short = capsys.readouterr().out
    assert exit_code("train", "--help-all") == 0
    whole = capsys.readouterr().out
    assert "--epochs" in short
    assert "--label-smoothing" not in short
    assert "gluetune train --help-all" in short
    assert {"--label-smoothing", "--epochs"} <= {*whole.split()}
    assert exit_code("train", "--help") == 0
    assert capsys.readouterr().out == short, "showing all leaves nothing behind"


def test_verbose_adds_the_traceback_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", "kola") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert exit_code("train", "kola", "--verbose") == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_folder_that_may_not_be_entered_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:  # rights do not bind every user that runs tests
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "closed/run")

    monkeypatch.setattr("gluetune.cli.app.app", refuse)
    assert exit_code("train", "--resume", "closed/run") == StorageError.exit_code
    told = capsys.readouterr().err
    assert told.startswith("error: closed/run cannot be used: ")
    assert "Check its permissions" in told


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--version", "-V"):
        assert exit_code(flag) == 0
        assert capsys.readouterr().out == f"gluetune {gluetune.__version__}\n"
    for flag in ("--help", "-h"):
        assert exit_code(flag) == 0
        text = capsys.readouterr().out
        for verb in ("show", "train", "env"):
            assert f" {verb} " in text
    for verb in ("show", "train", "env"):
        assert exit_code(verb, "-h") == 0
        assert f"gluetune {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("typed", [("trian",), ("train", "--nonsense", "3")])
def test_what_the_parser_does_not_know_leaves_with_2(typed: tuple[str, ...]) -> None:
    assert exit_code(*typed) == 2


def test_the_installed_command_tells_without_a_traceback() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "gluetune", "train", "cola", "--cache_dir", "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: --cache_dir is not a flag of gluetune.\n"
        "       Set the environment variable HF_HOME.\n"
    )
