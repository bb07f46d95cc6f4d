"""The settings of a training from all that may state them: a file, a recipe, what is typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gluetune.core.config import FILE_SETTINGS, TrainConfig
from gluetune.core.config_checks import make_config
from gluetune.core.deprecations import with_new_names
from gluetune.core.errors import ConfigurationError, Finding, GluetuneError
from gluetune.core.recipes import Recipe, get_recipe
from gluetune.core.settings_files import read_settings
from gluetune.data.own.stored import as_file
from gluetune.training.arguments import check_set


def merge_settings(
    task: str | None,
    config: str | Path | TrainConfig | None,
    recipe: str | None,
    settings: Mapping[str, Any],
) -> tuple[TrainConfig, list[str]]:
    """Return the configuration, and what the recipe is and leaves out.

    What is typed wins over the recipe, and the recipe over the file; `training_args` are merged
    name by name. Raises one GluetuneError with every mistake.
    """
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    if isinstance(config, TrainConfig):
        values = config.model_dump(exclude_unset=True)
    elif config is not None:
        values = with_new_names(read_settings(Path(config)), TrainConfig.former_names)
        places = {name: f"{config}: {name}" for name in values}
    settings = with_new_names(settings, TrainConfig.former_names)
    if task is not None:
        settings = {"task": task, **settings}
    found: list[Finding] = []
    notes: list[str] = []
    if recipe is not None:
        try:
            chosen = get_recipe(recipe)
            notes = recipe_notes(chosen)
            if named := {**values, **settings}.get("task"):
                values = over(values, chosen.settings(str(named)))
        except ConfigurationError as error:
            found += error.findings
    values = over(values, settings)
    values |= {
        name: as_file(values[name], name) for name in FILE_SETTINGS if values.get(name) is not None
    }
    try:
        made = make_config(values, places=places | {name: name for name in settings})
    except ConfigurationError as error:
        found += _with_set_findings(error, values.get("training_args")).findings
    if found:
        # A task that does not exist has no recipe either, and is told once.
        raise ConfigurationError.of(list(dict.fromkeys(found)))
    return made, notes


def recipe_notes(recipe: Recipe) -> list[str]:
    """Return what is said wherever a recipe is used: its source, and what it leaves out."""
    return [f"Recipe {recipe.name}: {recipe.source}.", *recipe.omitted]


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both; `above` wins, and of `training_args` name by name."""
    both = {**below, **above}
    extra = "training_args"
    if isinstance(below.get(extra), dict) and isinstance(above.get(extra), dict):
        both[extra] = {**below[extra], **above[extra]}
    return both


def _with_set_findings(error: ConfigurationError, given: object) -> GluetuneError:
    """Add what is wrong with `--set`, so that all of a command's mistakes are told at once."""
    try:
        check_set(given if isinstance(given, dict) else {})
    except ConfigurationError as more:
        return ConfigurationError.of([*error.findings, *more.findings])
    return error
