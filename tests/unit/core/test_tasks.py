from __future__ import annotations

import dataclasses

import pytest

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import GLUE_TASKS, TASKS, get_task, unfit_metrics
from gluetune.kinds import REGRESSION

# gluebenchmark.com; Wang et al. 2019, table 1, counts the same up to rounding.
OFFICIAL_ROWS = {
    "cola": (8551, 1043, 1063),
    "sst2": (67349, 872, 1821),
    "mrpc": (3668, 408, 1725),
    "stsb": (5749, 1500, 1379),
    "qqp": (363846, 40430, 390965),
    "mnli": (392702, 9815, 9832, 9796, 9847),
    "qnli": (104743, 5463, 5463),
    "rte": (2490, 277, 3000),
    "wnli": (635, 71, 146),
    "ax": (1104,),
}
SUBMISSION_ROWS = {
    "CoLA.tsv": 1063,
    "SST-2.tsv": 1821,
    "MRPC.tsv": 1725,
    "QQP.tsv": 390965,
    "STS-B.tsv": 1379,
    "MNLI-m.tsv": 9796,
    "MNLI-mm.tsv": 9847,
    "QNLI.tsv": 5463,
    "RTE.tsv": 3000,
    "WNLI.tsv": 146,
    "AX.tsv": 1104,
}


def test_there_are_nine_tasks_the_diagnostic_set_and_a_second_name() -> None:
    assert list(GLUE_TASKS) == list(OFFICIAL_ROWS)[:9]
    assert set(TASKS) - set(GLUE_TASKS) == {"mnli-mm", "ax"}
    for name, spec in TASKS.items():
        assert spec.name == name


@pytest.mark.parametrize("name", OFFICIAL_ROWS)
def test_splits_have_the_official_sizes(name: str) -> None:
    spec = TASKS[name]
    assert tuple(spec.rows[split] for split in spec.splits) == OFFICIAL_ROWS[name]
    assert set(spec.rows) == set(spec.splits)


def test_the_submission_is_the_leaderboards_eleven_files() -> None:
    tasks = [TASKS[name] for name in OFFICIAL_ROWS]
    files = {file.name: (spec, file) for spec in tasks for file in spec.submission}
    rows = {name: spec.rows[file.split] for name, (spec, file) in files.items()}
    assert rows == SUBMISSION_ROWS
    by_name = {name for name, (_, file) in files.items() if file.values == "names"}
    assert by_name == {"MNLI-m.tsv", "MNLI-mm.tsv", "QNLI.tsv", "RTE.tsv", "AX.tsv"}
    assert files["STS-B.tsv"][1].values == "number"
    for spec, file in files.values():
        assert file.split in spec.test_splits


@pytest.mark.parametrize("spec", TASKS.values(), ids=TASKS)
def test_a_task_holds_together(spec: object) -> None:
    task = TASKS[spec.name]  # type: ignore[attr-defined]  # a TaskSpec; pytest's ids need the values
    assert len(task.text_columns) in (1, 2)
    assert (task.kind is REGRESSION) is (task.label_range is not None)
    assert task.num_labels == (1 if task.kind is REGRESSION else len(set(task.labels)))
    assert task.metrics
    assert not unfit_metrics("metrics", task.all_metrics, task.kind, task.num_labels)
    assert (task.train_split is None) is bool(task.trained_as)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"  # type: ignore[misc]  # that it is refused is the point


def test_scores_are_written_in_points_where_they_are_shares() -> None:
    assert TASKS["cola"].amount(0.512) == "51.2"
    assert dataclasses.replace(TASKS["cola"], metrics=("log_loss",)).amount(0.512) == "0.512"


def test_label_ids_are_those_of_glue() -> None:
    assert TASKS["mnli"].labels == ("entailment", "neutral", "contradiction")
    assert TASKS["qnli"].labels == TASKS["rte"].labels == ("entailment", "not_entailment")
    assert TASKS["wnli"].labels == ("not_entailment", "entailment"), "the other way round"
    assert TASKS["ax"].labels == TASKS["mnli"].labels


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("cola", "cola"),
        ("CoLA", "cola"),
        ("SST-2", "sst2"),
        ("sst_2", "sst2"),
        ("STS-B", "stsb"),
        ("mnli-mm", "mnli-mm"),
        ("mnli_mm", "mnli-mm"),
        ("MNLIMM", "mnli-mm"),
        ("AX", "ax"),
    ],
)
def test_names_are_taken_loosely(typed: str, name: str) -> None:
    assert get_task(typed).name == name


@pytest.mark.parametrize(
    ("typed", "meant"), [("mnlii", "mnli"), ("qlni", "qnli"), ("sts", "stsb"), ("colla", "cola")]
)
def test_an_unknown_name_gets_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        get_task(typed)
    (finding,) = caught.value.findings
    assert finding.message == f"There is no task '{typed}'."
    assert finding.hint.startswith(f"Did you mean '{meant}'? Tasks: cola, ")


@pytest.mark.parametrize("typed", ["", "--", "squad_v2_very_far"])
def test_a_name_near_nothing_gets_the_list(typed: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Tasks: cola, .*ax\.") as caught:
        get_task(typed)
    assert "Did you mean" not in str(caught.value)
