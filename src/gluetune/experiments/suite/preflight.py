"""Check a suite before its first job, and report all mistakes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gluetune.core.command_lines import command_line, options
from gluetune.core.config import MACHINE_SETTINGS, TrainConfig, make_config
from gluetune.core.errors import ConfigurationError, Finding, Findings, GluetuneError, HubError
from gluetune.core.published import get_recipe
from gluetune.core.suites import SuiteRequest
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.data.sources import SAMPLES, Source, open_source
from gluetune.data.tables import require_split
from gluetune.experiments.settings import SuiteSettings, check_settings, split_settings
from gluetune.experiments.suite.plan import FROM_MNLI, SOURCE_TASK
from gluetune.models.checkpoints import Checkpoint, find_checkpoint
from gluetune.models.classifiers import check_heads
from gluetune.training.arguments import check_set
from gluetune.training.settings import over

FIRST_SEED: int = TrainConfig.model_fields["seed"].default
"""The first seed when only their number is given: the default of `train`."""

SAMPLE_FRACTION = 0.125
"""Default fraction of the sample, which is for trying a suite: training on all of it takes eight
times as long, and the scores say as little about GLUE."""

_OWN = {
    "task": "--tasks",
    "seed": "--seeds",
    "config": "the settings as flags",
    "resume": "the same command again",
    "output": "--output",
    "exclude": "it to gluetune train, whose task has these rows",
}


@dataclass(frozen=True)
class Checked:
    """A suite that passed its checks."""

    request: SuiteRequest
    checkpoint: Checkpoint
    settings: SuiteSettings
    machine: Mapping[str, Any]
    """Settings that do not affect scores, and are not part of the request."""


def check(model: str, settings: Mapping[str, Any]) -> Checked:
    """Check the settings and return them resolved. Raises one GluetuneError with every finding.

    The jobs read the data themselves: a mistake in the rows of a task fails its jobs only.
    """
    findings = Findings()
    for name, instead in _OWN.items():
        if name in settings:
            message = f"{name}: a suite has no such setting."
            findings.add(message, f"Give {instead}.")
    given = {name: value for name, value in settings.items() if name not in _OWN}
    own, known = split_settings(SuiteSettings, given, findings)
    checked = check_settings(SuiteSettings, own, findings)
    data = known.pop("data", None)
    seeds = findings.attempt(lambda: _seeds(checked.seeds))
    names = findings.attempt(lambda: _tasks(checked.tasks)) or []
    _check_is_glue(known)
    if checked.mnli_init and names:
        findings.attempt(lambda: _check_mnli_init(names))
    fraction = {} if checked.fraction is None else {"fraction": checked.fraction}
    run = {"model": model, **fraction, **known}
    configs = [findings.attempt(partial(_config, task, checked.recipe, run)) for task in names]
    findings.attempt(lambda: check_set(known.get("training_args") or {}))
    source = findings.attempt(lambda: open_source(data))
    if source is not None:
        findings.attempt(lambda: _check_splits(source, names))
    checkpoint = findings.attempt(lambda: _checkpoint(model, known))
    if checkpoint is not None:
        heads = [name for name in names if not (checked.mnli_init and name in FROM_MNLI)]
        findings.attempt(lambda: _check_heads(checkpoint, heads, known))
    findings.raise_any()
    config = configs[0]
    assert config is not None, "its absence is an error"
    assert source is not None, "its absence is an error"
    assert checkpoint is not None, "its absence is an error"
    # As checked: numbers that were typed as text are numbers.
    typed = config.model_dump(mode="json", include=set(known) - MACHINE_SETTINGS)
    request = SuiteRequest(
        model="minilm" if model == "minilm" and not checkpoint.commit else checkpoint.name,
        data=source.name,
        tasks=tuple(names),
        seeds=tuple(seeds or ()),
        fraction=checked.fraction or default_fraction(source.name),
        recipe=checked.recipe and get_recipe(checked.recipe).name,
        mnli_init=checked.mnli_init,
        settings=typed | {name: dict(known[name]) for name in ("training_args",) if name in known},
    )
    machine = config.model_dump(include=set(known) & MACHINE_SETTINGS)
    return Checked(request, checkpoint, checked, machine)


def _checkpoint(model: str, settings: Mapping[str, Any]) -> Checkpoint:
    return find_checkpoint(
        model,
        revision=settings.get("revision"),
        trust_remote_code=settings.get("trust_remote_code") is True,
    )


def _check_heads(checkpoint: Checkpoint, names: Sequence[str], settings: Mapping[str, Any]) -> None:
    order = settings.get("label_order")
    check_heads(
        checkpoint,
        names,
        new_head=bool(settings.get("new_head")),
        order=tuple(order) if order else None,
    )


def default_fraction(data: str) -> float:
    """Return the default fraction of each training set."""
    return SAMPLE_FRACTION if data in SAMPLES else 1.0


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, int):
        if seeds < 1:
            raise ConfigurationError(
                f"--seeds {seeds}: a suite needs at least one seed.", hint="Type: --seeds 5"
            )
        return list(range(FIRST_SEED, FIRST_SEED + seeds))
    chosen = list(seeds)
    if not chosen:
        raise ConfigurationError("--seeds is empty.", hint="Type: --seeds 5, or --seeds 1,2,3")
    if twice := sorted({seed for seed in chosen if chosen.count(seed) > 1}):
        raise ConfigurationError(
            f"--seeds has {', '.join(map(str, twice))} more than once.",
            hint="Give each seed once.",
        )
    wrong = [seed for seed in chosen if not 0 <= seed < 2**32]
    if wrong:
        raise ConfigurationError(
            f"--seeds: {', '.join(map(str, wrong))} is not a valid seed.",
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
                    "predicts it.",
                    f"Type: --tasks {spec.trained_as}",
                )
            )
        names.append(spec.name)
    if findings:
        raise ConfigurationError.of(findings)
    if not names:
        raise ConfigurationError("--tasks is empty.", hint="Leave it out for all nine.")
    return list(dict.fromkeys(names))


def _check_is_glue(settings: Mapping[str, Any]) -> None:
    """Reject the user's own text first: otherwise every task would report that it is not GLUE."""
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
            f"--mnli-init has no effect: --tasks has none of {', '.join(FROM_MNLI)}.",
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
            raise  # the other tasks would fail too
        except GluetuneError as error:
            findings += error.findings
    if findings:
        raise ConfigurationError.of(findings)
