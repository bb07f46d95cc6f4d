from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gluetune
from gluetune.cli.app import main, print_error
from gluetune.core.errors import ConfigurationError, DataError, Finding, StorageError, TrainingError


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


@pytest.mark.parametrize(("error", "code"), [(TrainingError, 1), (ConfigurationError, 2)])
def test_the_error_says_the_exit_code(
    error: type[TrainingError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error("no")

    monkeypatch.setattr("gluetune.cli.app.app", fail)
    assert exit_code("train", "cola") == code


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
    assert exit_code("--version") == 0
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
