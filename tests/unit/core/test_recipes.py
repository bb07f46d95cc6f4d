"""Recipes hold what their sources say, and nothing that a training cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError
from gluetune.core.published import RECIPES, SMALL_TASKS, get_recipe
from gluetune.core.tasks import GLUE_TASKS
from gluetune.training.arguments import check_set

# Learning rate, batch, epochs, warmup, weight decay; None where the source's table has none.
SOURCES: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("notebook", "cola"): (2e-5, 16, 5, 0, 0.01),
    ("notebook", "rte"): (2e-5, 16, 5, 0, 0.01),
    ("run_glue", "cola"): (2e-5, 32, 3, 0, 0),
    ("run_glue", "mrpc"): (2e-5, 32, 5, 0, 0),
    ("run_glue", "wnli"): (2e-5, 32, 5, 0, 0),
    ("stable", "rte"): (2e-5, 16, 20, 0.1, 0.01),
    ("stable", "qnli"): (2e-5, 16, 5, 0.1, 0.01),
    ("electra", "cola"): (1e-4, 32, 3, 0.1, 0.01),
    ("electra", "rte"): (1e-4, 32, 10, 0.1, 0.01),
    ("electra", "stsb"): (1e-4, 32, 10, 0.1, 0.01),
    ("electra-large", "mnli"): (5e-5, 32, 3, 0.1, 0.01),
    ("roberta", "mnli"): (1e-5, 32, 10, 0.06, 0.1),
    ("roberta", "qqp"): (1e-5, 32, 10, 0.06, 0.1),
    ("roberta", "cola"): (1e-5, 16, 10, 0.06, 0.1),
    ("roberta", "mrpc"): (1e-5, 16, 10, 0.06, 0.1),
    ("roberta", "rte"): (2e-5, 16, 10, 0.06, 0.1),
    ("roberta", "stsb"): (2e-5, 16, 10, 0.06, 0.1),
    ("deberta-v3-small", "mnli"): (4.5e-5, 64, 2, None, None),
    ("deberta-v3-base", "mnli"): (1.5e-5, 64, 3, None, None),
    ("deberta-v3-large", "mnli"): (7e-6, 64, 2, None, None),
    ("modernbert", "cola"): (8e-5, 64, 5, None, None),
    ("modernbert", "mnli"): (5e-5, 64, 1, None, None),
    ("modernbert", "mrpc"): (5e-5, 64, 10, None, None),
    ("modernbert", "qnli"): (8e-5, 64, 2, None, None),
    ("modernbert", "qqp"): (5e-5, 64, 10, None, None),
    ("modernbert", "rte"): (5e-5, 64, 3, None, None),
    ("modernbert", "sst2"): (8e-5, 64, 2, None, None),
    ("modernbert", "stsb"): (8e-5, 64, 10, None, None),
}
NAMES = ("learning_rate", "batch_size", "epochs", "warmup", "weight_decay")


@pytest.mark.parametrize(("recipe", "task"), SOURCES)
def test_a_recipe_says_what_its_source_says(recipe: str, task: str) -> None:
    settings = get_recipe(recipe).settings(task)
    assert tuple(settings.get(name) for name in NAMES) == SOURCES[recipe, task]


def test_every_recipe_is_held_against_its_source() -> None:
    assert {recipe for recipe, _ in SOURCES} == set(RECIPES) - {"auto"}  # which has none


def test_the_rest_of_the_sources() -> None:
    assert get_recipe("roberta").settings("rte")["training_args"]["adam_beta2"] == 0.98
    assert get_recipe("run_glue").settings("qqp")["max_length"] == 128
    assert get_recipe("electra").settings("rte")["layer_decay"] == 0.8
    assert get_recipe("electra-large").settings("cola")["layer_decay"] == 0.9
    assert any("--mnli-init" in text for text in RECIPES["modernbert"].omitted)
    assert set(SMALL_TASKS) == {"cola", "mrpc", "stsb", "rte", "wnli"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_every_setting_is_one_that_train_takes(recipe: Any) -> None:
    for task in recipe.tasks:
        settings = recipe.settings(task)
        assert settings
        make_config({"task": task, **settings})
        check_set(settings.get("training_args", {}))
    assert recipe.source
    assert recipe.about


def test_the_notebook_is_the_default() -> None:
    for task in GLUE_TASKS:
        settings = get_recipe("notebook").settings(task)
        assert make_config({"task": task, **settings}) == make_config({"task": task})


def test_names_are_matched_and_mistaken_ones_pointed_out() -> None:
    assert get_recipe("Stable").name == "stable"
    assert get_recipe("stable").settings("mnli-mm") == get_recipe("stable").settings("mnli")
    with pytest.raises(ConfigurationError, match="Did you mean 'roberta'"):
        get_recipe("robert")
    with pytest.raises(ConfigurationError) as caught:
        get_recipe("modernbert").settings("wnli")
    assert "no settings for wnli" in str(caught.value)
    assert "notebook, run_glue, stable" in str(caught.value)
