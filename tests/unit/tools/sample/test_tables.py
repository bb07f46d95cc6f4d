import hashlib
import json
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.sample import DEFAULT_ROWS, generate, tables
from tools.sample.example import Example

from gluetune.core.errors import DataError
from gluetune.core.tasks import GLUE_TASKS, TASKS, TaskSpec, get_task
from gluetune.kinds import REGRESSION

SPLITS = [(task, split) for task in TASKS.values() for split in task.splits]
LABELLED = [(task, split) for task, split in SPLITS if split not in task.test_splits]

# Of 64 rows of each split, in the order of the task's splits; made once and pinned. A change here
# is a change of the data set, and of every score that was measured on it.
GOLDEN = {
    "cola": "7e15b37363f2bc5d48f5f7a940cae82843160fed7bece85c5d7dcb988fd6c973",
    "sst2": "cedce377f81e996581b2b0f3967b8a7ad4e4f1ebffd742501ffa66bf9c7241b2",
    "mrpc": "1cf73a648cd3550603812ab253bc89690aae05d0b350c4787d59abf60fe85218",
    "stsb": "7244d0c1cb4ac1c36d411a2ce78ba011ffd8df79ae0870ecac9f29244d819263",
    "qqp": "ad98bcc32997aeaff45a1435b490d6b4735bdffac3db97f89c08d26f4ecaf87c",
    "mnli": "eb8cbb9c43bbe3a5d2bdf9f9ca2991ff3b53c2419f37ae3224d3f8a1dec5cdb6",
    "qnli": "e395474ddbf6ad54b146ad6b7b2ca2f1773841e0a57321e6d38ce740c3d0d62b",
    "rte": "88701784845ce729618d380eb258735ddccd69cb8ea7543cf08d0f445868ea5c",
    "wnli": "2547c86bdbd8c4290cc38587528d83d9de7e7f28ae920f7b208ae90e3c4120a8",
    "mnli-mm": "abbc673bec8b6f463612c85f3d41c3fab0ea727b6eea2b2b4c356cb9c46e2f14",
    "ax": "6110ad2c9ae7e00bacaed8414d4be06ccbea9cdc183c18ef7fe7c5e07c902a66",
}


def texts(task: TaskSpec, table: pa.Table) -> list[tuple[str, ...]]:
    columns = [table[column].to_pylist() for column in task.text_columns]
    return list(zip(*columns, strict=True))


def canonical(task: TaskSpec, rows: int = 64, seed: int = 0) -> str:
    dump = {split: generate(task, split, rows=rows, seed=seed).to_pylist() for split in task.splits}
    return json.dumps(dump, ensure_ascii=False, sort_keys=True)


def digest(task: TaskSpec) -> str:
    return hashlib.sha256(canonical(task).encode()).hexdigest()


def test_every_task_and_split_is_checked() -> None:
    assert len(TASKS) == 11
    assert len(SPLITS) == 33
    assert len(LABELLED) == 21
    assert set(GOLDEN) == set(TASKS)


@pytest.mark.parametrize(("task", "split"), SPLITS, ids=lambda value: getattr(value, "name", value))
def test_has_the_schema_of_the_hub(task: TaskSpec, split: str) -> None:
    table = generate(task, split, rows=8)
    expected = [(column, pa.string()) for column in task.text_columns]
    expected.append((task.label_column, pa.float32() if task.kind is REGRESSION else pa.int64()))
    expected.append((task.index_column, pa.int32()))
    assert table.schema.equals(pa.schema(expected))
    assert table[task.index_column].to_pylist() == list(range(8))
    assert sum(column.null_count for column in table.columns) == 0


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_generated_rows_do_not_change(task: TaskSpec) -> None:
    assert digest(task) == GOLDEN[task.name]


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_repeats_for_a_seed_and_differs_between_seeds(task: TaskSpec) -> None:
    assert canonical(task, rows=20, seed=3) == canonical(task, rows=20, seed=3)
    assert canonical(task, rows=20, seed=3) != canonical(task, rows=20, seed=4)


def test_a_shorter_split_starts_a_longer_one() -> None:
    task = get_task("qnli")
    assert generate(task, "train", rows=30).equals(generate(task, "train", rows=90).slice(0, 30))


def test_mnli_mm_is_mnli() -> None:
    for split in ("train", "validation_mismatched", "test_mismatched"):
        assert generate(get_task("mnli-mm"), split).equals(generate(get_task("mnli"), split))


def test_mismatched_splits_are_about_other_people() -> None:
    task = get_task("mnli")
    premises = [
        " ".join(generate(task, split)["premise"].to_pylist())
        for split in ("validation_matched", "validation_mismatched")
    ]
    found = [[word in text for text in premises] for word in ("teacher", "zoologist")]
    assert found == [[True, False], [False, True]]


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_default_sizes_have_distinct_examples_and_share_none(task: TaskSpec) -> None:
    seen: dict[str, set[tuple[str, ...]]] = {}
    for split in task.splits:
        found = texts(task, generate(task, split))
        assert len(found) == DEFAULT_ROWS[task.hub_config][split]
        assert len(set(found)) == len(found)
        seen[split] = set(found)
    firsts = {split: {first for first, *_ in found} for split, found in seen.items()}
    train = firsts.get("train", set())
    for split in set(task.splits) - {"train"}:
        assert not firsts[split] & train, split


def test_default_sizes_suffice() -> None:
    smallest = {"train": 512, "validation": 128, "test": 64}
    sizes = [(split, rows) for splits in DEFAULT_ROWS.values() for split, rows in splits.items()]
    assert len(sizes) == 9 * 3 + 2 + 1
    assert all(rows >= smallest[split.partition("_")[0]] for split, rows in sizes)


def test_test_labels_are_hidden() -> None:
    hidden = [(task, split) for task in TASKS.values() for split in task.test_splits]
    assert len(hidden) == 12
    for task, split in hidden:
        assert set(generate(task, split, rows=50)[task.label_column].to_pylist()) == {-1}


@pytest.mark.parametrize(
    ("name", "label", "low", "high"),
    [
        ("cola", 1, 0.65, 0.75),
        ("sst2", 1, 0.45, 0.55),
        ("mrpc", 1, 0.63, 0.73),
        ("qqp", 1, 0.32, 0.42),
        ("mnli", 0, 0.28, 0.38),
        ("mnli", 1, 0.28, 0.38),
        ("qnli", 0, 0.45, 0.55),
        ("rte", 0, 0.45, 0.55),
        ("wnli", 1, 0.45, 0.55),
    ],
)
def test_classes_are_balanced_as_in_glue(name: str, label: int, low: float, high: float) -> None:
    labels = Counter(generate(get_task(name), "train", rows=2000)["label"].to_pylist())
    assert low <= labels[label] / 2000 <= high


def test_every_class_occurs_in_every_labelled_split() -> None:
    for task, split in LABELLED:
        if task.kind is not REGRESSION:
            found = set(generate(task, split)[task.label_column].to_pylist())
            assert found == set(range(task.num_labels)), (task.name, split)


def test_stsb_scores_fill_the_range_in_steps_of_a_tenth() -> None:
    scores = generate(get_task("stsb"), "train")["label"].to_pylist()
    assert min(scores) == 0.0
    assert max(scores) == 5.0
    assert all(abs(score * 10 - round(score * 10)) < 1e-5 for score in scores)
    assert all(sum(low <= score < low + 1.25 for score in scores) > 100 for low in (0, 1.25, 2.5))


@settings(max_examples=40, deadline=None)
@given(
    place=st.integers(0, len(SPLITS) - 1),
    rows=st.integers(0, 80),
    seed=st.integers(-(2**40), 2**40),
)
def test_any_size_and_seed_is_honoured(place: int, rows: int, seed: int) -> None:
    task, split = SPLITS[place]
    table = generate(task, split, rows=rows, seed=seed)
    assert table.num_rows == rows
    assert len(set(texts(task, table))) == rows


def test_official_sizes_are_reached_by_repeating() -> None:
    task = get_task("qqp")
    rows = task.rows["test"]
    table = generate(task, "test", rows=rows)
    assert table.num_rows == rows == 390_965
    assert len(set(texts(task, table))) == tables.DISTINCT_ROWS


def test_a_task_with_too_few_examples_repeats_them(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"wnli": lambda draw: Example((f"Text {draw.number(0, 9)}.", "So."), 1)}
    monkeypatch.setattr(tables, "_SAMPLERS", few)
    table = generate(get_task("wnli"), "train", rows=40)
    assert table.num_rows == 40
    assert 0 < len(set(table["sentence1"].to_pylist())) < 10


def test_an_unknown_split_is_refused_with_the_available_splits() -> None:
    with pytest.raises(DataError, match="'mnli' has no split 'validation'") as refusal:
        generate(get_task("mnli"), "validation")
    assert "validation_matched, validation_mismatched" in refusal.value.findings[0].hint
    with pytest.raises(DataError, match="'ax' has no split 'train'"):
        generate(get_task("ax"), "train")
    with pytest.raises(DataError, match="'mnli-mm' has no split 'test_matched'"):
        generate(get_task("mnli-mm"), "test_matched")


def test_a_task_of_the_users_own_is_refused() -> None:
    own = TaskSpec(name="mine", title="", text_columns=("text",), labels=("a", "b"), metrics=())
    with pytest.raises(DataError, match="no data for the task 'mine'"):
        generate(own, "train")


def test_negative_rows_are_refused() -> None:
    with pytest.raises(DataError, match="cannot have -1 rows"):
        generate(get_task("cola"), "train", rows=-1)


def test_the_nine_tasks_and_ax_have_sizes() -> None:
    assert set(DEFAULT_ROWS) == {*GLUE_TASKS, "ax"}
