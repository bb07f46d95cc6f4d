"""An exported model: the names of its files, and `export.json`, which says what was checked.

```
RUN/onnx/
  model.onnx       float32
  model_int8.onnx  the same with 8-bit weights, if requested
  config.json      and the tokenizer's files, as save_pretrained writes them
  export.json      what was exported, and how its predictions compare with PyTorch's
```
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from gluetune.core.command_lines import command_line
from gluetune.core.errors import RunError
from gluetune.core.files import write_json
from gluetune.core.records import OwnTask, read_versioned
from gluetune.core.tasks import TaskSpec, get_task

EXPORT_VERSION = 1

Variant = Literal["onnx", "onnx-int8"]
"""What runs: float32, or 8-bit weights."""

FILES: dict[Variant, str] = {"onnx": "model.onnx", "onnx-int8": "model_int8.onnx"}


class ExportFolder:
    """Names of the files in an export's folder. Nothing is read or created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record: Path = path / "export.json"

    def model(self, variant: Variant) -> Path:
        """Return the model's file."""
        return self.path / FILES[variant]


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class Checked(_Part):
    """Comparison of one exported file with PyTorch in float32, on the validation set."""

    variant: Variant
    megabytes: float
    largest_difference: float
    """Over all logits of all rows."""
    changed: int
    """Rows whose predicted label, or set of labels, is not PyTorch's; 0 for regression."""
    changed_beyond_ties: int
    """Those of them in which a label changed although PyTorch's logit was further than the
    tolerance from the others, or, of several labels, from its threshold.
    """
    score: float | None
    rows_per_second: float
    """Encoded rows, predicted in batches."""
    good: bool
    verdict: str
    """Why it is good, or why not."""


class ExportRecord(_Part):
    """The whole of `export.json`."""

    version: int = EXPORT_VERSION
    model: str
    weights_sha256: str
    """Of the model.safetensors that it was made from."""
    task: str
    own_task: OwnTask | None = None
    """A task of the user's own, whole."""
    outputs: list[int]
    """The model's output for each class."""
    inputs: list[str]
    """Names of the arrays that the model takes, each of shape (batch, tokens)."""
    max_length: int | None
    data: str
    rows: dict[str, int]
    """Rows that it was checked on, by split."""
    fingerprints: dict[str, str]
    score: float | None
    """PyTorch's."""
    rows_per_second: float
    """PyTorch's."""
    max_loss: float
    """Loss of score that is allowed for int8."""
    threads: int
    device: str
    versions: dict[str, str]
    checked: list[Checked]

    @property
    def spec(self) -> TaskSpec:
        """What the task is."""
        return self.own_task or get_task(self.task)

    @property
    def is_good(self) -> bool:
        """Whether every file passed."""
        return all(one.good for one in self.checked)

    def of(self, variant: Variant) -> Checked | None:
        """Return the check of a variant; None where it was not exported."""
        return next((one for one in self.checked if one.variant == variant), None)

    def save(self, path: Path) -> None:
        """Write the record as JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))


def read_export(path: Path) -> ExportRecord:
    """Read an `export.json`. Raises RunError when it is missing, damaged, or of a newer version."""

    def absent() -> RunError:
        return RunError(
            f"{path.parent} holds no exported model: it has no {path.name}.",
            hint="Export it first: " + command_line("export", path.parent.parent, onnx=True),
        )

    return read_versioned(
        path,
        ExportRecord,
        EXPORT_VERSION,
        absent=absent,
        remedy="Export it again: gluetune export RUN --onnx",
    )
