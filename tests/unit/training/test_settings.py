"""How a file's settings and a call's are put together."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import gluetune
from gluetune.core.config import make_config
from gluetune.core.errors import RenamedWarning
from gluetune.core.settings_files import read_settings
from gluetune.training.settings import merge_settings


def test_every_mistake_of_a_file_and_a_call_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("task: colaa\nepochs: -1\ntraining_args: {not_a_field: 1, max_steps: many}\n")
    with pytest.raises(gluetune.ConfigurationError) as caught:
        gluetune.train(config=file, batch_size=0, training_args={"nor_this": 2, "max_steps": 3})
    told = [finding.message for finding in caught.value.findings]
    assert len(told) == 5
    for part in ("colaa", "epochs: -1", "batch_size=0", "not_a_field", "nor_this"):
        assert any(part in message for message in told), part


def test_what_is_typed_wins_over_the_recipe_and_the_recipe_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "task: rte\nepochs: 7\nseed: 9\ntraining_args: {adam_beta1: 0.8, adam_beta2: 0.5}\n"
    )
    typed = {"learning_rate": 3e-5, "training_args": {"adam_epsilon": 1e-7}}
    config, notes = merge_settings(None, file, "roberta", typed)
    assert config.learning_rate == 3e-5
    assert (config.epochs, config.batch_size, config.seed) == (10, 16, 9)
    assert config.training_args == {
        "adam_beta1": 0.8,
        "adam_beta2": 0.98,
        "adam_epsilon": 1e-7,
        "max_grad_norm": 0.0,
    }
    assert notes[0].startswith("Recipe roberta: facebookresearch/fairseq")


def test_mistakes_of_the_recipe_are_told_with_the_others() -> None:
    with pytest.raises(gluetune.ConfigurationError) as caught:
        merge_settings("cola", None, "robert", {"epochs": -1, "training_args": {"nothing": 1}})
    told = [finding.message for finding in caught.value.findings]
    assert len(told) == 3
    with pytest.raises(gluetune.ConfigurationError, match="No task is given") as caught:
        merge_settings(None, None, "stable", {})
    assert len(caught.value.findings) == 1
    with pytest.raises(gluetune.ConfigurationError, match="no task 'colaa'") as caught:
        merge_settings("colaa", None, "stable", {})
    assert len(caught.value.findings) == 1


def test_set_is_read_as_training_args_with_one_warning_in_a_file_and_in_a_call(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("task: rte\nset: {adam_beta1: 0.8}\n")
    for config_file, settings in ((file, {}), (None, {"set": {"adam_beta1": 0.8}})):
        with pytest.warns(RenamedWarning, match="set is now called training_args") as caught:
            config, _ = merge_settings("rte", config_file, None, settings)
        assert config.training_args == {"adam_beta1": 0.8}
        assert len(caught) == 1


def test_a_configuration_that_a_former_version_has_written_is_read_without_a_warning(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# GLUE task: …\ntask: rte\nset:\n  adam_beta1: 0.8\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = make_config(read_settings(file))
    assert config.training_args == {"adam_beta1": 0.8}
    with pytest.warns(RenamedWarning, match="TrainConfig.set is now"):
        assert config.set == {"adam_beta1": 0.8}


def test_both_names_of_a_setting_at_once_are_refused() -> None:
    with pytest.raises(gluetune.ConfigurationError, match="set and training_args are the same"):
        merge_settings("rte", None, None, {"set": {}, "training_args": {}})
