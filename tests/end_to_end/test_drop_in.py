"""The notebook's training cells with gluetune's Trainer in place of transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import transformers
from tests.support.tiny_checkpoints import write_tiny_checkpoint

import gluetune
from gluetune.core.tasks import get_task
from gluetune.data.sources import open_source

CELLS = (
    """
tokenizer = AutoTokenizer.from_pretrained(model_checkpoint, use_fast=True)

def preprocess_function(examples):
    return tokenizer(examples["sentence"], truncation=True)

encoded_dataset = dataset.map(preprocess_function, batched=True)
""",
    """
num_labels = 2
model = AutoModelForSequenceClassification.from_pretrained(model_checkpoint, num_labels=num_labels)
""",
    """
metric_name = "matthews_correlation"
model_name = model_checkpoint.split("/")[-1]

args = TrainingArguments(
    f"{folder}/{model_name}-finetuned-cola",
    eval_strategy="epoch",
    save_strategy="epoch",
    learning_rate=1e-3,
    per_device_train_batch_size=batch_size,
    per_device_eval_batch_size=batch_size,
    num_train_epochs=3,
    weight_decay=0.01,
    load_best_model_at_end=True,
    metric_for_best_model=metric_name,
    use_cpu=True,
    report_to="none",
    disable_tqdm=True,
)
""",
    """
def compute_metrics(eval_pred):
    predictions, labels = eval_pred
    predictions = np.argmax(predictions, axis=1)
    return {"matthews_correlation": matthews_corrcoef(labels, predictions)}
""",
    """
trainer = Trainer(
    model,
    args,
    train_dataset=encoded_dataset["train"],
    eval_dataset=encoded_dataset["validation"],
    processing_class=tokenizer,
    compute_metrics=compute_metrics,
)
""",
    "trainer.train()",
    "evaluation = trainer.evaluate()",
    "predictions = trainer.predict(encoded_dataset['validation']).predictions",
)
"""As published (examples/text_classification.ipynb of huggingface/notebooks), with the arguments'
names of today, scikit-learn's metric for `load_metric`, and a rate that a tiny model learns at."""


def run_cells(trainer: Any, checkpoint: Path, folder: Path) -> dict[str, Any]:
    task = get_task("cola")
    source = open_source("sample")
    dataset = datasets.DatasetDict(
        {
            split: datasets.Dataset(source.read(task, split)).select(range(rows))
            for split, rows in (("train", 160), ("validation", 64))
        }
    )
    transformers.set_seed(42)
    cells: dict[str, Any] = {
        "dataset": dataset,
        "model_checkpoint": str(checkpoint),
        "folder": str(folder),
        "batch_size": 16,
        "Trainer": trainer,
    }
    exec(
        "import numpy as np\nfrom sklearn.metrics import matthews_corrcoef\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n"
        "from transformers import TrainingArguments\n",
        cells,
    )
    for cell in CELLS:
        exec(cell, cells)
    return cells


@pytest.mark.parametrize("architecture", ["distilbert", "deberta-v2"])
def test_the_notebooks_cells_give_the_notebooks_results(tmp_path: Path, architecture: str) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "tiny", architecture)
    plain = run_cells(transformers.Trainer, checkpoint, tmp_path / "plain")
    fast = run_cells(gluetune.Trainer, checkpoint, tmp_path / "fast")
    assert fast["trainer"].state.best_global_step == plain["trainer"].state.best_global_step
    for name in ("eval_loss", "eval_matthews_correlation"):
        assert fast["evaluation"][name] == pytest.approx(plain["evaluation"][name], rel=1e-3), name
    torch.testing.assert_close(
        torch.tensor(fast["predictions"]), torch.tensor(plain["predictions"]), rtol=0, atol=2e-3
    )
    losses = [
        [log["eval_loss"] for log in cells["trainer"].state.log_history if "eval_loss" in log]
        for cells in (plain, fast)
    ]
    assert len(losses[0]) == 4
    assert max(losses[0][:3]) - min(losses[0][:3]) > 1e-3, "or nothing was learnt to compare"
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
