"""LoRA: low-rank adapters on a frozen model, through peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError
from gluetune.models.adapters import (
    add_adapter,
    check_installed,
    name_base,
    target_modules,
    trained_modules,
)
from gluetune.models.classifiers import output_weights
from gluetune.training.methods.method import Fitted, Method

if TYPE_CHECKING:
    from gluetune.parallel.collectives import Processes
    from gluetune.training.preflight import Prepared


class Lora(Method):
    """Adapters in every linear layer of the blocks are trained, and the head."""

    name = "lora"
    ignored: ClassVar[tuple[str, ...]] = ("layer_decay", "restart_layers", "freeze_layers")
    defaults: ClassVar[Mapping[str, Any]] = {"learning_rate": 5e-4}

    def check(self, config: TrainConfig) -> None:
        """Raise ConfigurationError if peft is missing, or the checkpoint would need its code."""
        super().check(config)
        check_installed()
        if config.quantization == "4bit":
            _check_4bit()

    def prepare(self, prepared: Prepared, processes: Processes, *, resumed: bool) -> Fitted:
        """Add the adapters, initialised from the seed."""
        from transformers import set_seed

        config, classifier = prepared.config, prepared.classifier
        model = classifier.model
        head = output_weights(model.config, trust_remote_code=config.trust_remote_code)
        targets = target_modules(model, config.lora_targets)
        whole = trained_modules(
            {*head, *(name for name in classifier.new_weights if _is_weight(model, name))}
        )
        set_seed(config.seed)
        return Fitted(
            add_adapter(
                model,
                base=prepared.checkpoint,
                rank=config.lora_rank,
                alpha=config.lora_alpha or 2 * config.lora_rank,
                dropout=config.lora_dropout,
                targets=[name for name in targets if name not in whole],
                whole=whole,
            )
        )

    def finish(self, folder: Path, prepared: Prepared) -> None:
        """Name the base checkpoint, and add the classifier's configuration."""
        (folder / "README.md").unlink(missing_ok=True)  # peft's, of a model card without content
        name_base(folder, prepared.checkpoint)
        prepared.classifier.model.config.save_pretrained(folder)


def _is_weight(model: object, name: str) -> bool:
    return name in {known for known, _ in model.named_parameters()}  # type: ignore[attr-defined]


def _check_4bit() -> None:
    """Raise ConfigurationError without a GPU and bitsandbytes."""
    import importlib.util

    import torch

    missing = []
    if not torch.cuda.is_available():
        missing.append("a CUDA GPU")
    if importlib.util.find_spec("bitsandbytes") is None:
        missing.append("the package bitsandbytes")
    if missing:
        raise ConfigurationError(
            f"--quantization 4bit needs {' and '.join(missing)}.",
            hint="Leave it out: LoRA trains on weights in full precision too.",
        )
