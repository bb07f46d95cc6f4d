"""`gluetune check` as it is typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from typer.testing import CliRunner

from gluetune import check_files
from gluetune.cli.app import app
from gluetune.core.errors import ConfigurationError


def typed(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *map(str, words)])
    return done.exit_code, " ".join(done.output.split())


def test_a_good_file_is_summed_up(tmp_path: Path) -> None:
    code, told = typed(write_csv(tmp_path / "reviews.csv", reviews()))
    assert code == 0
    assert "reviews: own labelled text, 2 classes, scored by accuracy" in told
    assert "train 36, validation 4" in told
    assert "50.0%" in told


def test_a_broken_file_ends_with_3_and_everything_that_is_wrong(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", reviews())
    with path.open("a") as file:
        file.write(",pos\nalone\n")
    code, told = typed(path)
    assert code == 3
    assert ":42 has an empty 'text'." in told
    assert ":43 has 1 field, the header 2." in told
    assert "--on-bad-row skip" in told
    code, told = typed(path, "--on-bad-row", "skip")
    assert code == 0
    assert "1 row with an empty text, 1 row with too few" in told


def test_texts_that_are_too_long_for_a_model_are_counted(tmp_path: Path) -> None:
    rows = reviews()
    for row in rows[:8]:
        row["text"] += " and so on" * 20
    path = write_csv(tmp_path / "reviews.csv", rows)
    model = write_tiny_checkpoint(tmp_path / "bert", "bert")
    code, told = typed(path, "--model", model, "--max-length", 32)
    assert code == 0, told
    found = [int(one) for one in re.findall(r"(\d+) of \d+ texts of \w+ \(", told)]
    assert sum(found) == 8
    share = f"({found[0] / 36:.1%}) are longer than 32 tokens of"
    assert f"{found[0]} of 36 texts of train {share}" in told
    assert told.endswith("--max-length 32")
    assert "longer" not in typed(path)[1]
    code, told = typed(path, "--model", tmp_path / "nothing")
    assert code != 0


def test_a_length_that_the_model_does_not_take_is_refused_as_by_train(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", reviews())
    model = write_tiny_checkpoint(tmp_path / "bert", "bert")
    with pytest.raises(ConfigurationError, match=r"--max-length 999: \S+ takes at most \d+ tokens"):
        check_files(path, model=str(model), max_length=999)


def test_columns_and_kinds_are_flags(tmp_path: Path) -> None:
    rows = [{"a b": f"t {n}", "second": "x", "n": n / 7, "u": n % 9} for n in range(40)]
    path = write_csv(tmp_path / "n.csv", rows)
    words = ("--text", "a b", "--text-pair", "second", "--label", "n", "--group", "u")
    code, told = typed(path, *words)
    assert code == 0, told
    assert "a number, scored by pearson" in told
    code, told = typed(path, *words, "--kind", "letters")
    assert code != 0


def test_what_is_typed_next_trains_on_what_was_checked(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "my reviews.csv", reviews())
    code, told = typed(path, "--kind", "single_label", "--on-bad-row", "skip")
    assert code == 0
    assert told.endswith(
        f"Next: gluetune train --train-file '{path}' --kind single_label --on-bad-row skip"
    )


def test_a_file_in_the_working_folder_is_called_as_it_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "reviews.csv", reviews())
    _, told = typed("reviews.csv", "--text", "txet")
    assert told == (
        "wrong: reviews.csv has no column 'txet'. Its columns: text, label. "
        "Did you mean 'text'? Type: --text text"
    )


def test_no_name_of_a_column_drives_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("te\x1b[2Jxt,label\na,b\n")
    code, told = typed(path)
    assert code == 3
    assert "\x1b" not in told
    assert "Type: --text 'te\u241b[2Jxt'" in told


def test_texts_that_the_tokenizer_does_not_know_are_told_with_a_remedy(tmp_path: Path) -> None:
    rows = [{"text": f"你好 世界 {n}", "label": "ab"[n % 2]} for n in range(40)]
    path = write_csv(tmp_path / "zh.csv", rows)
    model = write_tiny_checkpoint(tmp_path / "bert", "bert")
    code, told = typed(path, "--model", model)
    assert code == 0, told
    for split in ("train", "validation"):
        assert re.search(rf"(6|7)\d% of the tokens of {split} are unknown to {model}: it", told)
    assert "--model FacebookAI/xlm-roberta-base" in told
    assert "unknown to" not in typed(path)[1]
    known = write_csv(tmp_path / "en.csv", reviews())
    assert "unknown to" not in typed(known, "--model", model)[1]


def test_a_file_is_checked_as_it_is_typed_to_be_and_trained_on_so(tmp_path: Path) -> None:
    path = tmp_path / "my rows"
    path.write_text("".join(f"{'ab'[n % 2]}\tfilm {n} is so, they say\n" for n in range(40)))
    code, told = typed(path)
    assert code == 3
    assert "the first line looks like a row, not like column names" in told
    advised = re.search(r"Type: (--no-header --columns \S+);", told)
    assert advised is not None
    code, told = typed(path, *advised[1].split())
    assert code == 0, told
    assert "train 36, validation 4" in told
    assert told.endswith(f"train --train-file '{path}' --no-header --columns label,text")
    words = ("--format", "tsv", "--delimiter", "tab", "--quoting", "none", *advised[1].split())
    code, told = typed(path, *words)
    assert code == 0, told
    assert told.endswith(
        "--format tsv --delimiter tab --quoting none --no-header --columns label,text"
    )


def test_columns_that_are_found_are_typed_next(tmp_path: Path) -> None:
    rows = [{"my review": row["text"], "what, then": row["label"]} for row in reviews()]
    code, told = typed(write_csv(tmp_path / "n.csv", rows))
    assert code == 0, told
    assert "column 'my review' is used as --text." in told
    next_words = re.search(r"Next: gluetune train (.*)", told)
    assert next_words is not None
    words = shlex.split(next_words[1])
    assert words[2:] == ["--text", "my review", "--label", '"what, then"']
    assert typed(words[1], *words[2:])[0] == 0
