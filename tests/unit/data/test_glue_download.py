from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.glue_folders import make_table, write_download, write_lines

from gluetune.core.errors import DataError
from gluetune.core.tasks import GLUE_TASKS, TASKS, TaskSpec, get_task
from gluetune.data.glue_download import GlueDownload
from gluetune.data.sources import open_source
from gluetune.data.tables import fingerprint, notes_of

COLA = get_task("cola")
MRPC = get_task("mrpc")
QQP = get_task("qqp")
RTE = get_task("rte")

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), min_size=1, max_size=30
).filter(lambda text: bool(text.strip()))


def tables(task: TaskSpec, *splits: str) -> dict[str, pa.Table]:
    return {split: make_table(task, split) for split in splits or task.splits}


def found(folder: Path, task: TaskSpec, split: str = "train") -> list[str]:
    with pytest.raises(DataError) as caught:
        GlueDownload(folder).read(task, split)
    return [finding.message for finding in caught.value.findings]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_every_split_of_every_task_is_read_back(tmp_path: Path, newline: str, bom: bool) -> None:
    seen = 0
    for task in [*GLUE_TASKS.values(), get_task("ax")]:
        written = tables(task)
        write_download(tmp_path, task, written, newline=newline, bom=bom)
        source = GlueDownload(tmp_path)
        assert source.splits(task) == task.splits
        for split, table in written.items():
            assert source.read(task, split).equals(table, check_metadata=True), (task.name, split)
            assert fingerprint(source.read(task, split)) == fingerprint(table)
            seen += 1
    assert seen == 30


def test_tasks_can_share_a_folder(tmp_path: Path) -> None:
    write_download(tmp_path, get_task("mnli"), tables(get_task("mnli")))
    task = get_task("mnli-mm")
    source = GlueDownload(tmp_path)
    assert source.splits(task) == ("train", "validation_mismatched", "test_mismatched")
    assert source.read(task, "test_mismatched").num_rows == 12
    assert isinstance(open_source(str(tmp_path)), GlueDownload)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("glue")


@given(texts=st.lists(TEXT, min_size=2, max_size=8))
def test_any_text_is_read_back(folder: Path, texts: list[str]) -> None:
    for task in (COLA, RTE):
        table = make_table(task, "train", rows=5, texts=texts)
        write_download(folder, task, {"train": table})
        assert GlueDownload(folder).read(task, "train").equals(table)


def test_the_name_is_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert GlueDownload(Path()).name == str(tmp_path.resolve())


def test_bad_rows_are_reported_together_with_file_and_line(tmp_path: Path) -> None:
    lines = [
        "index\tsentence1\tsentence2\tlabel",
        "0\tA.\tB.\tentailment",
        "1\tA.\tnot_entailment",
        "2\tA.\tB.\tnot_entailed",
        "3\tA.\tB.\t1\t1",
        "4\tA.\t \tnot_entailment",
        "5\tA.\tB.\t2",
        "6\tA.\tB.\t1",
    ]
    path = write_lines(tmp_path / "RTE/train.tsv", lines)
    assert found(tmp_path, RTE) == [
        f"{path}:3 has 3 columns, not 4.",
        f"{path}:5 has 5 columns, not 4.",
        f"{path}:4: there is no label 'not_entailed'. Did you mean 'not_entailment'? "
        "Labels: entailment, not_entailment, or their ids from 0.",
        f"{path}:7: there is no label '2'. "
        "Labels: entailment, not_entailment, or their ids from 0.",
        f"{path}:6: 'sentence2' is empty.",
    ]


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    write_lines(tmp_path / "CoLA/train.tsv", ["src\t1\t\tIt rains.", *["src\t1"] * 25])
    messages = found(tmp_path, COLA)
    assert len(messages) == 11
    assert messages[-1] == "... and 15 more: 25 findings in all."


def test_scores_that_are_not_numbers_are_reported(tmp_path: Path) -> None:
    task = get_task("stsb")
    (path,) = write_download(tmp_path, task, tables(task, "train"))
    lines = path.read_text().splitlines()
    cells = lines[3].split("\t")
    write_lines(path, [*lines[:3], "\t".join([*cells[:-1], "high"]), *lines[4:]])
    assert found(tmp_path, task)[0] == f"{path}:4: 'high' is not a number."


def test_a_file_without_its_header_is_refused(tmp_path: Path) -> None:
    task = get_task("sst2")
    (path,) = write_download(tmp_path, task, tables(task, "train"))
    write_lines(path, path.read_text().splitlines()[1:])
    assert found(tmp_path, task)[0] == f"{path}:1 has no column 'sentence'."


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "CoLA/train.tsv", [])
    assert found(tmp_path, COLA) == [f"{path} has no rows."]


def test_known_broken_rows_of_qqp_are_left_out_and_counted(tmp_path: Path) -> None:
    paths = write_download(tmp_path, QQP, tables(QQP))
    lines = paths[0].read_text().splitlines()
    broken = lines[4].split("\t")
    write_lines(paths[0], [*lines[:4], "\t".join(broken[:4]), *lines[5:]])
    table = GlueDownload(tmp_path).read(QQP, "train")
    assert notes_of(table) == (
        f"1 rows left out: they do not have 6 columns, first {paths[0]}:5 with 4.",
    )
    assert table["idx"].to_pylist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]


def test_the_error_for_a_missing_split_lists_the_available_ones(tmp_path: Path) -> None:
    write_download(tmp_path, COLA, tables(COLA, "train", "test"))
    with pytest.raises(DataError) as caught:
        GlueDownload(tmp_path).read(COLA, "validation")
    assert "Splits there: train, test." in str(caught.value)
    assert "--data sample" in str(caught.value)
    with pytest.raises(DataError, match="Splits there: none"):
        GlueDownload(tmp_path).read(RTE, "train")


def test_the_diagnostic_set_with_labels_is_preferred(tmp_path: Path) -> None:
    task = TASKS["ax"]
    write_download(tmp_path, task, tables(task))
    header = "Lexical Semantics\tPredicate-Argument Structure\tLogic\tKnowledge\tDomain"
    rows = [f"-\t-\t-\t-\tNews\tA {label}.\tB.\t{label}" for label in task.labels]
    path = tmp_path / "diagnostic/diagnostic-full.tsv"
    write_lines(path, [f"{header}\tPremise\tHypothesis\tLabel", *rows])
    table = GlueDownload(tmp_path).read(task, "test")
    assert table["label"].to_pylist() == [0, 1, 2]
    assert table["premise"].to_pylist() == [f"A {label}." for label in task.labels]


def raw_mrpc(folder: Path, *, ids: str | None, header: bool = False) -> list[str]:
    """Write twelve rows as Microsoft distributes them; rows 3 and 7 are GLUE's validation."""
    title = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    rows = [f"{row % 2}\t{100 + row}\t{200 + row}\tOne {row}.\tTwo {row}." for row in range(12)]
    for name in ("train", "test"):
        path = folder / f"MRPC/msr_paraphrase_{name}.txt"
        write_lines(path, [title, *rows], newline="\r\n", bom=True)
    if ids:
        keys = ["#1 ID\t#2 ID"] * header + ["103\t203", "107\t207"]
        write_lines(folder / "MRPC" / ids, keys)
    return [f"One {row}." for row in range(12)]


@pytest.mark.parametrize("ids", ["mrpc_dev_ids.tsv", "dev_ids.tsv"])
@pytest.mark.parametrize("header", [False, True])
def test_raw_mrpc_is_divided_by_the_list_of_validation_rows(
    tmp_path: Path, ids: str, header: bool
) -> None:
    texts = raw_mrpc(tmp_path, ids=ids, header=header)
    source = GlueDownload(tmp_path)
    assert source.splits(MRPC) == MRPC.splits
    validation = source.read(MRPC, "validation")
    assert validation["idx"].to_pylist() == [3, 7]
    assert validation["label"].to_pylist() == [1, 1]
    assert validation["sentence1"].to_pylist() == [texts[3], texts[7]]
    train = source.read(MRPC, "train")
    assert train["idx"].to_pylist() == [row for row in range(12) if row not in (3, 7)]
    assert notes_of(train) == notes_of(validation) == ()
    test = source.read(MRPC, "test")
    assert test["label"].to_pylist() == [-1] * 12
    assert "are left out" in notes_of(test)[0]


def test_raw_mrpc_without_the_list_has_no_validation_split(tmp_path: Path) -> None:
    raw_mrpc(tmp_path, ids=None)
    source = GlueDownload(tmp_path)
    assert source.splits(MRPC) == ("train", "test")
    train = source.read(MRPC, "train")
    assert train.num_rows == 12
    assert "no mrpc_dev_ids.tsv" in notes_of(train)[0]


def test_a_list_that_names_unknown_rows_is_refused(tmp_path: Path) -> None:
    raw_mrpc(tmp_path, ids="dev_ids.tsv")
    path = write_lines(tmp_path / "MRPC/dev_ids.tsv", ["103\t203", "107\t208", "109"])
    assert found(tmp_path, MRPC, "validation") == [
        f"{path}:3 has 1 columns, not 2.",
        f"{path}:2: no row in the data has the key 107 208.",
    ]


def test_mrpc_as_glue_formats_it_is_preferred_to_the_raw_files(tmp_path: Path) -> None:
    raw_mrpc(tmp_path, ids="dev_ids.tsv")
    written = tables(MRPC)
    write_download(tmp_path, MRPC, written, bom=True)
    for split, table in written.items():
        assert GlueDownload(tmp_path).read(MRPC, split).equals(table)
