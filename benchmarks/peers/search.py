"""Trainer's own hyperparameter_search, as the notebook uses it, on trials that are given to it.

Nothing of gluetune is imported. What the notebook does is done on today's API: a model for every
trial (`model_init`), evaluation and a checkpoint after every epoch, `hyperparameter_search` with
the Optuna backend, then `setattr(trainer.args, …)` with the best run's hyperparameters and one
run on all of train. A trial is worth its last epoch, as Trainer has it.

The proposals come from the job file, in place of a sampler, so that both sides train the same
trials. It holds: task, model, precision, seed, threads, the parquet files `train`, `tune`, `all`
and `validation`, and `trials` by Trainer's names.

    python -m benchmarks.peers.search job.json result.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import torch
from benchmarks.peers import notebook
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)


class Given(optuna.samplers.BaseSampler):
    """Proposes what it was given, trial by trial."""

    def __init__(self, trials: list[dict[str, Any]]) -> None:
        self.trials = trials

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """Return none: every parameter is proposed alone."""
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Return none."""
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, dist: Any) -> Any:
        """Return what was given for this trial."""
        return self.trials[trial.number][param_name]


def main(job_file: str, result_file: str) -> None:
    """Search as the job says, train the best setting, and write the results."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    with tempfile.TemporaryDirectory(prefix="search-", ignore_cleanup_errors=True) as scratch:
        result = search(job, Path(scratch))
    Path(result_file).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def search(job: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Return values by trial, the best trial, the final score, and the seconds of each part."""
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    data = {name: _encoded(job, name, tokenizer, scratch) for name in _FILES}
    trainer = _trainer(job, data["train"], data["tune"], tokenizer, scratch)
    began = time.perf_counter()
    marks: list[float] = []
    best = trainer.hyperparameter_search(
        hp_space=_space(job["trials"], marks),
        compute_objective=lambda metrics: metrics[f"eval_{_metric(job['task'])}"],
        n_trials=len(job["trials"]),
        direction="maximize",
        backend="optuna",
        sampler=Given(job["trials"]),
        pruner=optuna.pruners.NopPruner(),
    )
    searched = time.perf_counter()
    trainer.train_dataset, trainer.eval_dataset = data["all"], data["validation"]
    for name, value in best.hyperparameters.items():
        setattr(trainer.args, name, value)
    trainer.train()
    scores = notebook.scores_in(trainer.evaluate())
    ended = time.perf_counter()
    return {
        "trial_seconds": [
            round(end - begin, 2) for begin, end in zip(marks, [*marks[1:], searched], strict=True)
        ],
        "best": int(best.run_id),
        "value": best.objective,
        "search_seconds": round(searched - began, 2),
        "final": scores,
        "final_seconds": round(ended - searched, 2),
        "versions": {**notebook.versions(), "optuna": optuna.__version__},
        "hardware": notebook.hardware(trainer.args.device),
    }


_FILES = ("train", "tune", "all", "validation")


def _encoded(job: Mapping[str, Any], name: str, tokenizer: Any, scratch: Path) -> Dataset:
    table = Dataset.from_parquet(job[name], cache_dir=str(scratch / "cache"))
    columns = notebook.TEXT_COLUMNS[job["task"]]
    return table.map(
        lambda rows: tokenizer(*(rows[column] for column in columns), truncation=True),
        batched=True,
    )


def _metric(task: str) -> str:
    return notebook.BEST_MODEL_METRIC.get(task, "accuracy")


def _space(trials: list[dict[str, Any]], marks: list[float]) -> Any:
    """Return an hp_space whose distributions hold every proposal; it marks when trials begin."""

    def hp_space(trial: Any) -> dict[str, Any]:
        marks.append(time.perf_counter())
        return {
            name: trial.suggest_categorical(name, list(dict.fromkeys(one[name] for one in trials)))
            for name in trials[0]
        }

    return hp_space


def _trainer(
    job: Mapping[str, Any], train: Dataset, tune: Dataset, tokenizer: Any, scratch: Path
) -> Trainer:
    set_seed(job["seed"])
    task = job["task"]

    def model_init() -> Any:
        return AutoModelForSequenceClassification.from_pretrained(
            job["model"], num_labels=notebook.NUM_LABELS.get(task, 2)
        )

    arguments = TrainingArguments(
        str(scratch / "runs"),
        eval_strategy="epoch",
        save_strategy="epoch",
        per_device_eval_batch_size=32,
        weight_decay=0.01,
        load_best_model_at_end=True,
        metric_for_best_model=_metric(task),
        seed=job["seed"],
        bf16=job["precision"] == "bf16",
        use_cpu=not torch.accelerator.is_available(),
        disable_tqdm=True,
        report_to="none",
    )
    return Trainer(
        model_init=model_init,
        args=arguments,
        train_dataset=train,
        eval_dataset=tune,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=notebook.metrics_of(task),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
    assert not any(name.partition(".")[0] == "gluetune" for name in sys.modules), "a peer is alone"
