"""What gluetune overrides or calls of transformers and accelerate, and nobody promised to keep.

Another version of theirs may drop a name, or call it otherwise, and training would then go wrong
without an error. Whoever moves the pin of transformers reads here what to look at again.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import transformers
from accelerate.data_loader import BatchSamplerShard
from accelerate.state import GradientState
from accelerate.utils import memory
from transformers import BertConfig, PretrainedConfig, PreTrainedModel

from gluetune.training.run_trainer import RunTrainer
from gluetune.training.trainer import Trainer

BASE = transformers.Trainer

METHODS: dict[str, tuple[str, ...]] = {
    # overridden
    "_inner_training_loop": (
        "batch_size",
        "args",
        "resume_from_checkpoint",
        "trial",
        "ignore_keys_for_eval",
    ),
    "_get_num_items_in_batch": ("batch_samples", "device"),
    "_clip_grad_norm": ("model",),
    "_save_optimizer_and_scheduler": ("output_dir",),
    "_load_optimizer_and_scheduler": ("checkpoint",),
    "_determine_best_metric": ("metrics", "trial"),
    "_save_checkpoint": ("model", "trial"),
    "_load_from_checkpoint": ("resume_from_checkpoint", "model"),
    "_get_output_dir": ("trial",),
    "train": ("resume_from_checkpoint", "trial", "ignore_keys_for_eval"),
    "evaluate": ("eval_dataset", "ignore_keys", "metric_key_prefix"),
    "training_step": ("model", "inputs", "num_items_in_batch"),
    "prediction_step": ("model", "inputs", "prediction_loss_only", "ignore_keys"),
    "evaluation_loop": (
        "dataloader",
        "description",
        "prediction_loss_only",
        "ignore_keys",
        "metric_key_prefix",
    ),
    "create_optimizer": ("model",),
    "create_scheduler": ("num_training_steps", "optimizer"),
    "compute_loss": ("model", "inputs", "return_outputs", "num_items_in_batch"),
    "get_batch_samples": ("epoch_iterator", "num_batches", "device"),
    "floating_point_ops": ("inputs",),
    "get_train_dataloader": (),
    # called
    "_prepare_inputs": ("inputs",),
    "_get_learning_rate": (),
}
"""Methods of transformers.Trainer, with the parameters that they have besides self."""

ATTRIBUTES = (
    "_loss_shifts_labels",
    "model_accepts_loss_kwargs",
    "compute_loss_func",
    "current_gradient_accumulation_steps",
    "is_deepspeed_enabled",
    "is_fsdp_enabled",
    "optimizer_cls_and_kwargs",
)
"""What a transformers.Trainer sets on itself, and gluetune reads or sets."""


def fault_of(owner: type, name: str, parameters: tuple[str, ...]) -> str:
    """Say what is wrong with a method that is relied on; empty if it is as it was."""
    where = f"transformers {transformers.__version__}: {owner.__name__}.{name}"
    method = getattr(owner, name, None)
    if method is None:
        return f"{where} is gone, and gluetune overrides or calls it."
    found = tuple(inspect.signature(method).parameters)[1:]
    if found != parameters:
        return f"{where} takes {found}, and gluetune expects {parameters}."
    return ""


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_trainer_is_as_it_was(name: str) -> None:
    assert not (fault := fault_of(BASE, name, METHODS[name])), fault


def test_a_method_that_is_gone_or_changed_would_be_found() -> None:
    class Changed:
        def _clip_grad_norm(self, model: Any, limit: float) -> None: ...

    assert "is gone" in fault_of(Changed, "_save_checkpoint", ("model", "trial"))
    assert "expects ('model',)" in fault_of(Changed, "_clip_grad_norm", ("model",))


@pytest.mark.parametrize("trainer", [Trainer, RunTrainer])
def test_everything_overridden_is_named_above(trainer: type) -> None:
    overridden = {
        name
        for name, value in vars(trainer).items()
        if callable(value) and hasattr(BASE, name) and name != "__init__"
    }
    assert overridden <= METHODS.keys()


@pytest.mark.parametrize("trainer", [Trainer, RunTrainer])
def test_every_private_name_of_trainer_that_is_called_is_named_above(trainer: type) -> None:
    used = set(re.findall(r"\b(?:self|super\(\))\.(_[a-z]\w*)", inspect.getsource(trainer)))
    theirs = {name for name in used if hasattr(BASE, name) or f"self.{name} =" in _source()}
    assert theirs <= {*METHODS, *ATTRIBUTES}


def _source() -> str:
    return inspect.getsource(BASE)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_trainer_is_read_by_trainer(name: str) -> None:
    uses = re.findall(rf"self\.{name}\b", _source())
    assert uses, f"transformers {transformers.__version__}: Trainer no longer has {name}."


def test_the_loss_is_not_scaled_again_where_the_trainer_says_so() -> None:
    """`model_accepts_loss_kwargs = False` and a loss function of our own: see Trainer.__init__."""
    step = inspect.getsource(BASE.training_step)
    assert "self.model_accepts_loss_kwargs" in step
    assert "self.compute_loss_func" in step


def test_a_model_says_that_its_attention_can_be_replaced() -> None:
    assert hasattr(PreTrainedModel, "_supports_attention_backend")


def test_a_configuration_gives_its_attention_by_the_name_that_is_set() -> None:
    """The setter goes through every part of a model; the field behind it does not."""
    config: PretrainedConfig = BertConfig()
    config._attn_implementation_internal = "gluetune_unpadded"
    assert config._attn_implementation == "gluetune_unpadded"


def test_a_weight_is_initialised_anew_by_the_flag_that_is_cleared() -> None:
    """`_restart_output_layer` clears `_is_hf_initialized` of weights and of their modules."""
    from transformers import initialization, modeling_utils

    for module in (initialization, modeling_utils):
        assert "_is_hf_initialized" in inspect.getsource(module), module.__name__


def test_the_arguments_count_the_accelerators() -> None:
    assert "self._n_gpu" in inspect.getsource(transformers.TrainingArguments)


def test_accelerate_splits_batches_by_the_fields_that_are_set() -> None:
    """`share_batches` replaces the sampler within, and has accelerate split nothing more."""
    shard = BatchSamplerShard([], num_processes=2, process_index=1)
    for name in ("batch_sampler", "num_processes", "process_index", "even_batches"):
        assert hasattr(shard, name), name


def test_accelerate_has_what_is_called() -> None:
    assert tuple(inspect.signature(memory.should_reduce_batch_size).parameters) == ("exception",)
    assert "garbage_collection" in inspect.signature(memory.clear_device_cache).parameters
    assert hasattr(GradientState, "end_of_dataloader")
