from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from transformers import TrainingArguments

from gluetune.cli import run_glue
from gluetune.cli.run_glue import FLAGS as OLD_FLAGS
from gluetune.cli.run_glue import translate
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError

FLAGS = {
    # what run_glue.py's README types
    "--model_name_or_path a/b --task_name mrpc --max_seq_length 128": "--model a/b mrpc "
    "--max-length 128",
    "--do_train --do_eval --task_name cola": "cola",
    "--task_name=cola --learning_rate=2e-5": "cola --learning-rate 2e-5",
    "--num_train_epochs 3 --output_dir /tmp/x": "--epochs 3 --output /tmp/x",
    "--per_device_train_batch_size 32": "--batch-size 32",
    "--per_device_eval_batch_size 64": "--eval-batch-size 64",
    "--warmup_ratio 0.1": "--warmup 0.1",
    "--warmup_steps 100": "--warmup 100",
    "--metric_for_best_model f1": "--metric f1",
    "--metric_for_best_model eval_accuracy": "--metric accuracy",
    "--metric_for_best_model combined_score": "--metric score",
    "--no_pad_to_max_length": "",
    "--push_to_hub --hub_model_id me/mrpc": "--push me/mrpc",
    "--hub-model-id=me/mrpc --push_to_hub True cola": "cola --push me/mrpc",
    "--push_to_hub --hub_model_id me/mrpc --hub_private_repo cola": "cola --push me/mrpc "
    "--push-private",
    "--push_to_hub False --hub_model_id me/mrpc --hub_private_repo true cola": "cola",
    "--resume_from_checkpoint runs/x": "--resume runs/x",
    "--model_revision main": "--revision main",
    # the same with hyphens, and gluetune's own with underscores
    "--max-seq-length 128 --per-device-train-batch-size 4": "--max-length 128 --batch-size 4",
    "--batch_size 4 --micro_batch_size 2": "--batch-size 4 --micro-batch-size 2",
    "--weight_decay 0.1 --new_head": "--weight-decay 0.1 --new-head",
    # switches, with and without a value, before the task's name
    "--trust_remote_code cola": "--trust-remote-code cola",
    "--trust_remote_code True cola": "--trust-remote-code cola",
    "--trust_remote_code False cola": "cola",
    "--new-head cola": "--new-head cola",
    "--bf16 cola": "--precision bf16 cola",
    "--fp16 True cola": "--precision fp16 cola",
    "--fp16=False cola": "cola",
    "--pad_to_max_length False cola": "cola",
    "--use_fast_tokenizer cola": "cola",
    # needless ones take their value with them
    "--eval_strategy epoch cola": "cola",
    "--evaluation_strategy steps --eval_steps 500 cola": "cola",
    "--save_strategy no --save_steps 1000 --save_total_limit 2 cola": "cola",
    "--save_steps=1000 cola": "cola",
    # accumulation: the step is the product
    "--per_device_train_batch_size 8 --gradient_accumulation_steps 4": "--batch-size 32 "
    "--micro-batch-size 8",
    "--gradient_accumulation_steps 2": "--batch-size 16 --micro-batch-size 8",
    # TrainingArguments' other fields
    "--report_to tensorboard --logging_steps 10": "--set report_to=tensorboard "
    "--set logging_steps=10",
    "--adam_beta2=0.98": "--set adam_beta2=0.98",
    "--torch_compile --task_name cola": "--set torch_compile=true cola",
    "--max_grad_norm -1 cola": "--set max_grad_norm=-1 cola",
    "--optim adafactor": "--set optim=adafactor",
    "--not_a_field 3": "--set not_a_field=3",
    # gluetune's own words pass as they are
    "cola --epochs 3 --set a=1 --config x.yaml": "cola --epochs 3 --set a=1 --config x.yaml",
    "--set=a=1 cola": "--set a=1 cola",
    "--seed -1 cola": "--seed -1 cola",
    "--resume runs/x": "--resume runs/x",
    "--help": "--help",
    "-h": "-h",
    "cola --label-order a,b": "cola --label-order a,b",
}


@pytest.mark.parametrize("typed", FLAGS)
def test_flags_are_translated(typed: str) -> None:
    assert translate(["train", *typed.split()]) == ["train", *FLAGS[typed].split()]


def test_every_flag_of_the_tables_is_looked_at() -> None:
    counts = Counter((flag.treatment, flag.is_switch) for flag in OLD_FLAGS.values())
    assert counts == {
        ("translated", False): 15,
        ("not needed", False): 6,
        ("not needed", True): 9,
        ("refused", False): 13,
    }
    assert not set(OLD_FLAGS) & set(TrainConfig.model_fields)
    for name, flag in OLD_FLAGS.items():
        if flag.treatment == "translated":
            assert translate(["train", f"--{name}", "7"]) == ["train", flag.option, "7"]
        elif flag.treatment == "not needed":
            values = ("True", "false", "1") if flag.is_switch else ("7",)
            for value in values:
                assert translate(["train", f"--{name}", value, "cola"]) == ["train", "cola"]
            if flag.is_switch:
                assert translate(["train", f"--{name}", "cola"]) == ["train", "cola"]


def test_every_field_of_training_arguments_of_one_word_finds_its_place() -> None:
    words = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    one_word = {name for name in words if "_" not in name}
    known = {*run_glue._ONE_WORD_ARGUMENTS, *run_glue._PRECISIONS, *TrainConfig.model_fields}
    assert one_word - known == set()
    assert set(run_glue._ONE_WORD_ARGUMENTS) <= one_word


def test_every_refused_flag_is_told_at_once_with_what_to_do() -> None:
    refused = {name: flag.note for name, flag in OLD_FLAGS.items() if flag.treatment == "refused"}
    words = [word for name in refused for word in (f"--{name}", "x")]
    with pytest.raises(ConfigurationError) as caught:
        translate(["train", "cola", *words])
    found = {finding.message: finding.hint for finding in caught.value.findings}
    assert found == {f"--{name} is not a flag of gluetune.": hint for name, hint in refused.items()}


@pytest.mark.parametrize(
    "typed",
    [
        "--per_device_train_batch_size many --gradient_accumulation_steps 4",
        "--per_device_train_batch_size 8 --gradient_accumulation_steps 0.5",
        "--gradient_accumulation_steps",
        "--gradient_accumulation_steps=²",
    ],
)
def test_sizes_that_cannot_be_multiplied_are_refused(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="both must be whole numbers") as caught:
        translate(["train", *typed.split(), "--overwrite_output_dir"])
    assert len(caught.value.findings) == 2, "together with everything else"


@pytest.mark.parametrize(
    "typed",
    [
        "--batch-size 64 --gradient_accumulation_steps 4",
        "--per_device_train_batch_size 8 --micro_batch_size 2",
    ],
)
def test_two_ways_to_say_the_batch_do_not_mix(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="gluetune's own batch sizes are both given"):
        translate(["train", *typed.split()])


def test_a_flag_without_its_value_is_left_for_the_parser_to_tell() -> None:
    assert translate(["train", "--per_device_train_batch_size"]) == ["train", "--batch-size"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["show", "cola", "--max_seq_length", "1"]])
def test_other_verbs_are_left_alone(arguments: list[str]) -> None:
    assert translate(arguments) == arguments


def test_pushing_needs_both_of_its_flags() -> None:
    with pytest.raises(ConfigurationError, match=r"names no repository.*\n.*--push owner/name"):
        translate(["train", "cola", "--push_to_hub"])
    with pytest.raises(ConfigurationError, match=r"without --push_to_hub.*\n.*--push me/mrpc"):
        translate(["train", "cola", "--hub_model_id", "me/mrpc"])


def test_settings_of_the_hub_point_to_pushing() -> None:
    from gluetune.training.arguments import check_set

    with pytest.raises(ConfigurationError, match="--push owner/name"):
        check_set({"hub_strategy": "end"})
