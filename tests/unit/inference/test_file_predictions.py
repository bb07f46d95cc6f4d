"""`gluetune.predict`: rows come out as they went in, in their order, each with its answer."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.tiny_runs import Bench

from gluetune.core.config import FileFormat
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.inference import file_predictions
from gluetune.inference.file_predictions import FilePredictions, predict
from gluetune.inference.predictor import Predictor, load

TEXTS = ["a b c", "d", "a a a a a a a", "b, c", 'say "e"', "f\ng"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def predictor(bench: Bench) -> Predictor:
    return load(bench.train("cola", epochs=1).path)


@pytest.fixture(scope="module")
def pairs(bench: Bench) -> Predictor:
    return load(bench.train("stsb", epochs=1).path)


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_comes_out_with_answers_in_its_own_order(predictor: Predictor, tmp_path: Path) -> None:
    rows = [{"id": f"00{n}", "sentence": text} for n, text in enumerate(TEXTS)]
    found = predict(predictor, write_csv(tmp_path / "in.csv", rows), output=tmp_path / "out.csv")
    answers = predictor(TEXTS)
    expected = [
        {
            **row,
            "label": str(answer.label),
            "score": str(round(answer.score, 6)),
            **{f"probability_{name}": str(round(p, 6)) for name, p in answer.probabilities.items()},
        }
        for row, answer in zip(rows, answers, strict=True)
    ]
    assert read_csv(tmp_path / "out.csv") == expected
    assert (found.rows, found.skipped, found.output) == (6, 0, tmp_path / "out.csv")
    assert found.rows_per_second > 0


def test_json_lines_keep_their_values_and_types(predictor: Predictor, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": text, "meta": {"n": [n, None]}} for n, text in enumerate(TEXTS)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(predictor, tmp_path / "in.jsonl", output=tmp_path / "out.jsonl")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{"text": row["text"], "meta": row["meta"]} for row in written] == rows
    assert [row["label"] for row in written] == [answer.label for answer in predictor(TEXTS)]
    assert all(row["score"] == max(row["probabilities"].values()) for row in written)


def test_parquet_keeps_its_columns(pairs: Predictor, tmp_path: Path) -> None:
    table = pa.table({"sentence1": TEXTS, "n": range(6), "sentence2": TEXTS[::-1]})
    pq.write_table(table, tmp_path / "in.parquet")
    predict(pairs, tmp_path / "in.parquet", output=tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.drop(["score"]).equals(table)
    expected = [round(a.score, 6) for a in pairs(list(zip(TEXTS, TEXTS[::-1], strict=True)))]
    assert found["score"].to_pylist() == expected


def test_lines_on_a_stream_come_out_as_json_lines(predictor: Predictor) -> None:
    out = io.BytesIO()
    predict(predictor, io.BytesIO(b"a b c\nd\n"), output=out)
    written = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["sentence"] for row in written] == ["a b c", "d"]


def test_windows_do_not_show_and_progress_is_told(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_predictions, "WINDOW", 2)
    told: list[int] = []

    def note(done: FilePredictions) -> None:
        told.append(done.rows)

    rows = [{"text": text} for text in TEXTS[:5]]
    predict(
        predictor,
        write_csv(tmp_path / "in.csv", rows),
        output=tmp_path / "out.csv",
        progress=note,
    )
    assert told == [2, 4, 5]
    assert [row["text"] for row in read_csv(tmp_path / "out.csv")] == TEXTS[:5]


BAD = b'text,n\na b,1\n  ,2\n"c,3\nd\ne,5\n'


def test_a_bad_row_stops_the_work_and_leaves_no_file(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(BAD)
    with pytest.raises(DataError) as caught:
        predict(predictor, tmp_path / "in.csv", output=tmp_path / "out.csv")
    said = str(caught.value)
    assert "in.csv:3 has an empty 'text'." in said
    assert "in.csv:4 opens a quote that is not closed." in said
    assert "in.csv:5 has 1 field, the header 2." in said
    assert "--on-error skip" in said
    assert not (tmp_path / "out.csv").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.csv"]


def test_bad_rows_are_left_out_and_named(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(BAD)
    found = predict(predictor, tmp_path / "in.csv", output=tmp_path / "out.csv", on_error="skip")
    assert (found.rows, found.skipped) == (2, 3)
    assert [problem.split(":")[-1].split()[0] for problem in found.problems] == ["3", "4", "5"]
    assert [row["n"] for row in read_csv(tmp_path / "out.csv")] == ["1", "5"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"other": 1}', "no text in 'text'"),
        ('{"text": null}', "a null 'text'"),
        ('{"text": 7}', "no text in 'text', but 7"),
        ('{"text": "x", "label": "mine"}', "has 'label' already"),
    ],
)
def test_values_that_are_no_text_are_named(predictor: Predictor, line: str, problem: str) -> None:
    out = io.BytesIO()
    found = predict(
        predictor,
        io.BytesIO(f'{{"text": "a"}}\n{line}\n'.encode()),
        output=out,
        file_format="jsonl",
        on_error="skip",
    )
    assert (found.rows, found.skipped) == (1, 1)
    assert problem in found.problems[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": "txt"}, r"no column 'txt'. Its columns: text, n.*Did you mean 'text'"),
        ({"text": "text", "text_pair": "n"}, r"reads one text per example"),
        ({"text_pair": "n"}, r"--text-pair is given without --text"),
        ({"on_error": "ignore"}, r"on_error=.ignore.: choose from stop, skip"),
        ({"file_format": "xlsx"}, r"no such format"),
        ({"output": "in.csv"}, r"cannot be both input and output"),
        ({"output": "out.jsonl"}, r"has the format of the input, here csv"),
    ],
)
def test_mistakes_are_told_before_any_answer(
    predictor: Predictor,
    tmp_path: Path,
    settings: dict[str, Any],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in.csv").write_bytes(BAD)
    monkeypatch.setattr(Predictor, "encode", None)
    output = tmp_path / settings.pop("output", "out.csv")
    with pytest.raises((ConfigurationError, DataError), match=f"(?s){message}"):
        predict(predictor, tmp_path / "in.csv", output=output, **settings)
    assert (tmp_path / "in.csv").read_bytes() == BAD


def test_a_column_that_is_taken_is_refused_unless_renamed(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "in.csv", [{"text": "a", "label": "gold"}])
    with pytest.raises(ConfigurationError, match="--prefix predicted_"):
        predict(predictor, path, output=tmp_path / "out.csv")
    predict(predictor, path, output=tmp_path / "out.csv", prefix="predicted_")
    (row,) = read_csv(tmp_path / "out.csv")
    assert row["label"] == "gold"
    assert row["predicted_label"] in predictor.labels


def test_an_empty_file_of_rows_has_no_answers(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n")
    found = predict(predictor, tmp_path / "in.csv", output=tmp_path / "out.csv")
    assert found.rows == 0
    assert (tmp_path / "out.csv").read_text().startswith("text,label,score")


def test_texts_that_are_cut_are_counted(
    bench: Bench, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_predictions, "WINDOW", 2)
    limit = predictor.opened.max_length
    assert limit is not None
    texts = ("a b", "a " * 300, "b " * (limit - 2), "c " * 999)
    rows = [{"text": text} for text in texts]
    path = write_csv(tmp_path / "in.csv", rows)
    found = predict(predictor, path, output=tmp_path / "out.csv")
    assert (found.rows, found.cut, found.max_length) == (4, 2, limit)
    assert found.cut_note == (
        f"2 of 4 texts were cut to {limit} tokens (50.0%): tokens beyond that are ignored. The "
        "model supports no more: split longer texts, or train another checkpoint."
    )
    short = load(bench.train("cola", epochs=1).path, max_length=8)
    found = predict(short, path, output=tmp_path / "out.csv")
    assert (found.cut, found.max_length) == (3, 8)
    assert found.cut_note.endswith(f"Type: --max-length {limit}")
    whole = predict(predictor, io.BytesIO(b"a b c\nd\n"), output=io.BytesIO())
    assert (whole.cut, whole.cut_note) == (0, "")


def test_the_texts_of_pairs_are_counted_as_pairs(pairs: Predictor) -> None:
    lines = ("a " * 300 + "\tb\n" + "a\tb\n" + "a\t" + "b " * 300 + "\n").encode()
    found = predict(pairs, io.BytesIO(lines), output=io.BytesIO())
    assert (found.rows, found.cut) == (3, 2)


def test_a_file_of_another_dialect_comes_out_in_it(predictor: Predictor, tmp_path: Path) -> None:
    lines = [f'{n};{text}, "yes" or no' for n, text in enumerate(("a b", "c", "a c b"))]
    (tmp_path / "in.csv").write_text("".join(f"{line}\n" for line in ["id;text", *lines]))
    found = predict(predictor, tmp_path / "in.csv", output=tmp_path / "out.csv")
    assert any("with the delimiter ';'" in note for note in found.notes)
    head, *written = (tmp_path / "out.csv").read_text().splitlines()
    assert head.startswith("id;text;label;score")
    assert [";".join(line.split(";")[:2]) for line in written] == lines


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_file_without_a_header_line_is_named(
    predictor: Predictor, tmp_path: Path, as_stream: bool
) -> None:
    path = tmp_path / "in.tsv"
    path.write_text('1\ta "b\n2\t"c\n3\td e"\n')
    stated = FileFormat("tsv", quoting="none", columns=("id", "text"))
    out = tmp_path / "out.tsv"
    if as_stream:
        with path.open("rb") as file, out.open("wb") as written:
            predict(predictor, file, output=written, file_format=stated)
    else:
        predict(predictor, path, output=out, file_format=stated)
    head, *rows = out.read_text().splitlines()
    assert head.startswith("id\ttext\tlabel\tscore")
    assert [row.split("\t")[1] for row in rows] == ['a "b', '"c', 'd e"']


def test_no_row_is_swallowed_on_a_stream(predictor: Predictor, tmp_path: Path) -> None:
    content = b'id\ttext\n1\t"We shall see\n2\tsaid the clerk"\n'
    with pytest.raises(DataError, match="opens a quote that line 3 closes"):
        predict(predictor, io.BytesIO(content), output=io.BytesIO(), file_format="tsv")


def test_no_first_row_is_lost_and_no_column_that_shares_its_name(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("".join(f"{'ab'[n % 2]}\tit is so, say they all {n}\n" for n in range(20)))
    with pytest.raises(DataError, match="--no-header --columns label,sentence"):
        predict(predictor, path, output=tmp_path / "out.tsv")
    with pytest.raises(DataError, match="--no-header --columns label,text"):
        predict(predictor, path, output=tmp_path / "out.tsv", text="it is so, say they all 0")
    path.write_text("text\tmore\tmore\na\tb\tc\n")
    with pytest.raises(DataError, match="has 2 columns called 'more'"):
        predict(predictor, path, output=tmp_path / "out.tsv")
    assert not (tmp_path / "out.tsv").exists()
