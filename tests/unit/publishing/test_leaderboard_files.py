"""The check of a submission names every planted fault, and takes what the leaderboard takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.leaderboard import FILES, good_file, is_taken, write_zip
from typer.testing import CliRunner

from gluetune.cli.app import app, main
from gluetune.core.errors import DataError
from gluetune.publishing.leaderboard_files import SUBMISSION_FILES, check_submission


def _lines(name: str, change: Callable[[list[str]], list[str]]) -> dict[str, bytes | None]:
    lines = change(good_file(name).split("\n")[:-1])
    return {name: ("\n".join(lines) + "\n").encode()}


def _replace(name: str, row: int, line: str) -> dict[str, bytes | None]:
    return _lines(name, lambda lines: [*lines[: row + 1], line, *lines[row + 2 :]])


FAULTS: dict[str, tuple[dict[str, bytes | None], str]] = {
    "header": (_lines("CoLA.tsv", lambda it: ["id\tlabel", *it[1:]]), "CoLA.tsv has the header"),
    "no header": (_lines("WNLI.tsv", lambda it: it[1:]), "WNLI.tsv has the header"),
    "carriage returns": (
        {"RTE.tsv": good_file("RTE.tsv").replace("\n", "\r\n").encode()},
        "RTE.tsv has lines that end in CR LF",
    ),
    "a row missing": (
        _lines("CoLA.tsv", lambda it: it[:-1]),
        "CoLA.tsv has 1,062 rows instead of 1,063",
    ),
    "a row too many": (
        _lines("WNLI.tsv", lambda it: [*it, "146\t0"]),
        "WNLI.tsv has indices beyond 145",
    ),
    "counted from one": (
        _lines(
            "WNLI.tsv",
            lambda it: [it[0], *(f"{row + 1}\t0" for row in range(146))],
        ),
        "WNLI.tsv counts from 1",
    ),
    "class names": (_replace("CoLA.tsv", 3, "3\tacceptable"), "CoLA.tsv holds class names"),
    "class ids": (_replace("RTE.tsv", 3, "3\t1"), "RTE.tsv holds class ids"),
    "an unknown label": (_replace("QNLI.tsv", 5, "5\tmaybe"), "QNLI.tsv holds unknown labels"),
    "above the range": (
        _replace("STS-B.tsv", 9, "9\t5.001"),
        "STS-B.tsv holds values outside 0 to 5",
    ),
    "not a number": (
        _replace("STS-B.tsv", 9, "9\tnan"),
        "STS-B.tsv holds values that are not finite",
    ),
    "decimals": (
        _replace("STS-B.tsv", 9, "9\t3.1"),
        "STS-B.tsv holds numbers without three decimals",
    ),
    "a repeated index": (_replace("MRPC.tsv", 8, "7\t1"), "MRPC.tsv repeats indices"),
    "out of order": (
        _lines("WNLI.tsv", lambda it: [it[0], *reversed(it[1:])]),
        "WNLI.tsv is not in the order of its index",
    ),
    "quotes": (_replace("AX.tsv", 2, '2\t"neutral"'), "AX.tsv has quoted cells"),
    "a comma between": (
        _replace("SST-2.tsv", 2, "2,1"),
        "SST-2.tsv has rows that are not two cells",
    ),
    "a byte order mark": (
        {"CoLA.tsv": b"\xef\xbb\xbf" + good_file("CoLA.tsv").encode()},
        "CoLA.tsv begins with a byte order mark",
    ),
    "another encoding": ({"CoLA.tsv": b"index\tprediction\n\xff\n"}, "CoLA.tsv is not UTF-8"),
    "a file missing": ({"AX.tsv": None}, "AX.tsv is missing"),
    "a file too many": ({"notes.txt": b"hello"}, "notes.txt is not a file of a submission"),
    "a folder": (
        {"AX.tsv": None, "sub/AX.tsv": good_file("AX.tsv").encode()},
        "sub/AX.tsv is in a folder",
    ),
    "another case": (
        {"CoLA.tsv": None, "cola.tsv": good_file("CoLA.tsv").encode()},
        "cola.tsv must be called CoLA.tsv",
    ),
    "nothing in it": ({"WNLI.tsv": b""}, "WNLI.tsv has the header"),
}


def test_the_files_are_those_of_the_leaderboards_own_sources() -> None:
    assert SUBMISSION_FILES.keys() == FILES.keys()
    for name, (task, file) in SUBMISSION_FILES.items():
        assert task.rows[file.split] == FILES[name][0]


def test_what_the_leaderboard_takes_passes(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "good.zip")
    assert is_taken(path)
    check_submission(path)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_fault_is_named(tmp_path: Path, fault: str) -> None:
    assert len(FAULTS) >= 15
    changed, words = FAULTS[fault]
    path = write_zip(tmp_path / "bad.zip", changed)
    assert not is_taken(path) if fault != "another encoding" else True
    with pytest.raises(DataError) as caught:
        check_submission(path)
    assert words in str(caught.value)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    changed: dict[str, bytes | None] = {}
    for fault in ("class names", "class ids", "decimals", "a repeated index"):
        changed |= FAULTS[fault][0]
    with pytest.raises(DataError) as caught:
        check_submission(write_zip(tmp_path / "bad.zip", changed | {"AX.tsv": None}))
    text = str(caught.value)
    for name in ("CoLA.tsv", "RTE.tsv", "STS-B.tsv", "MRPC.tsv", "AX.tsv"):
        assert name in text


def test_a_kind_of_mistake_is_said_once_with_its_first_line(tmp_path: Path) -> None:
    bad = good_file("CoLA.tsv").replace("\t1\n", "\tacceptable\n")
    with pytest.raises(DataError) as caught:
        check_submission(write_zip(tmp_path / "bad.zip", {"CoLA.tsv": bad.encode()}))
    (finding,) = caught.value.findings
    assert "first in line 3 ('acceptable') (531 times)" in finding.message


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_what_is_no_zip_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable zip"):
        check_submission(path)
    with pytest.raises(DataError, match="cannot be read"):
        check_submission(tmp_path / "absent.zip")


def test_the_command_checks_anybodys_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_zip(tmp_path / "good.zip")
    told = CliRunner().invoke(app, ["submit", "--check", str(good)])
    assert told.exit_code == 0, told.output
    assert "have the leaderboard's format" in told.output
    bad = write_zip(tmp_path / "bad.zip", FAULTS["a folder"][0])
    with pytest.raises(SystemExit) as caught:
        main(["submit", "--check", str(bad)])
    assert caught.value.code == 3
    errors = capsys.readouterr().err
    assert "sub/AX.tsv is in a folder" in errors
    assert "AX.tsv is missing" in errors
    with pytest.raises(SystemExit):
        main(["submit", "some-run", "--check", str(good)])
    assert "takes a zip and no runs" in capsys.readouterr().err
