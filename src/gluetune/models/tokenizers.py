"""Load a checkpoint's configuration and tokenizer.

The tokenizer gets a pad token and the padding side of its model.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from gluetune.core.errors import CheckpointError, ConfigurationError
from gluetune.core.long_texts import FIELD, long_texts_of
from gluetune.core.text import first_line
from gluetune.models.checkpoints import Checkpoint

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

# transformers writes int(1e30) where a tokenizer states no limit.
_NO_LIMIT = 1_000_000


def load_config(checkpoint: Checkpoint) -> PretrainedConfig:
    """Read a checkpoint's config. Raises CheckpointError."""
    try:
        return AutoConfig.from_pretrained(
            checkpoint.folder, trust_remote_code=checkpoint.trust_remote_code
        )
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(checkpoint, "config", error) from error


def skeleton(
    config: PretrainedConfig, *, trust_remote_code: bool, num_labels: int | None = None
) -> PreTrainedModel:
    """Build the classifier of `config` on the meta device, without memory for its weights.

    Raises CheckpointError if the architecture has none.
    """
    config = copy.deepcopy(config)
    if num_labels is not None:
        config.num_labels = num_labels
    try:
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(
                config, trust_remote_code=trust_remote_code
            )
    except (OSError, ValueError, ImportError) as error:
        raise CheckpointError(
            f"{config.name_or_path} cannot be loaded for classification: {first_line(error)}",
            hint="Choose an encoder or decoder that AutoModelForSequenceClassification knows.",
        ) from error


def load_tokenizer(
    checkpoint: Checkpoint, config: PretrainedConfig | None = None
) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer, with a pad token and the padding side that its model needs.

    Raises CheckpointError if there is none, or if it has ids that the model lacks.
    """
    config = config or load_config(checkpoint)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.folder, trust_remote_code=checkpoint.trust_remote_code
        )
    except Exception as error:  # the tokenizers library, in Rust, raises nothing narrower
        raise _unreadable(checkpoint, "tokenizer", error) from error
    _check_vocabulary(tokenizer, config, checkpoint)
    if tokenizer.pad_token is None:
        _borrow_pad_token(tokenizer, checkpoint)
    # XLNet's head reads the last position, so it is padded on the left. All others are padded on
    # the right: absolute positions then start at the first token, and causal models never attend to
    # padding. (Their heads find the last real token by the pad id.)
    reads_last = getattr(config, "summary_type", None) == "last"
    tokenizer.padding_side = "left" if reads_last else "right"
    setattr(tokenizer, FIELD, long_texts_of(config))
    return tokenizer


def input_limit(
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    trust_remote_code: bool = False,
) -> int | None:
    """Return the model's maximum number of tokens, None for no limit.

    The tokenizer's limit may be absent (1e30), and the config's may count positions that no token
    can use: position tables with a padding row (as RoBERTa's) start after it.
    """
    limits = []
    stated = getattr(tokenizer, "model_max_length", None)
    if stated is not None and stated < _NO_LIMIT:
        limits.append(int(stated))
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions - _unusable_positions(config, trust_remote_code))
    return min(limits) if limits else None


def check_length(length: int | None, limit: int | None, model: str) -> None:
    """Raise ConfigurationError if `length` is above the model's `limit`."""
    if length and limit and length > limit:
        raise ConfigurationError(
            f"--max-length {length}: {model} takes at most {limit} tokens.",
            hint=f"Type: --max-length {limit}, or leave it out.",
        )


def _unusable_positions(config: PretrainedConfig, trust_remote_code: bool) -> int:
    for name, module in skeleton(config, trust_remote_code=trust_remote_code).named_modules():
        padding = getattr(module, "padding_idx", None)
        if "position" in name and padding is not None:
            return int(padding) + 1
    return 0


def _check_vocabulary(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, checkpoint: Checkpoint
) -> None:
    # If the files are missing, transformers 5 makes a tokenizer of special tokens only (and of
    # SentencePiece's mark of a space), which would read every word as unknown.
    if not set(tokenizer.get_vocab()) - {*tokenizer.all_special_tokens, "\u2581"}:
        raise CheckpointError(
            f"{checkpoint.name} has no tokenizer: there is no vocabulary among its files.",
            hint="Save its tokenizer in the model's folder with tokenizer.save_pretrained.",
        )
    vocabulary = getattr(config, "vocab_size", None)
    if isinstance(vocabulary, int) and len(tokenizer) > vocabulary:
        raise CheckpointError(
            f"The tokenizer of {checkpoint.name} has {len(tokenizer)} tokens, "
            f"its model {vocabulary}.",
            hint="The checkpoint is damaged or mixed from two: get it again.",
        )


def _borrow_pad_token(tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint) -> None:
    token = tokenizer.eos_token or tokenizer.unk_token
    if token is None:
        raise CheckpointError(
            f"The tokenizer of {checkpoint.name} has no pad, end or unknown token to pad with.",
            hint="Set tokenizer.pad_token, save the tokenizer there, and try again.",
        )
    tokenizer.pad_token = token


def _unreadable(checkpoint: Checkpoint, part: str, error: Exception) -> CheckpointError:
    if "trust_remote_code" in str(error):
        return CheckpointError(
            f"{checkpoint.name} has custom Python code for its {part}.",
            hint="Read that code; if you trust it, add --trust-remote-code.",
        )
    return CheckpointError(f"The {part} of {checkpoint.name} cannot be read: {first_line(error)}")
