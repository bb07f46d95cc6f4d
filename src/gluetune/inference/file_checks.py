"""`gluetune.check_files`: a user's files checked, and their lengths compared with a model's."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Unpack

from gluetune.core.config import TrainConfig
from gluetune.core.keywords import CheckKeywords
from gluetune.data.own import checking
from gluetune.data.own.checking import CheckedFiles

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame
    from pyarrow import Table

    from gluetune.data.own.source import OwnTask


def check_files(
    *files: str | PathLike[str] | DataFrame | Dataset | Table, **settings: Unpack[CheckKeywords]
) -> CheckedFiles:
    """Check labelled text as `train` does, before any model is loaded.

    Args:
        files: The file to train on; after it, where there are, those to validate and to test on.
            Paths, pandas DataFrames, datasets.Dataset or pyarrow.Table.
        settings: The fields of TrainConfig that say how files are read: `text`, `text_pair`,
            `label`, `format`, `delimiter`, `quoting`, `header`, `columns`, `kind`,
            `label_separator`, `group`, `validation_fraction`, `on_bad_row`, … Columns of text and
            label that are not named are found where they are unambiguous.
            With `model` (and `revision`, `max_length`) its tokenizer counts texts that are too
            long, and tokens that it does not know; `train` reports these tokens again.

    Raises:
        ConfigurationError: for settings that contradict each other, a number of files other than
            one to three, or a `max_length` that the `model` does not take.
        CheckpointError, HubError: for a `model` whose tokenizer cannot be read.

    What is wrong in the files is returned, not raised.
    """
    if settings.get("model") is None:
        return checking.check_files(*files, **settings)
    return checking.check_files(*files, further=_of_model, **settings)


def _of_model(config: TrainConfig, own: OwnTask) -> Iterator[str]:
    """Yield remarks on texts that are too long for the model, or unknown to its tokenizer."""
    import torch

    from gluetune.data.encoding import encode, processes_that_pay, unknown_note
    from gluetune.models.checkpoints import find_checkpoint
    from gluetune.models.tokenizers import check_length, input_limit, load_config, load_tokenizer

    checkpoint = find_checkpoint(
        config.model, revision=config.revision, trust_remote_code=config.trust_remote_code
    )
    described = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint, described)
    trusted = checkpoint.trust_remote_code
    limit = input_limit(described, tokenizer, trust_remote_code=trusted)
    check_length(config.max_length, limit, checkpoint.name)
    length = config.max_length or limit
    for split, table in own.tables.items():
        found = encode(
            table,
            own.task,
            tokenizer,
            max_length=length,
            outputs=tuple(range(own.task.num_labels)),
            processes=processes_that_pay(len(table), torch.get_num_threads()),
        )
        if found.truncated:
            yield (
                f"{found.truncated:,} of {len(table):,} texts of {split} "
                f"({found.truncated / len(table):.1%}) are longer than {length} tokens of "
                f"{checkpoint.name}, and are cut."
            )
        if note := unknown_note(found, split, checkpoint.name):
            yield note
