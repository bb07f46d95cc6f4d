"""Merge the settings of a run from a file, a recipe and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gluetune.core.config import FILE_SETTINGS, TrainConfig, make_config
from gluetune.core.errors import ConfigurationError, Finding, GluetuneError, with_new_names
from gluetune.core.published import Recipe, get_recipe
from gluetune.core.settings_files import read_settings
from gluetune.data.tables import as_file
from gluetune.training.arguments import check_set


def merge_settings(
    task: str | None,
    config: str | Path | TrainConfig | None,
    recipe: str | None,
    settings: Mapping[str, Any],
) -> tuple[TrainConfig, list[str]]:
    """Return the configuration, and notes on the recipe.

    Arguments override the recipe, and the recipe overrides the file; `training_args` are merged by
    name. Raises one GluetuneError with every mistake.
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
            named = {**values, **settings}.get("task")
            if named or chosen.for_own_text:
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
        # An unknown task has no recipe either, and is reported once.
        raise ConfigurationError.of(list(dict.fromkeys(found)))
    return made, notes


def recipe_notes(recipe: Recipe) -> list[str]:
    """Return notes on a recipe: its source, and its omissions."""
    return [f"Recipe {recipe.name}: {recipe.source}.", *recipe.omitted]


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings; `above` overrides `below`, and `training_args` are merged by name."""
    both = {**below, **above}
    extra = "training_args"
    if isinstance(below.get(extra), dict) and isinstance(above.get(extra), dict):
        both[extra] = {**below[extra], **above[extra]}
    return both


def _with_set_findings(error: ConfigurationError, given: object) -> GluetuneError:
    """Add the mistakes in `--set`, so that all mistakes are reported together."""
    try:
        check_set(given if isinstance(given, dict) else {})
    except ConfigurationError as more:
        return ConfigurationError.of([*error.findings, *more.findings])
    return error
