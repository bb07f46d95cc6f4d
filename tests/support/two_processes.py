"""A run for several processes; each writes the examples that it saw and its final weights.

torchrun --nproc-per-node 2 -m tests.support.two_processes MODEL OUTPUT BATCH ROWS
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import DataCollatorWithPadding, TrainerCallback, TrainingArguments

from gluetune.training.trainer import Trainer


class _Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.evaluations: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            self.losses.append(kwargs["logs"]["loss"])
        if "eval_loss" in kwargs["logs"]:
            self.evaluations.append(kwargs["logs"]["eval_loss"])


class _Noted(DataCollatorWithPadding):  # type: ignore[misc]  # transformers is not followed
    """Remembers which examples a process was given."""

    seen: list[int]

    def __call__(self, examples: Any) -> Any:
        self.seen += [example["row"] for example in examples]
        kept = ("input_ids", "attention_mask", "labels")
        return super().__call__([{name: example[name] for name in kept} for example in examples])


def _examples(rows: int, *, is_regression: bool, first: int = 0) -> list[dict[str, Any]]:
    """Make texts of 1 to 29 tokens. Some numbers are the class id of an example without a label."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for row in range(first, first + rows):
        length = int(torch.randint(1, 30, (), generator=draw))
        ids = torch.randint(5, 105, (length,), generator=draw).tolist()
        label = (-100.0, 0.0, 1.0, 2.0, 3.0)[row % 5] if is_regression else row % 3
        found.append(
            {"input_ids": ids, "attention_mask": [1] * length, "labels": label, "row": row}
        )
    return found


def main(model_folder: str, output: str, batch: str, rows: str) -> None:
    """Train two epochs in float64 on `rows` examples, `batch` of them a process and step.

    Every epoch is evaluated on twice as many batches as there may be processes.
    """
    torch.set_num_threads(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        model_folder, dtype=torch.float64
    )
    is_regression = model.config.num_labels == 1
    data = _examples(int(rows), is_regression=is_regression)
    evaluated = _examples(32, is_regression=is_regression, first=-32)
    collator = _Noted(transformers.AutoTokenizer.from_pretrained(model_folder))
    collator.seen = []
    watch = _Watch()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=output,
            num_train_epochs=2,
            per_device_train_batch_size=int(batch),
            learning_rate=1e-3,
            weight_decay=0.1,
            logging_steps=1,
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            ddp_backend="gloo" if "RANK" in os.environ else None,
            remove_unused_columns=False,
        ),
        train_dataset=data,
        eval_dataset=evaluated,
        data_collator=collator,
        callbacks=[watch],
    )
    trainer.train()
    seen = [row for row in collator.seen if row >= 0]
    predicted = trainer.predict(evaluated)
    process = trainer.args.process_index
    result = {
        "seen": seen,
        "losses": watch.losses,
        "evaluations": watch.evaluations,
        "labels": predicted.label_ids.tolist(),
        "steps": trainer.state.global_step,
    }
    (Path(output) / f"{process}.json").write_text(json.dumps(result))
    state = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(state, Path(output) / f"{process}.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
