"""Everything about a suite that can be found wrong before its first job, told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from gluetune.core.command_lines import command_line, options
from gluetune.core.config import MACHINE_SETTINGS, TrainConfig
from gluetune.core.config_checks import make_config
from gluetune.core.deprecations import with_new_names
from gluetune.core.errors import ConfigurationError, Finding, Findings, GluetuneError, HubError
from gluetune.core.recipes import get_recipe
from gluetune.core.suite_records import SuiteRequest
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.data.sources.glue_parquet import SAMPLES
from gluetune.data.sources.named import Source, open_source
from gluetune.data.tables import require_split
from gluetune.experiments.suite.planning import FROM_MNLI, SOURCE_TASK
from gluetune.models.checkpoints import Checkpoint, find_checkpoint
from gluetune.models.classifiers import check_heads
from gluetune.training.arguments import check_set
from gluetune.training.settings import over

FIRST_SEED: int = TrainConfig.model_fields["seed"].default
"""Where the seeds start when only their number is given: with what `train` takes by itself."""

SAMPLE_FRACTION = 0.125
"""Of the sample, which is there to try a suite out: training on all of it takes eight times as
long, and its scores would say as little about GLUE."""

_OWN = {
    "task": "--tasks",
    "seed": "--seeds",
    "config": "the settings as flags",
    "resume": "the same command again",
    "output": "--output",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Checked:
    """A suite that nothing is known to stand against."""

    request: SuiteRequest
    checkpoint: Checkpoint
    machine: Mapping[str, Any]
    """Settings that decide no score, and are not asked for: with others, a suite is the same."""


def check(
    *,
    model: str,
    seeds: int | Sequence[int],
    tasks: Sequence[str] | None,
    data: str | None,
    fraction: float | None,
    recipe: str | None,
    mnli_init: bool,
    jobs: int,
    settings: Mapping[str, Any],
) -> Checked:
    """Check what was asked and return it resolved. Raises one GluetuneError with every finding.

    The rows of the data are read by the jobs: what is wrong with them costs those that need them.
    """
    found = Findings()
    chosen_seeds = found.attempt(lambda: _seeds(seeds))
    names = found.attempt(lambda: _tasks(tasks)) or []
    if jobs < 1:
        found.add(f"--jobs {jobs}: there must be at least one.", "Type: --jobs 1")
    settings = with_new_names(settings, TrainConfig.former_names)
    for name, instead in _OWN.items():
        if name in settings:
            found.add(f"{name}: a suite has no such setting.", f"Give {instead}.")
    known = {name: value for name, value in settings.items() if name not in _OWN}
    _check_is_glue(known)
    if mnli_init and names:
        found.attempt(lambda: _check_mnli_init(names))
    given = {"model": model, **({} if fraction is None else {"fraction": fraction}), **known}
    configs = [found.attempt(partial(_config, task, recipe, given)) for task in names]
    found.attempt(lambda: check_set(known.get("training_args") or {}))
    source = found.attempt(lambda: open_source(data))
    if source is not None:
        found.attempt(lambda: _check_splits(source, names))
    checkpoint = found.attempt(
        lambda: find_checkpoint(
            model,
            revision=known.get("revision"),
            trust_remote_code=known.get("trust_remote_code") is True,
        )
    )
    if checkpoint is not None:
        fresh = bool(known.get("new_head"))
        heads = [name for name in names if not (mnli_init and name in FROM_MNLI)]
        found.attempt(lambda: check_heads(checkpoint, heads, new_head=fresh, order=_order(known)))
    found.raise_any()
    config = configs[0]
    assert config is not None, "its absence is a finding"
    assert source is not None, "its absence is a finding"
    assert checkpoint is not None, "its absence is a finding"
    # As checked: what was typed as text is a number now.
    typed = config.model_dump(mode="json", include=set(known) - MACHINE_SETTINGS)
    request = SuiteRequest(
        model="minilm" if model == "minilm" and not checkpoint.commit else checkpoint.name,
        data=source.name,
        tasks=tuple(names),
        seeds=tuple(chosen_seeds or ()),
        fraction=default_fraction(source.name) if fraction is None else config.fraction,
        recipe=recipe and get_recipe(recipe).name,
        mnli_init=mnli_init,
        settings=typed | {name: dict(known[name]) for name in ("training_args",) if name in known},
    )
    machine = config.model_dump(include=set(known) & MACHINE_SETTINGS)
    return Checked(request, checkpoint, machine)


def default_fraction(data: str) -> float:
    """Return the part of each training set that a suite takes when none is asked for."""
    return SAMPLE_FRACTION if data in SAMPLES else 1.0


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int):
        if seeds < 1:
            raise ConfigurationError(
                f"--seeds {seeds}: there must be at least one.", hint="Type: --seeds 5"
            )
        return list(range(FIRST_SEED, FIRST_SEED + seeds))
    chosen = list(seeds)
    if not chosen:
        raise ConfigurationError("--seeds names none.", hint="Type: --seeds 5, or --seeds 1,2,3")
    if twice := sorted({seed for seed in chosen if chosen.count(seed) > 1}):
        raise ConfigurationError(
            f"--seeds: {', '.join(map(str, twice))} stands there twice; a repeat is no new seed.",
            hint="Name each seed once.",
        )
    wrong = [seed for seed in chosen if not 0 <= seed < 2**32]
    if wrong:
        raise ConfigurationError(
            f"--seeds: {', '.join(map(str, wrong))} is no seed.",
            hint="Seeds are from 0 to 4294967295.",
        )
    return chosen


def _tasks(tasks: Sequence[str] | None) -> list[str]:
    if tasks is None:
        return list(GLUE_TASKS)
    findings: list[Finding] = []
    names = []
    for name in tasks:
        try:
            spec = get_task(name)
        except ConfigurationError as error:
            findings += error.findings
            continue
        if spec.train_split is None:
            findings.append(
                Finding(
                    f"--tasks {spec.name}: it has no training set; each run of {spec.trained_as} "
                    "answers it.",
                    f"Type: --tasks {spec.trained_as}",
                )
            )
        names.append(spec.name)
    if findings:
        raise ConfigurationError.of(findings)
    if not names:
        raise ConfigurationError("--tasks names none.", hint="Leave it out for all nine.")
    return list(dict.fromkeys(names))


def _check_is_glue(settings: Mapping[str, Any]) -> None:
    """Refuse text of the user's own at once: each task would say that it is not of these data."""
    own = {name: settings[name] for name in ("train_file", "data_set") if settings.get(name)}
    if own:
        raise ConfigurationError(
            f"{options(**own)}: a suite trains GLUE's tasks, not text of your own.",
            hint=f"Type for each seed: {command_line('train', **own, seed=FIRST_SEED)}",
        )


def _check_mnli_init(names: Sequence[str]) -> None:
    started = [name for name in FROM_MNLI if name in names]
    if not started:
        raise ConfigurationError(
            f"--mnli-init has nothing to start: --tasks has none of {', '.join(FROM_MNLI)}.",
            hint="Leave it out.",
        )
    if SOURCE_TASK not in names:
        raise ConfigurationError(
            f"--mnli-init starts {', '.join(started)} from MNLI's runs, which --tasks leaves out.",
            hint=f"Type: --tasks {','.join([SOURCE_TASK, *names])}",
        )


def _config(task: str, recipe: str | None, given: Mapping[str, Any]) -> TrainConfig:
    below = get_recipe(recipe).settings(task) if recipe is not None else {}
    return make_config(over(below, {**given, "task": task}), places={name: name for name in given})


def _check_splits(source: Source, names: Sequence[str]) -> None:
    findings: list[Finding] = []
    for name in names:
        task = get_task(name)
        try:
            there = source.splits(task)
            for split in (task.train_split or "", *task.validation_splits):
                require_split(task, split, there, place=source.name)
        except HubError:
            raise  # the other tasks would wait for the same Hub
        except GluetuneError as error:
            findings += error.findings
    if findings:
        raise ConfigurationError.of(findings)


def _order(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    order = settings.get("label_order")
    return tuple(order) if order else None
