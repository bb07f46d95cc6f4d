"""More than forty broken files, each with its finding."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gluetune.core.errors import ConfigurationError, StorageError
from gluetune.inference.file_checks import CheckedFiles, check_files

GOOD = "text,label\n" + "".join(f"text {n} here,{'ab'[n % 2]}\n" for n in range(8))


@dataclass(frozen=True)
class Broken:
    """A file, how it is read, and its findings."""

    name: str
    content: bytes | str
    finding: str
    """What one finding says, behind the file's path."""
    hint: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    total: int = 1
    """How many findings there are."""


def _csv(*lines: str) -> str:
    return GOOD + "".join(f"{line}\n" for line in lines)


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def _declared(rows: list[dict[str, Any]]) -> bytes:
    """Parquet whose labels `datasets` gave names."""
    feature = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": feature}}).encode()}
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(metadata), sink)
    return sink.getvalue()


def _jsonl(*rows: Any) -> str:
    good = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(8)]
    return "".join(json.dumps(row) + "\n" for row in [*good, *rows])


_LONG = "x," * 20
_TYPED = [{"text": f"t {n}", "label": n % 2} for n in range(8)]

BROKEN = (
    Broken("empty.csv", "", " is empty.", "first line must name the columns"),
    Broken("header.csv", "text,label\n", " has no usable rows."),
    Broken("twice.csv", "text,label,text\na,b,c\n", ":1 has 2 columns called 'text'."),
    Broken("short.csv", _csv("alone"), ":10 has 1 field, the header 2."),
    Broken("long.csv", _csv("a,b,c"), ":10 has 3 fields, the header 2."),
    Broken("many.csv", _csv(*[_LONG] * 9), ": 4 more rows with too few", total=6),
    Broken("unclosed.csv", _csv('"never,a', "b,a"), ":10 opens a quote that is not closed."),
    Broken("quote.csv", _csv('a "word",b'), ":10 has a quote inside field 1"),
    Broken("behind.csv", _csv('"a" word,b'), ":10 has text after the closing quote of field 1."),
    Broken("header_quote.csv", '"text,label\n', ":1 opens a quote that is not closed."),
    Broken("blank.csv", _csv("", "a b,a"), ":10 is empty."),
    Broken("no_text.csv", _csv(",a"), ":10 has an empty 'text'."),
    Broken("spaces.csv", _csv("  \t ,a"), ":10 has an empty 'text'."),
    Broken("no_label.csv", _csv("some text,"), ":10 has no label: 'label' is empty."),
    Broken("neither.csv", _csv(" , "), ":10 has an empty 'text' and has no label"),
    Broken("nul.csv", _csv("a\0b,a"), ":10 has a NUL at position 2."),
    Broken(
        "latin.csv",
        _csv("café crème brûlée,a").encode("cp1252"),
        ":10 is not UTF-8: byte 0xe9 at position 4.",
        "It looks like WINDOWS-1252. Type: iconv -f WINDOWS-1252 -t UTF-8",
        total=2,
    ),
    Broken(
        "utf16.csv",
        GOOD.encode("utf-16"),
        ":1 is not UTF-8: byte 0xff at position 1.",
        "It looks like UTF-16.",
    ),
    Broken("utf16le.csv", GOOD.encode("utf-16-le"), ":1 has a NUL", "It looks like UTF-16LE."),
    Broken(
        "sjis.csv",
        _csv("これは良い映画でした,a").encode("shift_jis"),
        ":10 is not UTF-8",
        "It looks like SHIFT_JIS.",
        total=2,
    ),
    Broken(
        "column.csv",
        GOOD.replace("label", "lable", 1),
        " has no column 'label'. Its columns: text, lable.",
        "Did you mean 'lable'? Type: --label lable",
    ),
    Broken(
        "columns.csv",
        GOOD.replace("text,label", "first,second"),
        " has no column 'text'. Its columns: first, second.",
        "Type: --text COLUMN",
        total=2,
    ),
    Broken(
        "group.csv", GOOD, " has no column 'user'", "--group COLUMN", settings={"group": "user"}
    ),
    Broken(
        "no_group.csv",
        "text,label,user\n" + "".join(f"t {n},{'ab'[n % 2]},{n}\n" for n in range(8)) + "t,a,\n",
        ":10 has no 'user'.",
        settings={"group": "user"},
    ),
    Broken("single.csv", _csv("alone here,z"), ":10 is the only one of class 'z'."),
    Broken("one.csv", GOOD.replace(",b\n", ",a\n"), " has only 'a' as a label"),
    Broken(
        "number.csv",
        _csv("a text,NA"),
        ":2 has the label 'a', not a finite number.",
        settings={"kind": "regression"},
        total=7,
    ),
    Broken(
        "infinite.csv",
        "text,label\n" + "".join(f"t {n},{n}.5\n" for n in range(8)) + "t 9,inf\n",
        ":10 has the label 'inf', not a finite number.",
        settings={"kind": "regression"},
    ),
    Broken(
        "metric.csv",
        GOOD,
        "--metric pearson: a task of kind single_label has no such metric.",
        "Metrics: accuracy",
        settings={"metric": "pearson"},
    ),
    Broken(
        "ids.csv",
        "text,label\n" + "".join(f"text {n},user{max(0, n - 30)}\n" for n in range(90)),
        " has 60 different labels in 90 rows: they look like text or ids.",
        "--label COLUMN",
    ),
    Broken(
        "none.jsonl",
        "".join(f'{{"text": "text {n}", "label": []}}\n' for n in range(8)),
        " has none as a label: there is nothing to learn.",
    ),
    Broken(
        "hidden.parquet",
        _declared([*_TYPED, {"text": "t 8", "label": -1}, {"text": "t 9", "label": -1}]),
        ", row 9 has the label '-1', which the schema lacks.",
        total=2,
    ),
    Broken("json.jsonl", _jsonl() + '{"text": "a",\n', ":9 is not JSON: "),
    Broken("array.jsonl", _jsonl([1]), ":9 is a list, not an object."),
    Broken("null_text.jsonl", _jsonl({"text": None, "label": "a"}), ":9 has no 'text'."),
    Broken(
        "number_text.jsonl", _jsonl({"text": 7, "label": "a"}), ":9 has no text in 'text', but 7."
    ),
    Broken("absent.jsonl", _jsonl({"label": "a"}), ":9 has no 'text'."),
    Broken("null.jsonl", _jsonl({"text": "x", "label": None}), ":9 has no label: 'label' is null."),
    Broken("object.jsonl", _jsonl({"text": "x", "label": {}}), "'label' is dict, no label."),
    Broken("key.jsonl", _jsonl() + '{"text":"a","text":"b","label":"a"}\n', "'text' occurs twice"),
    Broken(
        "types.jsonl",
        _jsonl({"text": "x", "label": 1}, {"text": "y", "label": 1}),
        "are of several types: text (",
        "Write all of them as text, or all as numbers.",
    ),
    Broken("nul.jsonl", _jsonl({"text": "a\0b", "label": "a"}), ":9 has a NUL in 'text'."),
    Broken("half.jsonl", _jsonl() + '{"text":"\\ud83d","label":"a"}\n', ":9 has half of a surr"),
    Broken("nested.jsonl", _jsonl({"text": "x", "label": [["a"]]}), "one is a list"),
    Broken(
        "list.jsonl",
        _jsonl({"text": "x", "label": ["a"]}),
        ":9: the label is a list, and --kind is single_label.",
        "--kind multi_label",
        settings={"kind": "single_label"},
    ),
    Broken("object.json", '{"text": ["a"]}', ":1 is not JSON that can be read: it is an object"),
    Broken("open.json", '[{"text": "a", "label": "b"}', ":1 is not JSON that can be read"),
    Broken("item.json", '[{"text": "a", "label": "b"}, 3]', ", item 2 is a number", total=4),
    Broken("junk.parquet", b"PAR1 not at all", " cannot be read as Parquet: "),
    Broken("junk.arrow", b"ARROW1 not at all", " cannot be read as Arrow: "),
    Broken(
        "float.parquet",
        _parquet([*_TYPED, {"text": None, "label": 1}]),
        ", row 9 has no 'text'.",
    ),
    Broken("cut.csv.gz", gzip.compress(GOOD.encode() * 9)[:-9], " cannot be decompressed: "),
    Broken("plain.csv.gz", GOOD, " cannot be decompressed: Not a gzipped file"),
    Broken("plain.csv.zst", GOOD, " cannot be decompressed: "),
    Broken("tabs.tsv", "text\tlabel\na\tb\tc\n", ":2 has 3 fields, the header 2.", total=2),
    Broken(
        "quote.tsv",
        'text\tlabel\n"a" b\tc\n',
        ":2 has text after the closing",
        settings={"quoting": "minimal"},
        total=2,
    ),
    Broken(
        "neither.csv",
        "text,a,b\n" + "".join(f"t {n},{n % 2},{n // 4}\n" for n in range(8)) + "t 9,maybe,0\n",
        ":10 has 'maybe' in 'a', neither 0 nor 1.",
        settings={"label": ("a", "b")},
    ),
)


def check(path: Path, case: Broken) -> CheckedFiles:
    content = case.content.encode() if isinstance(case.content, str) else case.content
    path.write_bytes(content)
    return check_files(path, **case.settings)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_file_has_its_finding(tmp_path: Path, case: Broken) -> None:
    found = check(tmp_path / case.name, case)
    messages = [finding for finding in found.findings if case.finding in finding.message]
    assert messages, [str(finding) for finding in found.findings]
    assert any(case.hint in finding.hint for finding in found.findings)
    assert len(found.findings) == case.total, [str(finding) for finding in found.findings]


def test_there_are_at_least_forty_broken_files() -> None:
    assert len(BROKEN) >= 40


def test_a_valid_file_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "good.csv"
    path.write_text(GOOD)
    found = check_files(path)
    assert found.are_good
    assert sum(found.rows.values()) == 8
    assert not found.left_out
    assert set(found.labels) == {"a", "b"}


def test_all_findings_are_reported_together(tmp_path: Path) -> None:
    path, other = tmp_path / "train.csv", tmp_path / "valid.csv"
    path.write_text(_csv("alone", ",a", "x y,z"))
    other.write_text(_csv("x,unseen", '"open'))
    messages = "\n".join(str(finding) for finding in check_files(path, other).findings)
    for part in (
        "train.csv:10 has 1 field",
        "train.csv:11 has an empty 'text'",
        "train.csv:12 is the only one of class 'z'",
        "valid.csv:10 has the label 'unseen', which train lacks",
        "valid.csv:11 opens a quote",
        "--on-bad-row skip",
    ):
        assert part in messages


def test_rows_are_left_out_only_on_request_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text(_csv("alone", ",a", "x y,z", '"open'))
    found = check_files(path, on_bad_row="skip")
    assert found.are_good
    assert sum(found.rows.values()) == 8
    assert sum(found.left_out[str(path.resolve())].values()) == 4
    assert set(found.labels) == {"a", "b"}, "a class of one row is left out with it"


@pytest.mark.parametrize("column", ["quote", "field", "NUL", "JSON", "not UTF-8", "no text"])
def test_rows_are_counted_by_fault_for_any_column_name(tmp_path: Path, column: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(_csv(",a").replace("text", column, 1))
    found = check_files(path, text=column, on_bad_row="skip")
    assert found.are_good, found.findings
    assert found.left_out[str(path.resolve())] == {"rows with an empty text": 1}


def test_labels_of_very_many_digits_are_names(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"t {n},{'12'[n % 2] * 5000}\n" for n in range(8)))
    found = check_files(path)
    assert found.are_good, found.findings
    assert list(found.labels) == ["1" * 5000, "2" * 5000]


def test_a_full_disk_is_not_reported_as_a_mistake_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "train.csv"
    path.write_text(GOOD)
    monkeypatch.setattr("gluetune.data.tables.mmap.mmap", full)
    with pytest.raises(StorageError, match="no room to write"):
        check_files(path)


REMARKS = {
    "1 row of train repeats an earlier text": _csv("text 0 here,a"),
    "which repeats line 2.": _csv("text 0 here,a"),
    "2 rows of train repeat an earlier text": _csv("text 0 here,a", "text 0 here,a"),
    "1 of them has another label": _csv("text 0 here,b"),
    "differ only in case, spaces": _csv("some x,A", "some y,A"),
    "'cafe\u0301', 'caf\u00e9' differ": _csv(
        *(f"some {n},{name}" for n in range(4) for name in ("caf\u00e9", "cafe\u0301"))
    ),
    "The label 'spam' is in 100%": "text,label\n"
    + "".join(f"t{n} {'SPAM' * (n % 2)},{('fine', 'spam')[n % 2]}\n" for n in range(30)),
    "is one word that occurs once": "text,label\n"
    + "".join(f"id{n},{'ab'[n % 2]}\n" for n in range(30)),
    "is the same text": "text,more,label\n"
    + "".join(f"t {n},same,{'ab'[n % 2]}\n" for n in range(30)),
}


@pytest.mark.parametrize("remark", REMARKS)
def test_unusual_rows_give_a_remark_and_no_error(tmp_path: Path, remark: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(REMARKS[remark])
    more: dict[str, Any] = {"text_pair": "more"} if "more" in REMARKS[remark][:20] else {}
    found = check_files(path, **more)
    assert found.are_good, found.findings
    assert any(remark in one for one in found.remarks), found.remarks


def test_texts_of_a_script_without_spaces_are_not_taken_for_ids(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    rows = "".join(f"这家店的菜很好吃{n},{'ab'[n % 2]}\n" for n in range(30))
    path.write_text("text,label\n" + rows, encoding="utf-8")
    assert not any("id?" in one for one in check_files(path).remarks)


def test_a_repeated_row_of_parquet_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(_parquet([*_TYPED, {"text": "t 2", "label": 1}]))
    messages = " ".join(check_files(path).remarks)
    assert ", row 9, which repeats row 3." in messages
    assert "(1; row 3: 0)." in messages


def test_overlap_of_files_is_noted_with_its_count(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("train.csv", "valid.csv", "test.csv")]
    paths[0].write_text(GOOD)
    paths[1].write_text("text,label\nTEXT  0 here,a\nnew,b\n")
    paths[2].write_text(GOOD)
    messages = " ".join(check_files(*paths).remarks)
    assert "1 of 2 texts of validation are also in train" in messages
    assert "8 of 8 texts of test are also in train" in messages


def test_an_unknown_file_extension_is_reported(tmp_path: Path) -> None:
    (finding,) = check_files(tmp_path / "rows.xlsx").findings
    assert "its extension is unknown" in finding.message
    (finding,) = check_files(tmp_path / "gone.csv").findings
    assert "No such file" in finding.message
    with pytest.raises(ConfigurationError, match="0 files are given"):
        check_files()
