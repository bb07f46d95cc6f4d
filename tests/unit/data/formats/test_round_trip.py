"""Every format reads back what it wrote: quotes, newlines, tabs, emoji, huge fields."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gluetune.core.errors import DataError
from gluetune.data.formats import json_file as json_list
from gluetune.data.formats.format import Row
from gluetune.data.formats.registry import FORMATS, format_of, open_rows, writing_rows

COLUMNS = ("text", "label")
_NASTY = st.sampled_from(
    [
        'say "hi"',
        "a,b\tc",
        "line\nbreak",
        "cr\r\nlf",
        "שלום",
        "مرحبا",
        "😀",
        "\u2028",
        "NA",
        "007",
        '"',
    ]
)
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.one_of(_NASTY, st.text(_CHARACTERS, max_size=20), st.just("x" * 9_000))
ROWS = st.lists(st.fixed_dictionaries({"text": TEXT, "label": TEXT}), min_size=1, max_size=6)


def _plain(kind: str, rows: list[dict[str, str]]) -> bytes:
    """Write rows with other people's writers."""
    if kind in ("csv", "tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(
            text,
            COLUMNS,
            lineterminator="\n",
            delimiter="," if kind == "csv" else "\t",
            quoting=csv.QUOTE_ALL,
        )
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    if kind == "json":
        return json.dumps(rows, indent=len(rows) % 3).encode()
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    table, sink = pa.Table.from_pylist(rows), io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=2)
    else:
        make = pa.ipc.new_file if kind == "arrow" else pa.ipc.new_stream
        with make(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def _packed(ending: str, plain: bytes) -> bytes:
    if ending == ".gz":
        return gzip.compress(plain)
    return pa.compress(plain, "zstd", asbytes=True) if ending == ".zst" else plain


def _read(path: Path) -> list[dict[str, Any]]:
    with open_rows(path, format_of(path)) as reader:
        rows = list(reader)
    assert all(isinstance(row, Row) for row in rows), rows
    return [dict(row.values) for row in rows if isinstance(row, Row)]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "arrow", "stream"])
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(rows=ROWS)
@example(rows=[{"text": 'ends in "', "label": '"'}, {"text": '"\n"', "label": "x\n"}])
def test_every_format_reads_back_what_was_written(
    tmp_path: Path, kind: str, ending: str, rows: list[dict[str, str]]
) -> None:
    name = "arrow" if kind == "stream" else kind
    path = tmp_path / f"rows.{name}{ending}"
    path.write_bytes(_packed(ending, _plain(kind, rows)))
    assert _read(path) == rows


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(rows=ROWS)
def test_our_writers_are_read_back(
    tmp_path: Path, kind: str, ending: str, rows: list[dict[str, str]]
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / f"out.{kind}{ending}"
    source.write_bytes(_plain("jsonl", rows))
    with (
        open_rows(source, FORMATS["jsonl"]) as reader,
        writing_rows(target, format_of(target), reader, {"more": ""}, ending) as writer,
    ):
        for row in reader:
            assert isinstance(row, Row)
            writer.write(row, {"more": row.values["text"]})
    assert _read(target) == [{**row, "more": row["text"]} for row in rows]


def test_typed_values_keep_their_types_where_the_format_has_any(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2}]
    for kind in ("json", "jsonl", "parquet", "arrow"):
        path = tmp_path / f"rows.{kind}"
        path.write_bytes(_plain(kind, rows))  # type: ignore[arg-type]  # numbers on purpose
        with open_rows(path, format_of(path), wanted=COLUMNS) as reader:
            assert [dict(row.values) for row in reader if isinstance(row, Row)] == rows


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_truncated_compressed_file_is_reported(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.csv{ending}"
    path.write_bytes(_packed(ending, b"text,label\n" + b"abc,d\n" * 99)[:-7])
    with pytest.raises(DataError, match=r"rows\.csv.* cannot be decompressed"):
        _read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ":1 .*is empty"),
        ('{"text": 1}', ":1 .*it is an object"),
        ('[{"text": "a"},\n{"text": "b"', ":2 .*is not closed"),
        ('[{"text": "a"}\n{"text": "b"}]', r"line=1, problem='is not JSON: Extra data"),
        ('[{"text": "a"}]\n\n[1]', ":3 .*after the list"),
        ('[{"text": "a"},\n\n{"text": "b}]', ":3 .*not closed"),
        ("[{}}]", ":1 .*no opening one"),
    ],
)
def test_a_list_that_cannot_be_parsed_is_reported_with_its_line(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises((DataError, AssertionError), match=says):
        _read(path)


def test_a_list_longer_than_the_buffer_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_list, "_CHUNK", 7)
    rows = [{"text": 'é "[,]{" \\ ' * n, "label": str(n)} for n in range(9)]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    assert _read(path) == rows
