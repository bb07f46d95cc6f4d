"""The model card: the README.md of a published run, made from its record.

Everything on it comes from the record, the configuration and the saved predictions. Their text is
escaped (`gluetune.publishing.readme`), and local folders are removed
(`gluetune.publishing.model_files`). It ends with the command line that reproduces the run.

The Hub reads its scores from `model-index` in the card, and from `.eval_results/*.yaml`.
`model-index` is the metadata of a model card (huggingface/hub-docs, modelcard.md). The files in
`.eval_results/` are what the Hub's model pages and leaderboards are made from
(https://huggingface.co/docs/hub/eval-results; the fields are in hub-docs' eval_results.yaml and in
`huggingface_hub.EvalResultEntry`): a data set of the Hub, the id of one of its tasks, one value.
They name a data set of the Hub, so only a score on GLUE itself is written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.analysis.evaluation import Evaluation, evaluation_of
from gluetune.analysis.scores import is_held_out, scored_on
from gluetune.core.command_lines import command_line
from gluetune.core.config import FILE_SETTINGS, OWN_SETTINGS, TrainConfig, typed_settings
from gluetune.core.records import (
    DataRecord,
    Record,
    epoch_choice,
    has_collapsed,
    listed,
    plural,
    shown,
)
from gluetune.core.runs import LocalPaths, Run, base_name, is_local, scored_splits
from gluetune.core.tasks import TaskSpec
from gluetune.data.sources import HUB_REPOSITORY, SAMPLES, is_glue
from gluetune.metrics.registry import hub_name
from gluetune.publishing.readme import Markdown, environment, escape, front_matter

if TYPE_CHECKING:
    from gluetune.statistics.intervals import Interval

_NOT_SETTINGS = frozenset({"task", "model", "revision", "data", "output", "checkpoint_minutes"})


@dataclass(frozen=True)
class Card:
    """A model card, and the confidence intervals of its scores."""

    text: str
    """README.md: front matter and Markdown."""
    intervals: Mapping[str, Interval | None]
    """Of the score and each metric; empty where the run keeps no predictions."""


def make_card(run: Run, repo: str, revision: str | None, paths: LocalPaths) -> Card:
    """Return the card of a finished run to be published as `repo`, `owner/name`."""
    found = evaluation_of(run)
    values = _values(run, found, repo, revision, paths)
    text = environment().get_template("card.md").render(**values)
    return Card(text, found.intervals if found else {})


def _values(
    run: Run,
    found: Evaluation | None,
    repo: str,
    revision: str | None,
    paths: LocalPaths,
) -> dict[str, Any]:
    """Return the values of the template: text, which it escapes, and Markdown."""
    record, config, task = run.record, run.config, run.task
    scores = found.scores.table("") if found else None
    test = found.baseline_test if found else None
    intervals = [one for one in found.intervals.values() if one] if found else []
    best = record.best
    command = repeat_command(run, paths)
    hidden = _NOT_SETTINGS if config.is_own else _NOT_SETTINGS | {*OWN_SETTINGS}
    return {
        "metadata": front_matter(metadata(record, task, repo)),
        "title": repo.partition("/")[2],
        "base": _base(record),
        "task": task,
        "warnings": list(_warnings(record)),
        "scores": Markdown(scores.to_markdown()) if scores else "",
        "score_notes": scores.notes if scores else (),
        "baselines": [
            f"{one.name.capitalize()}: {one.protocol}."
            for one in (found.scores.baselines.values() if found else ())
        ],
        "baseline_test": test.sentence if test else "",
        "protocol": protocol(record),
        "methods": ", ".join(dict.fromkeys(one.method for one in intervals)),
        "undefined": best.validation.undefined if best else {},
        "data": _data(record, task, paths),
        "limits": list(_limits(run, task)),
        "usage": usage(
            repo,
            revision,
            task,
            trusts_code=config.trust_remote_code,
            is_adapter=config.method == "lora",
        ),
        "interface": interface(task, record),
        "thresholds": threshold_rows(task),
        "settings": {
            name: _shown_setting(value, paths)
            for name, value in config.model_dump(mode="json", exclude_none=True).items()
            if name not in hidden and value != {}
        },
        "hardware": _hardware(record),
        "speed": _speed(record),
        "versions": _versions(record),
        "notes": [paths.hide(note) for note in record.notes],
        "repeat": {"command": command, "words": _placeholders(command)},
    }


def metadata(record: Record, task: TaskSpec, repo: str) -> dict[str, Any]:
    """Return the card's front matter, which the Hub's pages and filters read."""
    values: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": task.kind.hub_task[0]}
    data, model = record.data, record.model
    if data is not None and (is_glue(data, task) or data.source in SAMPLES):
        values["language"] = "en"
    if model is not None and not is_local(model.name):
        values["base_model"] = model.name
    if data is not None and is_glue(data, task):
        values["datasets"] = ["nyu-mll/glue"]
    values["metrics"] = [hub_name(metric) for metric in task.metrics]
    values["tags"] = ["gluetune", "generated_from_trainer"]
    index = model_index(repo.partition("/")[2], record, task)
    return values | ({"model-index": index} if index else {})


def _base(record: Record) -> dict[str, Any]:
    model = record.model
    if model is None:
        return {"words": "A checkpoint that the record does not name", "new_weights": ""}
    commit = f" at commit {model.commit[:12]}" if model.commit else ""
    place = "a local folder, " if is_local(model.name) else ""
    size = f"{place}{model.architecture}, {model.parameters:,} weights"
    return {
        "words": f"{base_name(model.name)}{commit} ({size})",
        "new_weights": ", ".join(model.new_weights),
    }


def _warnings(record: Record) -> Iterator[str]:
    best, baseline = record.best, record.majority_baseline
    if best is None:
        return
    if has_collapsed(record):
        same = record.spec.kind.unit_of_example
        yield f"this model gives every validation example the same {same}."
    score, majority = best.validation.score, baseline.score if baseline else None
    if score is not None and majority is not None and not record.spec.is_better(score, majority):
        constant = record.spec.kind.constant_name
        yield f"this model does not beat the {constant}: it has learned nothing measurable."
    if best.agrees is False:
        yield "loaded from disk, the model does not reproduce its score in training."


def _data(record: Record, task: TaskSpec, paths: LocalPaths) -> dict[str, Any]:
    data = record.data
    if data is None:
        return {"words": "Not recorded.", "splits": [], "notes": []}
    rows = [
        {
            "name": split,
            "rows": f"{count:,}",
            "truncated": f"{data.truncated[split]:,}" if split in data.truncated else "not known",
            "fingerprint": data.fingerprints.get(split, "not known"),
        }
        for split, count in data.rows.items()
    ]
    return {
        "words": _origin(record, task),
        "splits": rows,
        "notes": [paths.hide(note) for note in data.notes],
    }


def _origin(record: Record, task: TaskSpec) -> str:
    assert record.data is not None, "called for a record with data"
    if record.data.source in SAMPLES:
        return "The sample data of gluetune: sentences generated by a program, in GLUE's schema."
    if record.own_task is not None:
        return f"A private data set, {task.name}, which is not published with the model."
    if is_glue(record.data, task):
        return f"GLUE, configuration {task.hub_config} of nyu-mll/glue."
    return (
        f"A local folder in GLUE's layout for {task.name}. Its validation rows may differ from "
        "GLUE's."
    )


def _limits(run: Run, task: TaskSpec) -> Iterator[str]:
    """Yield the limitations of the score that the record shows."""
    record, config = run.record, run.config
    if task.positive_note:
        yield task.positive_note
    if record.data is not None and record.data.source in SAMPLES:
        yield "A score on the sample data does not transfer to GLUE or to texts that people write."
    if len(record.epochs) > 1:
        yield (
            "The epoch was chosen on the same validation set that is scored here, so the score is "
            "slightly optimistic."
        )
    yield f"This is one run, with seed {record.seed}. Scores vary with the seed."
    if config.fraction < 1:
        yield f"It was trained on {config.fraction:.4g} of the training set."
    rows = record.data.rows if record.data else {}
    for split in scored_splits(run):
        if split in rows:
            yield f"The score on {split} is computed on {rows[split]:,} examples."
    cut = record.data.truncated if record.data else {}
    for split, count in cut.items():
        if count:
            yield f"{count:,} examples of {split} were truncated to the model's maximum length."
    yield (
        "It was trained and evaluated on these data only. It has not been evaluated on other "
        "texts, languages or tasks, nor for bias against groups of people."
    )
    yield (
        "The record states no license: the licenses of the base checkpoint and of the data apply."
    )


def _hardware(record: Record) -> str:
    environment = record.environment
    if environment is None:
        return ""
    threads = plural(environment.threads, "thread")
    return (
        f"Hardware: {environment.device}, {threads}, {environment.precision}, "
        f"on {environment.platform}."
    )


def _speed(record: Record) -> str:
    timing = record.timing
    parts = [f"training {timing.train_seconds:,.1f} s"] if timing.train_seconds else []
    if timing.examples_per_second:
        parts.append(f"{timing.examples_per_second:,.1f} examples/s")
    if timing.tokens_per_second:
        parts.append(f"{timing.tokens_per_second:,.0f} tokens/s, padding not counted")
    if record.compute is not None:
        parts.append(f"compute path: {record.compute.path}")
    return f"Throughput: {', '.join(parts)}." if parts else ""


def _versions(record: Record) -> str:
    versions = record.environment.versions if record.environment else {}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _placeholders(command: str) -> Markdown:
    meant = {
        MODEL_FOLDER: "the folder of the base checkpoint",
        DATA_FOLDER: "a folder with the data above",
    }
    words = [f"{name} is {what}" for name, what in meant.items() if name in command]
    return escape(f" ({'; '.join(words)})" if words else "")


def _shown_setting(value: Any, paths: LocalPaths) -> str:
    if isinstance(value, dict):
        return paths.hide(", ".join(f"{name}={each}" for name, each in value.items()))
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return paths.hide(str(value))


MODEL_FOLDER, DATA_FOLDER = "MODEL_FOLDER", "DATA_FOLDER"
"""Placeholders for folders that are not published."""

_NOT_TYPED = frozenset({"task", "model", "data", "output"})


def repeat_command(run: Run, paths: LocalPaths) -> str:
    """Return `gluetune train TASK …` with every setting that differs from its default.

    Local folders become MODEL_FOLDER and DATA_FOLDER; a path inside `--set` is reduced to its last
    component.
    """
    config = run.config
    changed = {
        name: _public(name, getattr(config, name), paths)
        for name, field in TrainConfig.model_fields.items()
        if name not in _NOT_TYPED
        and getattr(config, name) != field.get_default(call_default_factory=True)
    }
    data = None if config.is_own else _data_option(run)
    settings = typed_settings(changed)
    return command_line("train", config.task, model=_model(run), data=data, **settings)


def _model(run: Run) -> str:
    record = run.record
    is_folder = record.model is not None and is_local(record.model.name)
    return MODEL_FOLDER if is_folder else run.config.model


def _data_option(run: Run) -> str:
    source = run.record.data.source if run.record.data else run.config.data
    return source if source in (*SAMPLES, HUB_REPOSITORY) else DATA_FOLDER


def _public(name: str, value: Any, paths: LocalPaths) -> Any:
    """Return a setting's value without the folders of this machine."""
    if name in FILE_SETTINGS:
        return paths.hide(Path(value).name)
    return paths.hide_within(value) if name == "training_args" else value


_TEXTS = ("A text.", "Another text.")


def usage(
    repo: str,
    revision: str | None,
    task: TaskSpec,
    *,
    trusts_code: bool = False,
    is_adapter: bool = False,
) -> dict[str, str]:
    """Return Python snippets that load the model: by `pipeline`, `model` and `gluetune`.

    An adapter's model is loaded by peft, which has to know the number of labels.
    """
    options = [f"revision={revision!r}"] if revision else []
    options += ["trust_remote_code=True"] if trusts_code else []
    given = "".join(f", {option}" for option in options)
    texts = _TEXTS[: len(task.text_columns)]
    arguments = ", ".join(f'"{text}"' for text in texts)
    named = arguments if len(texts) == 1 else f'{{"text": "{texts[0]}", "text_pair": "{texts[1]}"}}'
    package, loader, labels = "transformers", "AutoModelForSequenceClassification", ""
    if is_adapter:
        package, loader = "peft", "AutoPeftModelForSequenceClassification"
        labels = f", num_labels={task.num_labels}"
    imports = f"from {package} import {loader}\nfrom transformers import AutoTokenizer"
    if not is_adapter:
        imports = f"from {package} import {loader}, AutoTokenizer"
    return {
        "pipeline": ""
        if is_adapter
        else "from transformers import pipeline\n\n"
        f'classify = pipeline("{task.kind.hub_task[0]}", "{repo}"{given})\n'
        + task.kind.pipeline_call(named, task.thresholds),
        "model": f"{imports}\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{repo}"{given})\n'
        f'model = {loader}.from_pretrained("{repo}"{given}{labels})\n'
        f'logits = model(**tokenizer({arguments}, return_tensors="pt")).logits'
        + task.kind.logits_suffix,
        "gluetune": "import gluetune\n\n"
        f'predictor = gluetune.load("{repo}"{given})\n'
        f"predictor({arguments})" + task.kind.answer_attribute,
    }


def interface(task: TaskSpec, record: Record) -> str:
    """Describe the model's inputs and outputs in a sentence."""
    columns = " and ".join(task.text_columns)
    reads = f"It reads {columns}" + (", in this order" if len(task.text_columns) > 1 else "")
    length = record.model.max_length if record.model else None
    cut = f", truncated to {length:,} tokens in training" if length else ""
    outputs = task.kind.outputs_text(listed(task.labels), task.label_range)
    return f"{reads}{cut}, and predicts {outputs}."


def threshold_rows(task: TaskSpec) -> list[tuple[str, str, str]]:
    """Return each label with the probability and the logit above which it is predicted."""
    found = task.kind.probability_thresholds(task.labels, task.thresholds)
    logits = task.thresholds or (0.0,) * len(found)
    return [
        (name, f"{probability:.4f}", f"{logit:.4f}")
        for (name, probability), logit in zip(found.items(), logits, strict=True)
    ]


def protocol(record: Record) -> str:
    """Return the evaluation protocol of the score, in a few words."""
    return f"{scored_on(record)}, {epoch_choice(record)}, one seed ({record.seed})"


def model_index(name: str, record: Record, task: TaskSpec) -> list[dict[str, Any]]:
    """Return the card's `model-index`: every defined metric of the best epoch, by split."""
    if record.best is None or record.data is None:
        return []
    results = []
    for split, metrics in record.best.validation.metrics.items():
        values = [
            {
                "type": hub_name(metric),
                "name": task.metric_title(metric),
                "value": value,
            }
            for metric, value in metrics.items()
            if value is not None
        ]
        if values:
            results.append(
                {
                    "task": dict(zip(("type", "name"), task.kind.hub_task, strict=True)),
                    "dataset": _dataset(record.data, task, split),
                    "metrics": values,
                }
            )
    return [{"name": name, "results": results}] if results else []


def _dataset(data: DataRecord, task: TaskSpec, split: str) -> dict[str, str]:
    """Return the data set's name on the Hub for GLUE itself, otherwise a local name."""
    if is_glue(data, task):
        return {
            "name": f"GLUE {task.hub_config}",
            "type": HUB_REPOSITORY,
            "config": task.hub_config,
            "split": split,
        }
    source = "gluetune-sample" if data.source in SAMPLES else "local"
    words = "the sample data of gluetune" if data.source in SAMPLES else "own data"
    return {"name": f"{task.name}, {words}", "type": source, "config": task.name, "split": split}


def results_file(
    record: Record, task: TaskSpec, interval: Interval | None
) -> tuple[str, list[dict[str, Any]]] | None:
    """Return name and content of the file in `.eval_results/`; None for a score not on GLUE.

    The value is the task's score, from 0 to 1. The Hub stores one value per task, and shows it on a
    leaderboard once the data set is a registered benchmark.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    best, data = record.best, record.data
    if best is None or data is None or best.validation.score is None or is_held_out(record):
        return None
    if not is_glue(data, task):
        return None
    notes = [protocol(record)]
    names = [name for name in best.validation.flat() if name.split(" ")[-1] in task.metrics]
    if len(names) > 1:
        notes.append(f"mean of {', '.join(map(task.metric_title, names))}")
    if interval is not None:
        doubt = f", unreliable: {interval.reason}" if interval.reason else ""
        between = f"{shown(interval.low)} to {shown(interval.high)}"
        notes.append(f"{interval.level:.0%} interval {between}{doubt}")
    entry = EvalResultEntry(
        dataset_id=HUB_REPOSITORY,
        task_id=task.hub_config,
        value=best.validation.score,
        date=record.updated,
        notes="; ".join(notes),
    )
    return f".eval_results/glue-{task.name}.yaml", eval_result_entries_to_yaml([entry])
