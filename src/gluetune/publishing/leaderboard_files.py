"""Check any submission against the format of the GLUE leaderboard.

The rules are those of jiant's `_write_glue_preds` and GLUE-baselines' `evaluate.py`: eleven
tab-separated files in a flat zip, the header `index<TAB>prediction`, the index from 0 in the order
of the test set, unquoted. The check shares only `tasks.py` with the writer.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from gluetune.core.errors import DataError, Finding
from gluetune.core.tasks import LEADERBOARD_TASKS, SubmissionFile, TaskSpec

HEADER = "index\tprediction"

_LARGEST_FILE = 64 * 2**20
"""Bytes; the largest file of a real submission (QQP) has about 4 MB."""

_THREE_DECIMALS = re.compile(r"-?\d+\.\d{3}")


SUBMISSION_FILES: Mapping[str, tuple[TaskSpec, SubmissionFile]] = MappingProxyType(
    {file.name: (task, file) for task in LEADERBOARD_TASKS.values() for file in task.submission}
)
"""The eleven files by name, each with its task."""

_HOW = "Give a submission: `gluetune submit RUN…` writes submission.zip."

_IN_ANY_CASE = {name.lower(): name for name in SUBMISSION_FILES}


def check_submission(path: str | Path) -> None:
    """Check a submission of any origin.

    Raises DataError that lists every mistake in the zip, and each kind of mistake in each file
    once, with its first line and its count.
    """
    DataError.raise_any(faults(Path(path)))


def faults(path: Path) -> list[Finding]:
    """Return everything that is wrong with the submission at `path`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [*_archive_faults(archive), *_all_file_faults(archive)]
    except OSError as error:
        return [Finding(f"{path} cannot be read: {error.strerror or error}.", _HOW)]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        return [Finding(f"{path} is not a readable zip file: {error}", _HOW)]


def _archive_faults(archive: zipfile.ZipFile) -> list[Finding]:
    names = archive.namelist()
    findings = [_misplaced(name) for name in dict.fromkeys(names) if name not in SUBMISSION_FILES]
    findings += [
        Finding(f"{name} is in the zip {names.count(name)} times.")
        for name in SUBMISSION_FILES
        if names.count(name) > 1
    ]
    findings += [
        Finding(f"{name} is missing.", "The leaderboard takes all eleven files or none.")
        for name in SUBMISSION_FILES
        if name not in names
    ]
    return findings


def _misplaced(name: str) -> Finding:
    """Return why a member of the zip is none of the eleven files."""
    if "/" in name.rstrip("/") or "\\" in name:
        return Finding(f"{name} is in a folder.", "The zip must be flat.")
    if name.endswith("/"):
        return Finding(f"{name} is a folder.", "The zip must be flat.")
    if name.lower() in _IN_ANY_CASE:
        return Finding(f"{name} must be called {_IN_ANY_CASE[name.lower()]}.")
    return Finding(f"{name} is not a file of a submission.")


def _all_file_faults(archive: zipfile.ZipFile) -> list[Finding]:
    findings = []
    for member in archive.infolist():
        # A file under a wrong name or in a folder is still read: its content may be wrong too.
        name = _IN_ANY_CASE.get(re.split(r"[/\\]", member.filename)[-1].lower())
        if name is None:
            continue
        if member.file_size > _LARGEST_FILE:
            findings.append(Finding(f"{member.filename} has {member.file_size:,} bytes."))
            continue
        try:
            content = archive.read(member)
        except zipfile.BadZipFile as error:
            findings.append(Finding(f"{member.filename} is damaged: {error}"))
            continue
        findings += _file_faults(member.filename, content, *SUBMISSION_FILES[name])
    return findings


def _file_faults(
    name: str, content: bytes, task: TaskSpec, file: SubmissionFile
) -> Iterable[Finding]:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return [Finding(f"{name} is not UTF-8: byte 0x{content[error.start]:02x}.")]
    kinds = _Kinds(name)
    if text.startswith("\ufeff"):
        kinds.add("begins with a byte order mark", 1)
        text = text.removeprefix("\ufeff")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    _check_lines(lines, kinds, task, file)
    return kinds.findings()


def _check_lines(lines: list[str], kinds: _Kinds, task: TaskSpec, file: SubmissionFile) -> None:
    header = lines[0].removesuffix("\r") if lines else ""
    if header != HEADER:
        kinds.add(f"has the header {header!r} instead of {HEADER!r}", 1)
    fault_of = _value_check(task, file)
    indices: list[int | None] = []
    for number, line in enumerate(lines, start=1):
        if line.endswith("\r"):
            kinds.add("has lines that end in CR LF instead of LF", number)
        if number == 1:
            continue
        cells = line.removesuffix("\r").split("\t")
        if len(cells) != 2:
            kinds.add("has rows that are not two cells separated by a tab", number, line)
            continue
        if any('"' in cell or "'" in cell for cell in cells):
            kinds.add("has quoted cells", number, line)
            cells = [cell.strip("\"'") for cell in cells]
        indices.append(_index(cells[0]))
        if indices[-1] is None:
            kinds.add("has indices that are not integers", number, cells[0])
        if fault := fault_of(cells[1]):
            kinds.add(fault, number, cells[1])
    _check_indices(indices, len(lines) - 1, kinds, task.rows[file.split])


def _check_indices(indices: list[int | None], rows: int, kinds: _Kinds, wanted: int) -> None:
    if rows != wanted:
        kinds.add(f"has {rows:,} rows instead of {wanted:,}", None)
    known = [index for index in indices if index is not None]
    seen: set[int] = set()
    for line, index in enumerate(indices, start=2):
        if index in seen:
            kinds.add("repeats indices", line, str(index))
        if index is not None:
            seen.add(index)
    if known and min(known) > 0:
        kinds.add(f"counts from {min(known)}; the index begins with 0", None)
    if absent := sorted(set(range(wanted)) - seen):
        shown = ", ".join(str(index) for index in absent[:3]) + (", …" if len(absent) > 3 else "")
        kinds.add(f"lacks the {'index' if len(absent) == 1 else 'indices'} {shown}", None)
    if beyond := sorted(index for index in seen if index >= wanted):
        kinds.add(f"has indices beyond {wanted - 1}, the first is {beyond[0]}", None)
    if known != sorted(known):
        kinds.add("is not in the order of its index", None)


def _value_check(task: TaskSpec, file: SubmissionFile) -> Callable[[str], str]:
    """Return a function that explains why a value is wrong, with "" for a valid one."""
    if file.values == "number":
        low, high = task.label_range or (float("-inf"), float("inf"))
        return lambda value: _number_fault(value, low, high)
    ids = [str(index) for index in range(task.num_labels)]
    wanted, other = (ids, task.labels) if file.values == "ids" else (task.labels, ids)
    expected = " or ".join(wanted) if len(wanted) == 2 else ", ".join(wanted)

    def fault(value: str) -> str:
        if value in wanted:
            return ""
        kind = "class names" if other == task.labels else "class ids"
        named = kind if value in other else "unknown labels"
        return f"holds {named} instead of {expected}"

    return fault


def _number_fault(value: str, low: float, high: float) -> str:
    try:
        number = float(value)
    except ValueError:
        return "holds values that are not numbers"
    if not float("-inf") < number < float("inf"):
        return "holds values that are not finite"
    if not low <= number <= high:
        return f"holds values outside {low:g} to {high:g}"
    return "" if _THREE_DECIMALS.fullmatch(value) else "holds numbers without three decimals"


def _index(text: str) -> int | None:
    return int(text) if re.fullmatch(r"0|[1-9]\d{0,8}", text) else None


class _Kinds:
    """The mistakes in one file by kind: the first line of each, and their count."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: dict[str, tuple[int | None, str]] = {}
        self._count: dict[str, int] = {}

    def add(self, kind: str, line: int | None, value: str | None = None) -> None:
        """Add a mistake; `line` is None for a mistake of the whole file."""
        self._count[kind] = self._count.get(kind, 0) + 1
        if kind not in self._first:
            self._first[kind] = (line, "" if value is None else f" ({value[:40]!r})")

    def findings(self) -> list[Finding]:
        """Return a finding for every kind."""
        found = []
        for kind, (line, value) in self._first.items():
            place = "" if line is None else f", first in line {line}{value}"
            count = self._count[kind]
            times = f" ({count:,} times)" if count > 1 else ""
            found.append(Finding(f"{self._name} {kind}{place}{times}."))
        return found
