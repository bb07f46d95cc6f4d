"""A labelled data set of the Hub, downloaded as the Parquet files that it consists of."""

from __future__ import annotations

from pathlib import Path

from gluetune.config import TrainConfig
from gluetune.data.findings import nearest
from gluetune.errors import ConfigurationError, DataError

_FOLDER = "data"
"""Where a data set of one configuration has its files."""
_VALIDATION_NAMES = ("validation", "valid", "dev")


def hub_files(config: TrainConfig) -> dict[str, Path]:
    """Return the file of each split that the configuration asks for.

    Raises DataError for a split that there is not, or that lies in several files; and as
    `gluetune.hub.download_data_files` does.
    """
    from gluetune.hub import download_data_files

    assert config.data_set is not None, "asked of a configuration that names a data set"
    repository, _, name = config.data_set.partition(":")
    if repository.count("/") != 1:
        raise ConfigurationError(
            f"--data-set {config.data_set}: a data set of the Hub is user/name or user/name:config."
        )
    instead = "download it, and type: --train-file FILE"
    files = download_data_files(repository, name or _FOLDER, fallback=instead)
    train = _one(files, config.train_split or "train", config)
    wanted = {"train": train}
    validation = config.validation_split or next(
        (split for split in _VALIDATION_NAMES if split in files), None
    )
    if validation is not None:
        wanted["validation"] = _one(files, validation, config)
    return wanted


def _one(files: dict[str, list[Path]], split: str, config: TrainConfig) -> Path:
    if split not in files:
        raise DataError(
            f"{config.data_set} has no split '{split}'. Its splits: {', '.join(files)}.",
            hint=nearest(split, files) + "Type: --train-split or --validation-split NAME",
        )
    if len(files[split]) > 1:
        raise DataError(
            f"{config.data_set}: the split '{split}' lies in {len(files[split])} files.",
            hint="Join them into one file, and type: --train-file FILE",
        )
    return files[split][0]
