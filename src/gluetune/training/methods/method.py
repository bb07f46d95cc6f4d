"""What a method decides, with what full fine-tuning has as its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from transformers import set_seed

from gluetune.core.config import TrainConfig, flag_of
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.models.layers import check_layers, freeze_layers, restart_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from gluetune.parallel.collectives import Processes
    from gluetune.training.preflight import Prepared
    from gluetune.training.run_trainer import RunTrainer

_OF_LORA = ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "quantization")
"""Settings that only LoRA has."""


@dataclass
class Fitted:
    """What a method has made of the model before training."""

    model: PreTrainedModel
    regularisation: float | None = None
    """Strength of the regularisation of a linear head, as cross-validation chose it."""


class Method:
    """Full fine-tuning: every weight is trained."""

    name: ClassVar[str] = "full"
    ignored: ClassVar[tuple[str, ...]] = ()
    """Settings of TrainConfig that have no effect."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Settings that have another default."""

    def check_model(self, config: TrainConfig, model: PreTrainedModel) -> None:
        """Raise ConfigurationError if the settings do not fit the layers of the model."""
        if config.layer_decay != 1 or config.restart_layers or config.freeze_layers:
            check_layers(model, restarted=config.restart_layers, frozen=config.freeze_layers)

    def check(self, config: TrainConfig) -> None:
        """Raise ConfigurationError with every setting that contradicts the method."""
        fields = type(config).model_fields
        given = [
            name
            for name in (*self.ignored, *(() if self.name == "lora" else _OF_LORA))
            if getattr(config, name) != fields[name].get_default(call_default_factory=True)
        ]
        if given:
            raise ConfigurationError.of(
                [
                    Finding(
                        f"{flag_of(name)} has no effect with --method {self.name}.", "Leave it out."
                    )
                    for name in given
                ]
            )

    def prepare(self, prepared: Prepared, processes: Processes, *, resumed: bool) -> Fitted:
        """Return the model to train; a `resumed` run loads its weights afterwards."""
        config, model = prepared.config, prepared.classifier.model
        if config.restart_layers:
            set_seed(config.seed)
            restart_layers(model, config.restart_layers)
        if config.freeze_layers:
            freeze_layers(model, config.freeze_layers)
        return Fitted(model)

    def count_trained(self, model: PreTrainedModel) -> int:
        """Return the number of weights that are trained."""
        return sum(weights.numel() for weights in model.parameters() if weights.requires_grad)

    def train(self, trainer: RunTrainer, checkpoint: Path | None) -> None:
        """Train to the end, or from `checkpoint`."""
        trainer.train(checkpoint)

    def finish(self, folder: Path, prepared: Prepared) -> None:
        """Complete the saved model in `folder`."""
