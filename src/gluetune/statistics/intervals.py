"""Confidence intervals of a task's metrics, by bootstrap over the examples.

The examples of a validation set are a sample of those that might have been drawn: an interval is
how far the metric would move with others of the same kind. It does not include seeds.

Accuracy and the share of exact sets of labels get Wilson's interval (Wilson 1927), which needs no
drawing and is never empty. Everything else is drawn: the percentile and the BCa bootstrap (Efron
1987; Efron & Tibshirani 1993, ch. 14). `benchmarks/interval_coverage.py` measures how often each
covers the true value; where it does not, by that table, the interval is marked as unreliable, with
the reason.

Intervals are kept in a file, so that those of the same predictions are computed once. The key of an
entry is a digest of everything that an interval depends on; a file that is out of date or damaged
is ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter, ValidationError

from gluetune.core.errors import ConfigurationError, StorageError
from gluetune.core.files import write_json
from gluetune.core.records import metric_title
from gluetune.metrics.registry import get_metric
from gluetune.statistics.resampling import Resampled, resample
from gluetune.statistics.scores import needs_probabilities, score_predictions

if TYPE_CHECKING:
    from gluetune.core.records import Predictions
    from gluetune.core.tasks import TaskSpec

Method = Literal["percentile", "bca"]

_FEW = 100
"""Examples below which every drawn interval is unreliable."""
_RARE = 20
"""Examples of the rarer outcome that are needed: members of the smaller class, or errors."""


@dataclass(frozen=True)
class Interval:
    """The interval of a metric with probability `level`, and whether it is reliable."""

    low: float
    high: float
    level: float
    method: str
    """`wilson`, `bca`, `percentile`, or `smoothed percentile` where nothing varies."""
    reliable: bool = True
    reason: str = ""
    """Why it is not reliable."""


def score_intervals(
    task: TaskSpec,
    predictions: Mapping[str, Predictions],
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    method: Method = "bca",
) -> dict[str, Interval | None]:
    """Return the interval of the task's score and of each of its metrics, by name.

    `predictions` are by validation split. Names are `score` and those of `ScoreRecord.flat`; a
    metric that is undefined has None. The same seed gives the same intervals. Raises
    ConfigurationError for a level outside (0, 1) or fewer than 100 draws.
    """
    if not 0 < level < 1:
        raise ConfigurationError(
            f"level={level}: must be between 0 and 1.", hint="Type: level=0.95"
        )
    if draws < 100:
        raise ConfigurationError(f"draws={draws}: must be at least 100.", hint="Type: draws=10000")
    score = score_predictions(task, predictions)
    parts: dict[tuple[str, str], Resampled] = {}
    for number, (split, found) in enumerate(predictions.items()):
        parts |= {
            (split, name): one
            for name, one in resample(
                task, found, draws=draws, seed=seed + number, split=split
            ).items()
        }
    several = len(predictions) > 1
    intervals: dict[str, Interval | None] = {"score": None}
    if score.score.value is not None:
        everything = [one for (_, name), one in parts.items() if name in task.metrics]
        doubts = (_doubt(task, found, task.metrics) for found in predictions.values())
        doubt = next((text for text in doubts if text), "")
        intervals["score"] = _interval(everything, level, method, doubt)
    for (split, name), one in parts.items():
        value = score.by_split[split][name].value
        # A metric of the score shares its doubts; an extra metric has its own.
        of = task.metrics if name in task.metrics else (name,)
        doubt = _doubt(task, predictions[split], of)
        known = None if value is None else _interval([one], level, method, doubt)
        intervals[metric_title(split, name, several=several)] = known
    return intervals


def wilson(successes: float, count: int, level: float) -> tuple[float, float]:
    """Return Wilson's score interval for a proportion of `count` (Wilson 1927)."""
    from scipy.stats import binomtest

    low, high = binomtest(round(successes), count).proportion_ci(level, method="wilson")
    return float(low), float(high)


def _interval(parts: Sequence[Resampled], level: float, method: Method, doubt: str) -> Interval:
    """Return the interval of the mean of `parts`, each a metric of a split."""
    if len(parts) == 1 and get_metric(parts[0].metric).is_proportion:
        (part,) = parts
        low, high = wilson(part.value * part.count, part.count, level)
        return Interval(low, high, level, "wilson")
    if not any(part.smoothed for part in parts):
        low, high = _drawn(parts, level, method)
        return Interval(low, high, level, method, reliable=not doubt, reason=doubt)
    # Around smoothed data the value itself is an outlier, which BCa would take for a bias.
    low, high = _drawn(parts, level, "percentile")
    value = sum(part.value for part in parts) / len(parts)
    doubt = doubt or "every sample of these examples gives the same value"
    low, high = min(low, value), max(high, value)
    return Interval(low, high, level, "smoothed percentile", reliable=False, reason=doubt)


def _drawn(parts: Sequence[Resampled], level: float, method: Method) -> tuple[float, float]:
    import numpy as np
    from scipy.stats import norm

    # Metrics of one split were drawn together, those of two splits independently: both are right.
    drawn = np.mean([part.drawn for part in parts], axis=0)
    drawn = drawn[np.isfinite(drawn)]
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        value = float(np.mean([part.value for part in parts]))
        below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / len(drawn)
        bias = norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
        shifted = bias + norm.ppf(tails)
        tails = norm.cdf(bias + shifted / (1 - _acceleration(parts) * shifted))
    low, high = np.quantile(drawn, tails)
    return float(low), float(high)


def _acceleration(parts: Sequence[Resampled]) -> float:
    """Return BCa's acceleration, from what leaving out each example does to the mean of `parts`."""
    import numpy as np

    by_split: dict[str, list[Resampled]] = {}
    for part in parts:
        by_split.setdefault(part.split, []).append(part)
    effects = []
    for members in by_split.values():
        values = np.sum([part.left_out for part in members], axis=0) / len(parts)
        weights = members[0].weights
        effects.append((weights, np.average(values, weights=weights) - values))
    # In another unit, a power of two, the result is the same, and no cube overflows or vanishes.
    _, exponent = np.frexp(max(float(np.abs(effect).max()) for _, effect in effects))
    cubes = squares = 0.0
    for weights, effect in effects:
        scaled = np.ldexp(effect, -exponent)
        cubes += float(np.sum(weights * scaled**3))
        squares += float(np.sum(weights * scaled**2))
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0


def _doubt(task: TaskSpec, found: Predictions, metrics: Sequence[str]) -> str:
    """Return why a drawn interval of these metrics is unreliable; empty where it is reliable."""
    import numpy as np

    count = len(found.labels)
    if count < _FEW:
        return f"only {count} examples"
    # A proportion has no class that counts for more than its examples.
    if not task.labels or all(get_metric(name).is_proportion for name in metrics):
        return ""
    counts = task.kind.counts(found.labels.astype(int), task.num_labels)
    rarest = int(min(counts, default=0))
    if rarest < _RARE:
        return f"a {task.kind.unit} has only {rarest} examples"
    if found.labels.ndim > 1:
        return ""
    wrong = int(np.sum(found.labels != found.predicted))
    rarer, kind = min((wrong, "wrong"), (count - wrong, "right"))
    return f"only {rarer} predictions are {kind}" if rarer < _RARE else ""


_VERSION = 1
"""Version of the method: another one computes every interval anew."""
_MOST_ENTRIES = 8
"""The newest are kept: a run may be evaluated on any number of files."""

_Intervals = dict[str, Interval | None]
_ENTRIES = TypeAdapter(dict[str, _Intervals])


def kept_intervals(
    path: Path, task: TaskSpec, predictions: Mapping[str, Predictions]
) -> _Intervals:
    """Return `score_intervals` of predictions, read from `path` or computed and kept there.

    Where `path` cannot be written, as in another user's folder, they are computed each time.
    """
    entries, key = _read(path), _key(task, predictions)
    if key in entries:
        return entries[key]
    made = score_intervals(task, predictions)
    newest = [*entries.items(), (key, made)][-_MOST_ENTRIES:]
    with suppress(OSError, StorageError):  # the intervals are right without the file
        write_json(path, _ENTRIES.dump_python(dict(newest), mode="json"))
    return made


def _read(path: Path) -> dict[str, _Intervals]:
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def _key(task: TaskSpec, predictions: Mapping[str, Predictions]) -> str:
    digest = hashlib.sha256()
    # Thresholds are known to the predictions, and to a task only once it has been trained.
    digest.update(f"{_VERSION} {dataclasses.replace(task, thresholds=())!r}".encode())
    for split, found in predictions.items():
        needed = needs_probabilities(task)
        for side in (found.labels, found.predicted, *([found.logits] if needed else [])):
            digest.update(f"{split} {side.dtype.str} {side.shape}".encode())
            digest.update(side.tobytes())
    return digest.hexdigest()
