"""`gluetune.submit`: the leaderboard's zip from one run per task.

A run's saved predictions are used if they are on the same data; torch is imported only to compute
missing ones. The same predictions give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.command_lines import REST, command_line
from gluetune.core.config import Precision
from gluetune.core.errors import (
    ConfigurationError,
    DataError,
    Finding,
    Findings,
    GluetuneError,
    renamed_parameters,
)
from gluetune.core.files import write_atomically
from gluetune.core.runs import Run
from gluetune.core.suites import SuiteResult, is_suite
from gluetune.core.tables import FieldsInHtml
from gluetune.core.tasks import LEADERBOARD_TASKS, SubmissionFile, TaskSpec, get_task
from gluetune.data.sources import OFFICIAL_SAMPLE, Source, open_source
from gluetune.inference.run_predictions import run_predictions
from gluetune.publishing.leaderboard_files import HEADER, check_submission

if TYPE_CHECKING:
    import pyarrow as pa

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest date of a zip member, so that the same predictions give the same bytes."""


@dataclass(frozen=True)
class SubmittedFile:
    """One file of the zip, and the origin of its predictions."""

    name: str
    rows: int
    origin: str
    """A run's folder, or the constant prediction of a task without a run."""
    filled: bool = False
    """Whether the prediction is a constant."""


@dataclass(frozen=True)
class Submission(FieldsInHtml):
    """A zip that was written and has passed the check."""

    path: Path
    files: tuple[SubmittedFile, ...]

    @property
    def filled(self) -> tuple[SubmittedFile, ...]:
        """The files with a constant prediction."""
        return tuple(file for file in self.files if file.filled)


@renamed_parameters(tell="on_message")
def submit(
    *runs: str | Path | Run | SuiteResult,
    output: str | Path = "submission.zip",
    fill_missing: bool = False,
    data: str | None = None,
    precision: Precision = "auto",
    seed: int | None = None,
    on_message: Callable[[str], object] | None = None,
) -> Submission:
    """Write the GLUE leaderboard's zip from finished runs, one per task.

    Args:
        runs: Run folders, or suites' folders. MNLI's run also predicts AX.
        output: The zip.
        fill_missing: Predict the most frequent class of the training set (STS-B: the mean label)
            for tasks without a run.
        data: The source of the test sets, as in training; by default, that of each run.
        precision: Of predictions that are missing; `auto` is each run's own.
        seed: Seed of the runs to take from suites; by default the suite's first seed, never the
            best on validation.
        on_message: Called with a line before each longer step, and with the seed taken.

    Raises:
        GluetuneError: with every problem of the submission: tasks without a run or with two, runs
            without a model, test sets of another size than the leaderboard's.
    """
    say = on_message or (lambda line: None)
    opened = list(_opened(runs, seed, say))
    chosen = _by_task(opened, fill_missing)
    if not chosen and data is None:
        raise ConfigurationError(
            "No run and no data are given to make the submission from.",
            hint="Type: gluetune submit RUN RUN …",
        )
    writer = _Writer(chosen, data, precision, say)
    tables = writer.read_tests()
    predicted = [writer.predict(task, tables[task.name]) for task in LEADERBOARD_TASKS.values()]
    contents = {name: text for texts, _ in predicted for name, text in texts.items()}
    path = Path(output)
    write_atomically(path, lambda temporary: _write_zip(temporary, contents))
    check_submission(path)
    return Submission(path, tuple(file for _, files in predicted for file in files))


class _Writer:
    """Makes the leaderboard's files from runs."""

    def __init__(
        self,
        runs: Mapping[str, Run],
        data: str | None,
        precision: Precision,
        on_message: Callable[[str], object],
    ) -> None:
        self.runs = runs
        self.data = data
        self.precision = precision
        self.on_message = on_message
        self._sources: dict[str | None, Source] = {}

    def read_tests(self) -> dict[str, dict[str, pa.Table]]:
        """Return the test sets by task and split. Raises DataError with all that is wrong."""
        tables: dict[str, dict[str, pa.Table]] = {}
        findings: dict[Finding, None] = {}
        for task in LEADERBOARD_TASKS.values():
            if self._run(task) is None:
                continue  # a constant needs no texts
            try:
                source = self._source(task)
                tables[task.name] = {
                    file.split: _checked(source.read(task, file.split), task, file, source.name)
                    for file in task.submission
                }
            except GluetuneError as error:
                findings |= dict.fromkeys(error.findings)
        DataError.raise_any(findings)
        return tables | {name: {} for name in LEADERBOARD_TASKS if name not in tables}

    def predict(
        self, task: TaskSpec, tables: Mapping[str, pa.Table]
    ) -> tuple[dict[str, str], list[SubmittedFile]]:
        """Return the text of each of a task's files, with its origin."""
        run = self._run(task)
        if run is None:
            constant, words = self._constant(get_task(task.trained_as or task.name))
            splits = (file.split for file in task.submission)
            constants = {split: [constant] * task.rows[split] for split in splits}
            return _files(task, constants, words, filled=True)
        # Saved predictions on the same data, otherwise new ones.
        found = run_predictions(run, task, tables, precision=self.precision, say=self.on_message)
        predicted = {split: one.predicted for split, one in found.items()}
        return _files(task, predicted, str(run.path), filled=False)

    def _constant(self, task: TaskSpec) -> tuple[float, str]:
        """Return the constant prediction of a task, and its description."""
        labels = self._source(task).read(task, task.train_split or "")[task.label_column].to_numpy()
        constant = task.kind.constant(labels, task.num_labels)
        what = f"the {task.kind.constant_description}, {task.label_text(constant)}"
        return constant, what

    def _run(self, task: TaskSpec) -> Run | None:
        return self.runs.get(task.trained_as or task.name)

    def _source(self, task: TaskSpec) -> Source:
        """Return a task's data source: `data` if given, otherwise that of its run."""
        run = self._run(task) or next(iter(self.runs.values()), None)
        name = self.data
        if name is None and run is not None and run.record.data is not None:
            name = run.record.data.source
        if name not in self._sources:
            self._sources[name] = open_source(name)
        return self._sources[name]


def _opened(
    runs: Sequence[str | Path | Run | SuiteResult],
    seed: int | None,
    on_message: Callable[[str], object],
) -> Iterator[Run]:
    """Open each run, and of each suite those of one seed."""
    suites = [run for run in runs if not isinstance(run, Run) and is_suite(run)]
    if seed is not None and not suites:
        raise ConfigurationError(
            f"--seed {seed}: a run has one seed, and no suite is given.", hint="Leave --seed out."
        )
    for run in runs:
        if isinstance(run, Run):
            yield run
        elif run in suites:
            suite = SuiteResult(run)
            taken = suite.runs_of(seed)
            first = seed if seed is not None else suite.record.request.seeds[0]
            on_message(f"{run}: seed {first} of {', '.join(map(str, suite.record.request.seeds))}")
            yield from taken
        else:
            yield Run(run)


def _by_task(runs: Sequence[Run], fill_missing: bool) -> dict[str, Run]:
    """Return the run of each task. Raises ConfigurationError with every problem."""
    chosen: dict[str, Run] = {}
    findings = Findings()
    for run in runs:
        if not run.task.is_published:
            findings.add(
                f"{run.path} was trained on your own data ({run.task.name}), not on a task of the "
                "leaderboard.",
                "Give runs on GLUE's tasks.",
            )
            continue
        known = LEADERBOARD_TASKS.values()  # `mnli` for a run on `mnli-mm`
        name = next(task.name for task in known if task.hub_config == run.task.hub_config)
        if name in chosen:
            findings.add(
                f"{chosen[name].path} and {run.path} are both runs on {name}.",
                "Give one run per task.",
            )
        chosen[name] = run
        try:
            _ = run.model_path
        except GluetuneError as error:
            for each in error.findings:
                findings.add(each.message, each.hint)
    wanted = [task.name for task in LEADERBOARD_TASKS.values() if not task.trained_as]
    missing = [name for name in wanted if name not in chosen]
    if missing and not fill_missing:
        findings.add(
            f"No run is on {', '.join(missing)}; the leaderboard takes all tasks or none.",
            f"Train them ({command_line('train', missing[0], REST)}), or predict their most "
            "frequent class: --fill-missing",
        )
    findings.raise_any()
    return chosen


def _checked(table: pa.Table, task: TaskSpec, file: SubmissionFile, place: str) -> pa.Table:
    """Return a test set sorted by its index. Raises DataError unless it has the official rows."""
    import numpy as np

    wanted = task.rows[file.split]
    if len(table) != wanted:
        raise DataError(
            f"{file.name} needs {wanted:,} rows; '{file.split}' of {task.name} in {place} has "
            f"{len(table):,}.",
            hint="Give GLUE's own test sets with --data DIR, or, to try it out, type: --data "
            f"{OFFICIAL_SAMPLE}",
        )
    index = table[task.index_column].to_numpy()
    if (index == np.arange(wanted)).all():
        return table
    order = np.argsort(index)
    if not (index[order] == np.arange(wanted)).all():
        raise DataError(
            f"'{task.index_column}' of '{file.split}' of {task.name} in {place} does not count "
            f"from 0 to {wanted - 1}, so its rows cannot be matched to the leaderboard's."
        )
    return table.take(order)


def _files(
    task: TaskSpec, predicted: Mapping[str, Iterable[Any]], origin: str, *, filled: bool
) -> tuple[dict[str, str], list[SubmittedFile]]:
    """Return the text of each of a task's files, and its origin."""
    texts = {file.name: _text(task, file, predicted[file.split]) for file in task.submission}
    return texts, [
        SubmittedFile(file.name, task.rows[file.split], origin, filled) for file in task.submission
    ]


def _text(task: TaskSpec, file: SubmissionFile, predicted: Iterable[Any]) -> str:
    """Return one file: the header, then index and prediction in the leaderboard's format."""
    if file.values == "ids":
        values = [str(int(value)) for value in predicted]
    elif file.values == "names":
        values = [task.labels[int(value)] for value in predicted]
    else:
        low, high = task.label_range or (float("-inf"), float("inf"))
        # + 0.0 turns -0.0 into 0.0
        values = [f"{min(max(float(value), low), high) + 0.0:.3f}" for value in predicted]
    rows = [f"{index}\t{value}" for index, value in enumerate(values)]
    return "\n".join([HEADER, *rows, ""])


def _write_zip(path: Path, contents: Mapping[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            member = zipfile.ZipInfo(name, _TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, whichever system wrote it
            member.external_attr = 0o644 << 16
            archive.writestr(member, text.encode(), compresslevel=6)
