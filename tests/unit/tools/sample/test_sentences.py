"""Properties of every text of the sample, and no easy clues to the label."""

import re

import numpy as np
import numpy.typing as npt
import pytest
from tools.sample import generate

from gluetune.core.tasks import TASKS, TaskSpec, get_task

ROWS = 1000
CLASSIFICATION = ["cola", "sst2", "mrpc", "qqp", "mnli", "qnli", "rte", "wnli"]


def texts(task: TaskSpec, split: str) -> list[str]:
    table = generate(task, split)
    return [text for column in task.text_columns for text in table[column].to_pylist()]


def examples(task: TaskSpec, split: str) -> list[tuple[str, ...]]:
    table = generate(task, split, rows=ROWS)
    return list(zip(*(table[column].to_pylist() for column in task.text_columns), strict=True))


def joined(task: TaskSpec, split: str) -> list[str]:
    """Return the words of each example, marked with the place of their column."""
    return [
        " ".join(f"{place}:{word}" for place, text in enumerate(row) for word in text.split())
        for row in examples(task, split)
    ]


def lengths(task: TaskSpec, split: str) -> npt.NDArray[np.int64]:
    return np.array([[len(text.split()) for text in row] for row in examples(task, split)])


def labels(task: TaskSpec, split: str) -> npt.NDArray[np.int64]:
    return np.array(generate(task, split, rows=ROWS)[task.label_column].to_pylist())


def test_sentences_are_well_formed() -> None:
    looked_at = 0
    for task in TASKS.values():
        for split in task.splits:
            for text in texts(task, split):
                looked_at += 1
                assert text[0].isupper() or text[0].isdigit() or text[0] == "$", text
                assert text[-1] in ".?", text
                assert "  " not in text, text
                assert text == text.strip(), text
                assert not re.search(r"[{}_\[\]]|\s[.,?]|,,|\.\.", text), text
                assert not re.search(r"\b(\w+) \1\b", text, re.IGNORECASE), text
    assert looked_at > 20_000


def test_articles_agree_with_what_follows() -> None:
    looked_at = 0
    for name in ("cola", "sst2", "stsb", "mnli", "ax"):
        for text in texts(get_task(name), "test_matched" if name == "mnli" else "test"):
            for article, initial in re.findall(r"\b([Aa]n?) (\w)", text):
                looked_at += 1
                assert (article.lower() == "an") == (initial in "aeiou"), text
    assert looked_at > 300


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_lengths_vary(task: TaskSpec) -> None:
    found = [len(text.split()) for split in task.splits for text in texts(task, split)]
    assert min(found) >= 2
    assert max(found) <= 60
    assert len(set(found)) >= 10
    assert max(found) >= 2 * min(found)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_word_counts_do_not_predict_the_label(name: str) -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    task = get_task(name)
    validation = task.validation_splits[0]
    words = CountVectorizer(token_pattern=r"\S+", binary=True)
    counted = words.fit_transform(joined(task, "train"))
    model = LogisticRegression(max_iter=200).fit(counted, labels(task, "train"))
    score = model.score(words.transform(joined(task, validation)), labels(task, validation))
    assert score < 0.9


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_length_does_not_predict_the_label(name: str) -> None:
    from sklearn.tree import DecisionTreeClassifier

    task = get_task(name)
    validation = task.validation_splits[0]
    tree = DecisionTreeClassifier(max_depth=4, random_state=0)
    tree.fit(lengths(task, "train"), labels(task, "train"))
    score = tree.score(lengths(task, validation), labels(task, validation))
    majority = max(np.bincount(labels(task, validation))) / ROWS
    assert score < majority + 0.15
