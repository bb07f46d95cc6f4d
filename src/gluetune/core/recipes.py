"""Published recipes as data: which settings a source trains each GLUE task with.

A recipe is chosen by name (`--recipe stable`), never by gluetune. Its values are settings of
TrainConfig like any that are typed; a flag wins over it. What a source does beyond them is listed
in `omitted`, which is printed whenever the recipe is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.core.text import nearest

_SMALL = 10_000
"""A task with fewer training examples in GLUE is a small one."""

SMALL_TASKS = tuple(name for name, task in GLUE_TASKS.items() if task.rows["train"] < _SMALL)
"""CoLA, MRPC, STS-B, RTE, WNLI: also where only a part of them is trained on."""


def _settings(**settings: Any) -> Mapping[str, Any]:
    return MappingProxyType(settings)


def _none() -> Mapping[str, Mapping[str, Any]]:
    return MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings by task, and where they come from."""

    name: str
    about: str
    source: str
    common: Mapping[str, Any]
    by_task: Mapping[str, Mapping[str, Any]] = field(default_factory=_none)
    """Settings of a task that replace the common ones, or add to them."""
    tasks: tuple[str, ...] = tuple(GLUE_TASKS)
    """The tasks that the source has settings for."""
    for_own_text: bool = False
    """Whether it is for any task, also the user's own."""
    omitted: tuple[str, ...] = ()
    """What the source does and these settings cannot express."""

    def settings(self, task: str) -> dict[str, Any]:
        """Return the settings of `task`. Raises ConfigurationError where the source has none."""
        if self.for_own_text:
            return dict(self.common)
        name = get_task(task).name
        known = get_task(name).hub_config  # mnli-mm is trained as mnli is
        if known not in self.tasks:
            raise ConfigurationError(
                f"--recipe {self.name} has no settings for {name}: {self.source} gives none.",
                hint=f"Its tasks: {','.join(self.tasks)}. Recipes for all: "
                f"{', '.join(_for_all_tasks())}.",
            )
        return {**self.common, **self.by_task.get(known, {})}


def recipe_fields(name: str) -> set[str]:
    """Return the settings that the recipe called `name` has for any task."""
    recipe = get_recipe(name)
    return {*recipe.common, *(field for each in recipe.by_task.values() for field in each)}


def get_recipe(name: str) -> Recipe:
    """Return the recipe called `name`. Raises ConfigurationError with the nearest name."""
    found = RECIPES.get(name.strip().lower())
    if found is not None:
        return found
    raise ConfigurationError(
        f"--recipe {name}: unknown recipe.",
        hint=f"{nearest(name, RECIPES)}Recipes: {', '.join(RECIPES)}.",
    )


def _for_all_tasks() -> list[str]:
    return [name for name, recipe in RECIPES.items() if set(recipe.tasks) == set(GLUE_TASKS)]


def _each(tasks: tuple[str, ...], **settings: Any) -> dict[str, Mapping[str, Any]]:
    return dict.fromkeys(tasks, _settings(**settings))


_HEAD_RATE = "Its top layer has one more step of the layer-wise decay below its head than here."
_BOTH_ORDERS = "It trains MRPC and STS-B on both orders of each pair; here on the order given."
_WNLI_APART = "It trains WNLI in another way; here WNLI has the small tasks' settings."
_MODERNBERT_TASKS = tuple(name for name in GLUE_TASKS if name != "wnli")


def _electra(name: str, size: str, learning_rate: float, decay: float) -> Recipe:
    return Recipe(
        name=name,
        about=f"ELECTRA {size}'s",
        source="google-research/electra, configure_finetuning.py",
        common=_settings(
            learning_rate=learning_rate,
            batch_size=32,
            epochs=3.0,
            warmup=0.1,
            weight_decay=0.01,
            layer_decay=decay,
            max_length=128,
        ),
        by_task=_each(("rte", "stsb"), epochs=10.0),
        omitted=(_HEAD_RATE, _BOTH_ORDERS),
    )


def _deberta(size: str, learning_rate: float, epochs: float) -> Recipe:
    return Recipe(
        name=f"deberta-v3-{size}",
        about=f"DeBERTa-v3-{size}'s, of MNLI alone",
        source="microsoft/DeBERTa, experiments/glue",
        common=_settings(learning_rate=learning_rate, batch_size=64, epochs=epochs),
        tasks=("mnli",),
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="notebook",
                about="the default: the notebook's, for every task alike",
                source='Hugging Face\'s "Text classification on GLUE" notebook',
                common=_settings(
                    learning_rate=2e-5, batch_size=16, epochs=5.0, weight_decay=0.01, warmup=0.0
                ),
            ),
            Recipe(
                name="run_glue",
                about="what transformers' README of run_glue.py reports results of",
                source="huggingface/transformers, examples/pytorch/text-classification/README.md",
                common=_settings(
                    learning_rate=2e-5,
                    batch_size=32,
                    epochs=3.0,
                    weight_decay=0.0,
                    warmup=0.0,
                    max_length=128,
                ),
                by_task=_each(("mrpc", "wnli"), epochs=5.0),
            ),
            Recipe(
                name="stable",
                about="warmup for all, and 20 epochs on small tasks: fewer seeds collapse",
                source="Mosbach et al. 2021, arXiv 2006.04884; Zhang et al. 2021, arXiv 2006.05987",
                common=_settings(
                    learning_rate=2e-5, batch_size=16, epochs=5.0, weight_decay=0.01, warmup=0.1
                ),
                by_task=_each(SMALL_TASKS, epochs=20.0),
            ),
            _electra("electra", "small and base", 1e-4, 0.8),
            _electra("electra-large", "large", 5e-5, 0.9),
            Recipe(
                name="roberta",
                about="RoBERTa-large's",
                source="facebookresearch/fairseq, examples/roberta/README.glue.md",
                common=_settings(
                    learning_rate=1e-5,
                    batch_size=32,
                    epochs=10.0,
                    warmup=0.06,
                    weight_decay=0.1,
                    training_args={"adam_beta2": 0.98, "adam_epsilon": 1e-6, "max_grad_norm": 0.0},
                ),
                by_task={
                    **_each(SMALL_TASKS, batch_size=16),
                    **_each(("rte", "stsb"), batch_size=16, learning_rate=2e-5),
                },
                omitted=(_WNLI_APART,),
            ),
            _deberta("small", 4.5e-5, 2.0),
            _deberta("base", 1.5e-5, 3.0),
            _deberta("large", 7e-6, 2.0),
            Recipe(
                name="modernbert",
                about="ModernBERT-base's, the best of 48 settings of each task",
                source="Warner et al. 2024, arXiv 2412.13663; batch size: AnswerDotAI/ModernBERT "
                "issue 196",
                common=_settings(batch_size=64),
                by_task={
                    name: _settings(learning_rate=learning_rate, epochs=epochs)
                    for name, learning_rate, epochs in (
                        ("cola", 8e-5, 5.0),
                        ("mnli", 5e-5, 1.0),
                        ("mrpc", 5e-5, 10.0),
                        ("qnli", 8e-5, 2.0),
                        ("qqp", 5e-5, 10.0),
                        ("rte", 5e-5, 3.0),
                        ("sst2", 8e-5, 2.0),
                        ("stsb", 8e-5, 10.0),
                    )
                },
                tasks=_MODERNBERT_TASKS,
                omitted=(
                    "It starts RTE, MRPC and STS-B from MNLI's model: --mnli-init does so in a "
                    "suite.",
                    "Its weight decay and warmup are not given here: they stay as they are typed, "
                    "or the default.",
                ),
            ),
            Recipe(
                name="auto",
                about="chosen by the size of the model, the rows and the classes; also for your "
                "own text",
                source="measured with benchmarks/methods.py; each setting's reason follows",
                common=_settings(auto_settings=True),
                for_own_text=True,
            ),
        )
    }
)
"""Every recipe, by name."""
