"""`gluetune.predict`: add label, score and probabilities to the rows of a file.

Rows are read, predicted and written in windows, so a file may be larger than memory. Inside a
window they are batched by length and written in their own order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, Unpack, cast

import numpy as np

from gluetune.core.command_lines import options
from gluetune.core.config import UNSTATED, FileFormat, FormatName
from gluetune.core.errors import ConfigurationError, DataError, Finding
from gluetune.core.files import write_atomically
from gluetune.core.inference_settings import LoadSettings, PredictSettings
from gluetune.core.keywords import PredictKeywords
from gluetune.core.records import plural
from gluetune.core.runs import Run
from gluetune.core.settings import make_settings, split_settings
from gluetune.core.tables import FieldsInHtml
from gluetune.core.text import nearest
from gluetune.data.formats.format import (
    BadRow,
    Detected,
    Fault,
    Format,
    Row,
    RowReader,
    repeated_columns,
)
from gluetune.data.formats.registry import (
    FORMATS,
    detect,
    detect_stream,
    format_of,
    no_stream_error,
    open_rows,
    writing_rows,
    written_as,
)
from gluetune.data.own.columns import FirstRows, first_line_finding, stated_wrongly
from gluetune.data.own.source import format_of_other
from gluetune.data.tables import SHOWN
from gluetune.inference.predictor import WINDOW, Predictor, Text, load
from gluetune.kinds.base import Prediction

OnError = Literal["stop", "skip"]

_PLAIN_COLUMNS = ("text", "text_pair")
"""Names of text columns in files that do not use the task's names."""

_DECIMALS = 6
"""Decimals of numbers in files: the precision of float32, the type of logits."""


@dataclass
class FilePredictions(FieldsInHtml):
    """The result of predicting a file: output path, counts and notes."""

    output: Path | None
    rows: int = 0
    """Rows that were predicted."""
    skipped: int = 0
    """Invalid rows that were left out."""
    problems: list[str] = field(default_factory=list)
    """Line and reason of the first of them."""
    seconds: float = 0.0
    cut: int = 0
    """Rows whose text was truncated to `max_length`."""
    max_length: int | None = None
    """Maximum tokens per row."""
    limit: int | None = None
    """Maximum tokens that the model supports."""

    @property
    def cut_note(self) -> str:
        """A note on truncated texts and how to avoid it; empty if there are none."""
        if not self.cut:
            return ""
        were = "was" if self.cut == 1 else "were"
        return (
            f"{self.cut:,} of {plural(self.rows, 'text')} {were} cut to {self.max_length} tokens "
            f"({self.cut / self.rows:.1%}): {cut_advice(self.max_length, self.limit)}"
        )

    notes: tuple[str, ...] = ()
    """How the file was read, if that is not clear from its name."""

    @property
    def rows_per_second(self) -> float:
        """Throughput of reading, predicting and writing together."""
        return self.rows / self.seconds if self.seconds else 0.0


def predict(
    model: str | Path | Run | Predictor,
    file: str | Path | BinaryIO,
    *,
    output: str | Path | BinaryIO,
    file_format: str | FileFormat | None = None,
    progress: Callable[[FilePredictions], object] | None = None,
    **settings: Unpack[PredictKeywords],
) -> FilePredictions:
    """Predict every row of a CSV, JSON lines, Parquet or text file, in constant memory.

    The output has the input's columns and order, and the new columns `label`, `score` and
    `probability_CLASS` for each class (in JSON lines one object, `probabilities`); for regression
    only `score`; for several labels per text, `labels` (in CSV separated by `;`) and the
    probability of each. For lines of plain text the output is JSON lines. With `min_precision` or
    `coverage` there is also `uncertain`.

    Args:
        model: A run, a checkpoint, or what `gluetune.load` returned.
        file: CSV (RFC 4180, with a header line, UTF-8), JSON lines, Parquet, or lines of plain
            text, with a tab between the two texts of a pair. Also an open file, such as stdin.
        output: A path, which is written atomically; or an open file, except for Parquet.
        file_format: `csv`, `tsv`, `jsonl`, `json`, `parquet`, `arrow`, `fasttext`, `trec` or
            `text`, if the file's name has another ending; or a FileFormat, for other delimiters,
            quotes or no header line. The output has the same delimiter, and a header line.
        progress: Called after every window with the counts so far.
        settings: Fields of `PredictSettings` (`text`, `text_pair`, `on_error`, `prefix`) and of
            `LoadSettings`, as `gluetune.load` takes them.

    Raises:
        ConfigurationError: for a missing column, or a name that is taken.
        DataError: for a file that cannot be read, and with `stop` for its first invalid rows.
    """
    loading, reading = split_settings((LoadSettings, PredictSettings), settings)
    how = make_settings(PredictSettings, reading)
    source = Path(file) if isinstance(file, str | Path) else file
    target = Path(output) if isinstance(output, str | Path) else output
    stated = _stated(file_format)
    if isinstance(source, Path):
        found = detect(source, stated, labelled=False)
    else:
        found = detect_stream(source, stated)
    _check_output(source, target, written_as(found.format))
    predictor = model if isinstance(model, Predictor) else load(model, **loading)
    if isinstance(source, Path):
        as_run = _as_run(predictor, source, stated)
        if as_run != stated:
            found = detect(source, as_run, labelled=False)
        _check_first_line(source, found, predictor, how.text, stated)
    with open_rows(source, found.format, _line_columns(predictor), dialect=found.dialect) as reader:
        if repeated := repeated_columns(reader, reader.columns):
            raise DataError.of(repeated)  # rows are written by the names of their columns
        if not reader.columns and (wrong := stated_wrongly(found, reader, stated)):
            raise DataError.of([wrong])
        columns = _text_columns(predictor, reader, how.text, how.text_pair)
        added = _NewColumns(predictor, written_as(found.format), how.prefix)
        new = tuple(added.sample)
        _check_free(reader, new, how.prefix)
        rows = _Rows(reader, columns, new, how.on_error)
        return _write(rows, added, target, progress, found.notes)


def _stated(file_format: str | FileFormat | None) -> FileFormat:
    if isinstance(file_format, FileFormat):
        return file_format
    if file_format is None:
        return UNSTATED
    return FileFormat(cast(FormatName, format_of(Path(), file_format).name))


def _as_run(predictor: Predictor, path: Path, stated: FileFormat) -> FileFormat:
    """Return the format of a file: that of the run's own files, except for the columns."""
    run = predictor.opened.run
    if run is None:
        return stated
    own = format_of_other(run.config, path, UNSTATED)
    if own.format is not None and FORMATS[own.format].needs_label:
        own = replace(own, format=None)
    return stated.over(replace(own, header=None, columns=None))


def _check_first_line(
    path: Path, found: Detected, predictor: Predictor, text: str | None, stated: FileFormat
) -> None:
    """Refuse a first line that looks like a row, unless `stated` has a header line."""
    if found.dialect is None or not found.dialect.header or stated.header:
        return
    given = (text,) if text is not None else _line_columns(predictor)
    finding = first_line_finding(path, FirstRows.of(path, found), given, given[0])
    if finding is not None:
        raise DataError.of([finding])


def cut_advice(max_length: int | None, limit: int | None) -> str:
    """Return what truncation to `max_length` tokens means, and how to avoid it."""
    remedy = "The model supports no more: split longer texts, or train another checkpoint."
    if max_length is not None and (limit is None or limit > max_length):
        remedy = f"Type: --max-length {limit or 'NUMBER'}"
    return f"tokens beyond that are ignored. {remedy}"


class _NewColumns:
    """Computes the values of the new columns."""

    def __init__(self, predictor: Predictor, fmt: Format, prefix: str) -> None:
        self._predictor = predictor
        self.format = fmt
        self._prefix = prefix
        self.cut = 0
        """Texts that were truncated so far."""
        self.max_length, self.limit = predictor.opened.max_length, predictor.opened.limit
        logits = np.full((1, len(predictor.labels) or 1), 1e30, dtype=np.float32)
        self.sample = self._values(predictor.predictions(logits)[0])
        """The new columns by name, each with a value of its type."""

    def __call__(self, texts: list[Text]) -> Iterator[Mapping[str, Any]]:
        """Yield the new values of each text, in order."""
        encoded = self._predictor.encode(texts)
        self.cut += encoded.truncated
        found = self._predictor.predictions(self._predictor.opened.logits(encoded))
        return (self._values(prediction) for prediction in found)

    def _values(self, prediction: Prediction) -> Mapping[str, Any]:
        score: dict[str, Any] = {f"{self._prefix}score": round(prediction.score, _DECIMALS)}
        if prediction.label is None:
            return score
        shares = {name: round(share, _DECIMALS) for name, share in prediction.probabilities.items()}
        label: dict[str, Any] = {f"{self._prefix}label": prediction.label}
        if prediction.uncertain is not None:
            score[f"{self._prefix}uncertain"] = self._truth(prediction.uncertain)
        if prediction.labels is not None:
            label = {f"{self._prefix}labels": self._joined(prediction.labels)}
            score = {}
        if self.format.holds_objects:
            return {**label, **score, f"{self._prefix}probabilities": shares}
        columns = {f"{self._prefix}probability_{name}": share for name, share in shares.items()}
        return {**label, **score, **columns}

    def _truth(self, value: bool) -> Any:
        """Return a truth value, as text if the format has only text."""
        return value if self.format.holds_lists else str(value).lower()

    def _joined(self, labels: tuple[str, ...]) -> Any:
        """Return several labels as a list, or joined by `;` if the format has no lists."""
        return list(labels) if self.format.holds_lists else ";".join(labels)


class _Rows:
    """The valid rows of a file in windows; invalid ones are counted."""

    def __init__(
        self,
        reader: RowReader,
        columns: tuple[str, ...],
        taken: tuple[str, ...],
        on_error: OnError,
    ) -> None:
        self.reader = reader
        self._columns = columns
        self._taken = taken
        self._on_error = on_error
        self.skipped = 0
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[list[Row]]:
        """Yield windows of rows. Raises DataError for invalid ones, unless they are skipped.

        All invalid rows of a window are reported together.
        """
        checked = map(self._checked, iter(self.reader))
        while window := list(islice(checked, WINDOW)):
            if bad := [row for row in window if isinstance(row, BadRow)]:
                self._note(bad)
            if good := [row for row in window if isinstance(row, Row)]:
                yield good

    def texts(self, rows: list[Row]) -> list[Text]:
        """Return the text, or the pair, of each row."""
        if len(self._columns) == 1:
            return [row.values[self._columns[0]] for row in rows]
        first, second = self._columns
        return [(row.values[first], row.values[second]) for row in rows]

    def _checked(self, row: Row | BadRow) -> Row | BadRow:
        if isinstance(row, BadRow):
            return row
        for column in self._taken:
            if column in row.values:  # JSON lines may have it in one row and not in the first
                problem = f"has '{column}' already, the name of a new column"
                return BadRow(row.line, problem, Fault.UNREADABLE)
        for column in self._columns:
            value = row.values.get(column)
            if not isinstance(value, str):
                problem = f"has {_absence(row.values, column)}"
                return BadRow(row.line, problem, Fault.NO_TEXT)
            if not value.strip():
                return BadRow(row.line, f"has an empty '{column}'", Fault.EMPTY_TEXT)
        return row

    def _note(self, bad: list[BadRow]) -> None:
        shown = [
            f"{self.reader.name}{self.reader.separator}{row.line} {row.problem}."
            for row in bad[:SHOWN]
        ]
        if self._on_error == "stop":
            findings = [Finding(problem) for problem in shown[:-1]]
            more = f" And {len(bad) - len(shown)} more." if len(bad) > len(shown) else ""
            hint = "Fix the file, or leave such rows out: --on-error skip"
            raise DataError.of([*findings, Finding(shown[-1] + more, hint)])
        self.skipped += len(bad)
        self.problems += shown[: SHOWN - len(self.problems)]


def _write(
    rows: _Rows,
    added: _NewColumns,
    target: Path | BinaryIO,
    progress: Callable[[FilePredictions], object] | None,
    notes: tuple[str, ...],
) -> FilePredictions:
    """Predict all rows and write them to `target`."""
    begin = time.monotonic()
    packed = target.suffix.lower() if isinstance(target, Path) else ""
    done = FilePredictions(
        target if isinstance(target, Path) else None,
        problems=rows.problems,
        notes=notes,
        max_length=added.max_length,
        limit=added.limit,
    )

    def count(predicted: int) -> None:
        done.rows += predicted
        done.skipped = rows.skipped
        done.cut = added.cut
        done.seconds = time.monotonic() - begin

    def pump(place: Path | BinaryIO) -> None:
        with writing_rows(place, added.format, rows.reader, added.sample, packed) as writer:
            for window in rows:
                for row, more in zip(window, added(rows.texts(window)), strict=True):
                    writer.write(row, more)
                count(len(window))
                if progress is not None:
                    progress(done)

    if isinstance(target, Path):
        write_atomically(target, pump)
    else:
        pump(target)
    count(0)
    return done


def _check_output(source: Path | BinaryIO, target: Path | BinaryIO, fmt: Format) -> None:
    if not isinstance(target, Path):
        if fmt.needs_file:
            raise no_stream_error(fmt)
        return
    if isinstance(source, Path) and target.resolve() == source.resolve():
        raise ConfigurationError(
            f"{source} cannot be both input and output.", hint="Choose another --output."
        )
    if format_of(target) is not fmt:
        raise ConfigurationError(
            f"{target}: the output has the format of the input, here {fmt.name}.",
            hint="Type: " + options(output=target.with_suffix(fmt.endings[0])),
        )


def _line_columns(predictor: Predictor) -> tuple[str, ...]:
    """Return the column names for lines of plain text."""
    task = predictor.opened.task
    return task.text_columns if task else _PLAIN_COLUMNS[:1]


def _text_columns(
    predictor: Predictor, reader: RowReader, text: str | None, text_pair: str | None
) -> tuple[str, ...]:
    """Return the text columns. Raises ConfigurationError if they are ambiguous."""
    task, count = predictor.opened.task, predictor.texts_per_example
    if text is None and text_pair is not None:
        raise ConfigurationError("--text-pair is given without --text.")
    if text is not None:
        chosen = (text,) if text_pair is None else (text, text_pair)
        if count is not None and len(chosen) != count:
            raise ConfigurationError(
                f"{predictor.opened.name} reads {'one text' if count == 1 else 'two texts'} per "
                f"example, and the columns given are: {', '.join(chosen)}.",
                hint="Type: --text COLUMN" + " --text-pair COLUMN" * (count - 1),
            )
        return _present(reader, chosen)
    candidates = [task.text_columns] if task else []
    candidates += [_PLAIN_COLUMNS[:count]] if count else [_PLAIN_COLUMNS, _PLAIN_COLUMNS[:1]]
    for candidate in candidates:
        if set(candidate) <= set(reader.columns):
            return candidate
    if len(reader.columns) == 1 and count in (None, 1):
        return reader.columns
    return _present(reader, candidates[0] if task else candidates[-1])


def _present(reader: RowReader, chosen: tuple[str, ...]) -> tuple[str, ...]:
    missing = [column for column in chosen if column not in reader.columns]
    if not missing:
        return chosen
    listed = ", ".join(reader.columns) or "none"
    options = "--text COLUMN" + " --text-pair COLUMN" * (len(chosen) > 1)
    raise ConfigurationError.of(
        [
            Finding(
                f"{reader.name} has no column '{column}'. Its columns: {listed}.",
                f"{nearest(column, reader.columns)}Name the column of the text: {options}",
            )
            for column in missing
        ]
    )


def _check_free(reader: RowReader, new: tuple[str, ...], prefix: str) -> None:
    taken = [column for column in new if column in reader.columns]
    if taken:
        raise ConfigurationError(
            f"{reader.name} has {', '.join(taken)} already, the names of new columns.",
            hint="Give the new columns other names: " + options(prefix=f"predicted_{prefix}"),
        )


def _absence(values: Mapping[str, Any], column: str) -> str:
    if column not in values:
        return f"no text in '{column}'"
    value = values[column]
    return f"a null '{column}'" if value is None else f"no text in '{column}', but {value!r:.40}"
