import json
from collections import Counter
from dataclasses import asdict

import pytest

from gluetune.core.errors import ConfigurationError
from gluetune.core.published import AVERAGE, HUMAN, LEADERBOARD_TOP, REFERENCES, published
from gluetune.core.tasks import TASKS


def test_the_table_has_the_rows_that_it_should() -> None:
    by_model = Counter(reference.model for reference in REFERENCES)
    assert len(REFERENCES) == 170
    assert len(by_model) == 24
    assert by_model["Human"] == 14
    assert by_model["BERT-base"] == 8
    assert by_model["BERT-base-cased"] == 13
    assert by_model["DistilBERT-base-uncased"] == 9
    assert by_model["MiniLM-L6-H384 v1"] == 7
    assert by_model["DeBERTa-v3-large"] == 9


def test_every_result_is_whole() -> None:
    for reference in REFERENCES:
        assert reference.task in TASKS or reference.task == AVERAGE, reference
        assert 0 < reference.value <= 100, reference
        assert reference.split in ("dev", "test")
        assert reference.model.strip()
        assert reference.protocol.strip()
        assert reference.source.strip()
        assert all(checkpoint.count("/") == 1 for checkpoint in reference.checkpoints)
        json.dumps(asdict(reference))


def test_every_metric_is_one_of_its_tasks_or_unstated() -> None:
    unstated = Counter[str]()
    for reference in REFERENCES:
        if reference.task == AVERAGE:
            continue
        if reference.metric is None:
            unstated[reference.task] += 1
        else:
            assert reference.metric in TASKS[reference.task].metrics, reference
    assert unstated == {"mrpc": 10, "qqp": 10, "stsb": 8}


def test_no_result_stands_twice() -> None:
    keys = Counter((r.model, r.task, r.metric, r.split, r.source) for r in REFERENCES)
    assert [key for key, count in keys.items() if count > 1] == []


def test_the_subset_of_mnli_is_said_of_mnli_alone() -> None:
    matched = [reference for reference in REFERENCES if reference.subset]
    assert len(matched) == 11
    assert {(reference.task, reference.subset) for reference in matched} == {("mnli", "matched")}


def test_the_best_of_many_is_never_given_as_a_plain_result() -> None:
    modernbert = [r for r in REFERENCES if r.model.startswith("ModernBERT")]
    assert len(modernbert) == 16
    for reference in modernbert:
        assert reference.protocol.startswith("best of 48 configurations")
        assert ("from MNLI" in reference.protocol) == (reference.task in ("rte", "mrpc", "stsb"))
    bert = [r for r in REFERENCES if r.model in ("BERT-base", "BERT-large")]
    assert len(bert) == 16
    assert all("best of 4" in reference.protocol for reference in bert)


@pytest.mark.parametrize(
    ("checkpoint", "task", "metric", "split", "value"),
    [
        ("bert-base-uncased", "mrpc", "f1", "test", 88.9),
        ("bert-base-uncased", "stsb", "spearman", "test", 85.8),
        ("bert-base-cased", "mrpc", "accuracy", "dev", 84.07),
        ("bert-base-cased", "mrpc", "f1", "dev", 88.85),
        ("bert-base-cased", "wnli", "accuracy", "dev", 56.34),
        ("bert-base-cased", "mnli-mm", "accuracy", "dev", 84.10),
        ("distilbert-base-uncased", "cola", "matthews_correlation", "dev", 51.3),
        ("electra-small-discriminator", "stsb", "spearman", "dev", 87.5),
        ("roberta-large", "rte", "accuracy", "dev", 86.6),
        ("deberta-v3-large", "mnli-mm", "accuracy", "dev", 91.9),
        ("modernbert-base", "rte", "accuracy", "dev", 87.4),
    ],
)
def test_known_cells(checkpoint: str, task: str, metric: str, split: str, value: float) -> None:
    cells = [r for r in published(task, checkpoint) if (r.metric, r.split) == (metric, split)]
    assert [cell.value for cell in cells] == [value]


def test_a_checkpoint_is_found_in_any_case_and_without_its_organisation() -> None:
    full = published(checkpoint="distilbert/distilbert-base-uncased")
    assert len(full) == 9
    assert published(checkpoint="DistilBERT-Base-Uncased") == full
    assert published(checkpoint="someone/distilbert-base-uncased") == ()
    assert published(checkpoint="bert-base") == ()
    assert published(checkpoint="") == ()


def test_published_without_a_question_is_everything_and_a_task_takes_any_spelling() -> None:
    assert published() == REFERENCES
    assert published("SST-2") == published("sst2") != ()
    assert {reference.task for reference in published("mnli")} == {"mnli"}


def test_an_unknown_task_is_refused_and_one_without_results_is_empty() -> None:
    with pytest.raises(ConfigurationError, match="boolq"):
        published("boolq")
    assert published("ax") == ()


def test_averages_are_the_human_one_and_the_leaderboards_top() -> None:
    assert published(AVERAGE) == (HUMAN, *LEADERBOARD_TOP)
    assert HUMAN.value == 87.1
    values = [reference.value for reference in LEADERBOARD_TOP]
    assert values == [91.3, 91.3, 91.2, 91.1, 91.1]
    assert all(reference.split == "test" for reference in published(AVERAGE))
