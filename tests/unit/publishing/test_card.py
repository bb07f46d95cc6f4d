"""What the card says of a run: only what its record holds, and nothing of the machine."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, RepoUrl
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.support.tiny_runs import Bench

from gluetune.core.config import OWN_SETTINGS, make_config
from gluetune.core.records import Record, read_record
from gluetune.core.runs import LocalPaths, Run, base_name
from gluetune.core.text import visible
from gluetune.publishing.card import make_card, repeat_command
from gluetune.publishing.upload import name_findings

REPO = "me/my-model"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def run(bench: Bench) -> Run:
    return bench.train("mrpc", epochs=2)


@pytest.fixture
def changed(run: Run) -> Callable[..., Run]:
    """Return the run with parts of its record replaced; the folder stays as it is."""

    def change(**parts: Any) -> Run:
        other = Run(run.path)
        other._record = Record.model_validate(run.record.model_dump() | parts)
        return other

    return change


def card_of(run: Run) -> str:
    return make_card(run, REPO, None, LocalPaths(run)).text


def test_the_card_has_the_records_numbers_and_its_protocol(run: Run) -> None:
    text = card_of(run)
    best, data, environment = run.record.best, run.record.data, run.record.environment
    assert best is not None
    assert data is not None
    assert environment is not None
    for value in best.validation.flat().values():
        assert f"{value:.4f}" in text
    assert "best of 2 epochs, one seed (42)" in text
    assert "unreliable: only 12 examples" in text
    assert data.fingerprints["validation"] in text
    assert f"torch {environment.versions['torch']}" in text
    assert 'gluetune.load("me/my-model")' in text
    assert '"text_pair": "Another text."' in text
    assert "\n| epochs | 2.0 |\n" in text
    assert not [name for name in OWN_SETTINGS if f"\n| {name} | " in text], "none of own text"
    assert text == card_of(run), "the same run has the same card, so that a repeat sends nothing"


def test_the_hubs_own_library_reads_the_card(run: Run) -> None:
    data: Any = ModelCard(card_of(run)).data
    assert data.pipeline_tag == "text-classification"
    assert data.metrics == ["accuracy", "f1"]
    results = data.eval_results
    assert {(one.dataset_type, one.dataset_split) for one in results} == {("local", "validation")}
    assert data.base_model is None  # a local folder is no model of the Hub
    assert data.to_dict().get("datasets") is None  # nor are its data the Hub's


def test_what_the_record_does_not_hold_is_not_claimed(changed: Callable[..., Run]) -> None:
    bare = changed(
        model=None, data=None, environment=None, compute=None, majority_baseline=None, timing={}
    )
    text = card_of(bare)
    for word in ("Hardware", "Throughput", "Versions", "language:", "base_model", "model-index"):
        assert word not in text
    assert "majority" not in text.lower()
    assert "A checkpoint that the record does not name" in text


def test_a_run_that_learnt_nothing_is_named(changed: Callable[..., Run], run: Run) -> None:
    epochs = [epoch.model_dump() | {"collapsed": True} for epoch in run.record.epochs]
    baseline = {"score": 1.0, "metrics": {"validation": {"accuracy": 1.0, "f1": 1.0}}}
    text = card_of(changed(epochs=epochs, majority_baseline=baseline))
    assert "gives every validation example the same class" in text
    assert "does not beat the majority class" in text


def test_nothing_of_the_machine_is_on_the_card(
    changed: Callable[..., Run], run: Run, bench: Bench
) -> None:
    note = f"There is no report.html: {run.path}/report.html and {Path.home()}/x and /opt/a/b.txt"
    text = card_of(changed(notes=[note]))
    assert str(bench.folder) not in text
    assert str(Path.home()) not in text
    assert "/opt/a" not in text
    assert "…/b.txt" in text
    assert "bert" in text


def test_a_file_of_ones_own_keeps_its_last_name(changed: Callable[..., Run], run: Run) -> None:
    """As the command that repeats the run has it; the folders above are left out."""
    assert run.record.data is not None
    source = "/srv/customers/acme/reviews.csv"
    note = f"{source}:3 is odd"
    data = run.record.data.model_dump() | {"source": source, "notes": [note]}
    task = replace(run.record.spec, name="reviews", title="reviews: own labelled text, 2 classes")
    text = card_of(changed(data=data, own_task=task))
    assert "…/reviews.csv:3 is odd" in text
    assert "acme" not in text
    assert "fine-tuned for reviews: own labelled text, 2 classes.\n" in text


hostile = st.text(max_size=30) | st.text(alphabet="|`<>*_[]()!\\~&$#-\n:'\"{}", max_size=30)


@settings(max_examples=30, deadline=None)
@given(name=hostile.filter(lambda text: text.strip() != ""), note=hostile)
def test_a_hostile_name_or_note_stays_text(run: Run, name: str, note: str) -> None:
    other = Run(run.path)
    model = run.record.model
    assert model is not None
    values = run.record.model_dump()
    values["model"] |= {"name": f"owner/{name}"}
    values["notes"] = [note]
    other._record = Record.model_validate(values)
    text = card_of(other)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["base_model"] == f"owner/{name}"
    tokens = (
        MarkdownIt("commonmark", {"html": True}).enable("table").parse(text.split("---\n", 2)[2])
    )
    kinds = {token.type for token in tokens}
    kinds |= {part.type for token in tokens for part in token.children or ()}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open"}
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1"] + ["h2"] * 5
    seen = ["".join(part.content for part in token.children or ()) for token in tokens]
    words = " ".join(visible(f"owner/{name}").split())
    assert any(words in " ".join(one.split()) for one in seen)


def test_the_command_of_the_card_is_the_runs_configuration(run: Run, bench: Bench) -> None:
    from gluetune.cli.options import given_settings

    config = run.config.model_copy(
        update={
            "training_args": {
                "max_grad_norm": 0.5,
                "lr_scheduler_type": "cosine",
                "run_name": "a b: 'c'",
            },
            "compact_vocabulary": False,
            "new_head": True,
            "label_order": ("not_equivalent", "equivalent"),
            "seed": 7,
        }
    )
    config.save(run.folder.config)
    words = shlex.split(repeat_command(run, LocalPaths(run)))
    assert words[:3] == ["gluetune", "train", "mrpc"]
    from tests.unit.test_docs import parse, settings_of

    typed = settings_of(parse(words[1:]))
    assert typed["model"] == "MODEL_FOLDER"
    assert typed["data"] == "DATA_FOLDER"
    typed |= {"model": str(bench.model), "data": str(bench.data)}
    assert make_config({"task": "mrpc", **typed}) == config
    assert given_settings({}) == {}


@pytest.mark.parametrize(
    "name", ["me/model", "me/my-model.v2", "My_Org/x", "a/b", "me/" + "x" * 90]
)
def test_a_name_that_the_hub_takes(name: str) -> None:
    assert RepoUrl(f"https://huggingface.co/{name}").repo_id == name
    assert list(name_findings(name)) == []


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "a/b/c",
        "me/",
        "/model",
        "me/a b",
        "me/-a",
        "me/a--b",
        "me/a..b",
        "me/a.git",
        "me/a/",
        "https://huggingface.co/me/a",
        "me/" + "x" * 100,
        "",
    ],
)
def test_a_name_that_the_hub_does_not_take(name: str) -> None:
    (finding,) = name_findings(name)
    assert "owner/name" in finding.hint


def test_base_names() -> None:
    assert base_name("owner/name") == "owner/name"
    assert base_name("/home/me/runs/mnli-1/model") == "mnli-1"
    assert base_name("/home/me/bert") == "bert"


def test_the_record_of_the_run_was_left_alone(run: Run) -> None:
    assert read_record(run.folder.record) == run.record


def test_the_bag_of_words_stands_in_the_card(changed: Callable[..., Run], run: Run) -> None:
    majority = run.record.majority_baseline
    assert majority is not None
    assert "bag of words" not in card_of(run)
    with_words = changed(text_baseline=majority)
    lines = card_of(with_words).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| metric"))
    table = lines[head : head + 5]
    assert table[0].endswith("| majority class | bag of words |")
    assert {line.count("|") for line in table} == {6}
    assert "Majority class: the most frequent label of train." in lines
    assert "Bag of words: TF-IDF and a linear model, of train." in lines
