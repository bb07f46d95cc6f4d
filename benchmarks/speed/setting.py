"""What all contestants are given alike: model, data, TrainingArguments, collator.

Nothing of gluetune is imported here: the plain contestants use this module too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks.peers import notebook
from benchmarks.speed.turns import Turn
from datasets import Dataset, load_from_disk
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    TrainingArguments,
    default_data_collator,
    set_seed,
)


@dataclass(frozen=True)
class Setting:
    """A fresh model with all that a Trainer is built from."""

    turn: Turn
    model: Any
    tokenizer: Any
    arguments: TrainingArguments
    train: Dataset
    validation: Dataset
    """The first `eval_examples` of the validation set."""
    collator: Any

    def for_trainer(self) -> dict[str, Any]:
        """Return the keywords of a Trainer's constructor, as the notebook gives them."""
        return {
            "model": self.model,
            "args": self.arguments,
            "train_dataset": self.train,
            "eval_dataset": self.validation,
            "processing_class": self.tokenizer,
            "data_collator": self.collator,
        }


def load_setting(turn: Turn, scratch: Path) -> Setting:
    """Load what `preparation.prepare` wrote, and the checkpoint, for one turn."""
    settings = notebook_settings(turn.task, Path(turn.prepared) / "tables")
    tokenizer = AutoTokenizer.from_pretrained(turn.checkpoint)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    data = Path(turn.prepared) / turn.padding
    validation = load_from_disk(str(data / "validation"))
    return Setting(
        turn=turn,
        model=_model(turn, settings, tokenizer),
        tokenizer=tokenizer,
        arguments=_arguments(turn, settings, scratch),
        train=load_from_disk(str(data / "train")),
        validation=validation.select(range(min(turn.eval_examples, len(validation)))),
        collator=(
            default_data_collator
            if turn.padding == "max_length"
            else DataCollatorWithPadding(tokenizer)
        ),
    )


def notebook_settings(task: str, tables: Path) -> notebook.Settings:
    """Return the notebook's own defaults for a task."""
    return notebook.parse_arguments([task, "--data", str(tables), "--output", "unused"])


def _model(turn: Turn, settings: notebook.Settings, tokenizer: Any) -> Any:
    config = AutoConfig.from_pretrained(
        turn.checkpoint, num_labels=notebook.NUM_LABELS.get(settings.task, 2)
    )
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    if not turn.dropout:
        for name, value in config.to_dict().items():
            if ("dropout" in name or "pdrop" in name) and isinstance(value, float):
                setattr(config, name, 0.0)
    set_seed(settings.seed)
    return AutoModelForSequenceClassification.from_pretrained(turn.checkpoint, config=config)


def _arguments(turn: Turn, settings: notebook.Settings, scratch: Path) -> TrainingArguments:
    """Return the notebook's arguments, but for evaluations and checkpoints, which are not timed."""
    return TrainingArguments(
        str(scratch),
        learning_rate=settings.learning_rate,
        weight_decay=0.01,
        per_device_train_batch_size=turn.batch_size,
        per_device_eval_batch_size=turn.eval_batch_size,
        max_steps=turn.warmup + turn.steps,
        seed=settings.seed,
        bf16=turn.precision == "bf16",
        use_cpu=not torch.accelerator.is_available(),  # bf16 on a CPU is refused unless requested
        eval_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )
