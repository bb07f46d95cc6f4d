"""The labelled diagnostics: read with their categories, and refused where they are not those."""

from __future__ import annotations

from pathlib import Path

import pytest

from gluetune.analysis.diagnostics import COARSE, read_diagnostics
from gluetune.core.errors import DataError

HEAD = "\t".join((*COARSE, "Domain", "Premise", "Hypothesis", "Label"))


def write(path: Path, *rows: str, head: str = HEAD) -> Path:
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return path


def test_rows_stand_in_every_category_that_their_cells_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.tsv",
        "Factivity; Quantifiers\t\tNegation\t\tNews\tA man ran.\tHe ran.\tentailment",
        "\tDatives\t\tWorld knowledge\tNews\tA cat sat.\tA dog sat.\tcontradiction",
        "Factivity\t\tNegation;Disjunction\t\tNews\tRain fell.\tIt was late.\tneutral",
    )
    found = read_diagnostics(path)
    assert found.table["label"].to_pylist() == [0, 2, 1]
    assert found.table["idx"].to_pylist() == [0, 1, 2]
    assert found.table["premise"].to_pylist() == ["A man ran.", "A cat sat.", "Rain fell."]
    rows = {
        coarse: {name: list(numbers) for name, numbers in fine.items()}
        for coarse, fine in found.fine.items()
    }
    assert rows == {
        "Lexical Semantics": {"Factivity": [0, 2], "Quantifiers": [0]},
        "Predicate-Argument Structure": {"Datives": [1]},
        "Logic": {"Disjunction": [2], "Negation": [0, 2]},
        "Knowledge": {"World knowledge": [1]},
    }


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.tsv",
        "\t\t\t\tNews\tA man ran.\tHe ran.\tyes",
        "too\tshort",
        "\t\t\t\tNews\tA man ran.\tHe ran.\t",
    )
    with pytest.raises(DataError) as caught:
        read_diagnostics(path)
    said = str(caught.value)
    assert f"{path}:2: label 'yes'; expected one of entailment, neutral, contradiction" in said
    assert f"{path}:3 has 2 columns; the header has 8" in said
    assert f"{path}:4: label ''" in said


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", "0\tA man ran.\tHe ran.", head="index\tsentence1\tsentence2")
    with pytest.raises(DataError, match="has no column 'Label'"):
        read_diagnostics(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_diagnostics(tmp_path / "gone.tsv")
