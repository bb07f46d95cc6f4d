"""A labelled data set of the Hub, downloaded as the files that it consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gluetune.config import TrainConfig
from gluetune.data.findings import nearest
from gluetune.data.rows.files import LABELLED_ENDINGS
from gluetune.errors import ConfigurationError, DataError

_FOLDERS = ("data", "")
"""Where a data set of one configuration has its files: there, or at the top."""
_VALIDATION_NAMES = ("validation", "valid", "dev")


def hub_files(config: TrainConfig) -> Mapping[str, Sequence[Path]]:
    """Return the files of each split that the configuration asks for, in their order.

    Raises DataError for a split that there is not; and as `gluetune.hub.download_data_files` does.
    """
    from gluetune.hub import download_data_files

    assert config.data_set is not None, "asked of a configuration that names a data set"
    repository, _, name = config.data_set.partition(":")
    if repository.count("/") != 1:
        raise ConfigurationError(
            f"--data-set {config.data_set}: a data set of the Hub is user/name or user/name:config."
        )
    files = download_data_files(
        repository,
        *([name] if name else _FOLDERS),
        endings=LABELLED_ENDINGS,
        fallback="download it, and type: --train-file FILE",
    )
    wanted = {"train": _split(files, config.train_split or "train", config)}
    validation = config.validation_split or next(
        (split for split in _VALIDATION_NAMES if split in files), None
    )
    if validation is not None:
        wanted["validation"] = _split(files, validation, config)
    return wanted


def _split(files: Mapping[str, Sequence[Path]], split: str, config: TrainConfig) -> Sequence[Path]:
    if split not in files:
        raise DataError(
            f"{config.data_set} has no split '{split}'. Its splits: {', '.join(files)}.",
            hint=nearest(split, files) + "Type: --train-split or --validation-split NAME",
        )
    return files[split]
