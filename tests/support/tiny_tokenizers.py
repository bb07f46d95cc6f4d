"""Small tokenizers of each kind, built from a list of words: nothing is trained or downloaded.

Each has the class, the special tokens and their ids that the published checkpoints have. Words of
the list are one token; any other text falls to characters (or bytes), so that it encodes too.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AlbertTokenizer,
    BertTokenizer,
    CamembertTokenizer,
    DebertaV2Tokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    MPNetTokenizer,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    RobertaTokenizer,
    T5Tokenizer,
    XLMRobertaTokenizer,
    XLNetTokenizer,
)

_COMMON = """
the a an of to in and is was it he she they we you not no that this with for on at by from as are
were be been has had have will would can could do does did but or if when who what which where how
why there here man woman child people dog cat house city day year time work book film story good
bad great small long short new old happy sad made said went saw found gave took read wrote ran
walked more most very all some any one two three first last
"""
WORDS = tuple(_COMMON.split())
_CHARACTERS = string.ascii_letters + string.digits + string.punctuation


def wordpiece_vocabulary(specials: tuple[str, ...]) -> dict[str, int]:
    """Return a WordPiece vocabulary: `specials`, words, characters, and continuations."""
    pieces = [*WORDS, *_CHARACTERS, *(f"##{character}" for character in _CHARACTERS)]
    return _numbered([*specials, *pieces, "##s", "##ed", "##ing"])


def byte_vocabulary(specials: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return a byte-level BPE vocabulary and its merges: every byte, and words after a space."""
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        grown = "Ġ"
        for character in word:
            merges[(grown, character)] = None
            grown += character
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    grown_pieces = [left + right for left, right in merges]
    return _numbered([*specials, *alphabet, *grown_pieces]), list(merges)


def unigram_vocabulary(specials: tuple[str, ...]) -> list[tuple[str, float]]:
    """Return SentencePiece-like pieces with log probabilities: words are likelier than letters."""
    words = [(f"▁{word}", -4.0) for word in WORDS]
    characters = [(character, -8.0) for character in ("▁", *_CHARACTERS)]
    return [*((special, 0.0) for special in specials), *words, *characters]


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


_BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def _bert(**options: Any) -> Any:
    return BertTokenizer(vocab=wordpiece_vocabulary(_BERT_SPECIALS), **options)


def _mpnet(**options: Any) -> Any:
    specials = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
    return MPNetTokenizer(vocab=wordpiece_vocabulary(specials), **options)


def _roberta(**options: Any) -> Any:
    vocabulary, merges = byte_vocabulary(_ROBERTA_SPECIALS)
    return RobertaTokenizer(vocab=vocabulary, merges=merges, **options)


def _gpt2(**options: Any) -> Any:
    vocabulary, merges = byte_vocabulary(("<|endoftext|>",))
    return GPT2Tokenizer(vocab=vocabulary, merges=merges, **options)


def _qwen2(**options: Any) -> Any:
    vocabulary, merges = byte_vocabulary(("<|endoftext|>",))
    return Qwen2Tokenizer(vocab=vocabulary, merges=merges, **options)


def _opt(**options: Any) -> Any:
    vocabulary, merges = byte_vocabulary(("<s>", "<pad>", "</s>", "<unk>"))
    specials = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    return GPT2Tokenizer(vocab=vocabulary, merges=merges, **specials, **options)


def _gpt_neox(**options: Any) -> Any:
    vocabulary, merges = byte_vocabulary(("<|endoftext|>", "<|padding|>"))
    return GPTNeoXTokenizer(vocab=vocabulary, merges=merges, **options)


def _bloom(**options: Any) -> Any:
    specials = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return _decoder(tuple(specials.values()), **specials, **options)


def _falcon(**options: Any) -> Any:
    return _decoder(("<|endoftext|>",), eos_token="<|endoftext|>", **options)


def _llama(**options: Any) -> Any:
    specials = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return _decoder(tuple(specials.values()), begin="<s>", **specials, **options)


def _gemma(**options: Any) -> Any:
    specials = {
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
        "unk_token": "<unk>",
    }
    return _decoder(tuple(specials.values()), begin="<bos>", **specials, **options)


def _decoder(specials: tuple[str, ...], *, begin: str | None = None, **options: Any) -> Any:
    """A decoder's tokenizer of no class of its own; `begin` is put ahead of every text."""
    vocabulary, tokenizer = _byte_level(specials)
    if begin is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A",
            pair=f"{begin} $A {begin} $B",
            special_tokens=[(begin, vocabulary[begin])],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **options
    )


def _byte_level(specials: tuple[str, ...]) -> tuple[dict[str, int], Tokenizer]:
    vocabulary, merges = byte_vocabulary(specials)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return vocabulary, tokenizer


def _modernbert(**options: Any) -> Any:
    vocabulary, tokenizer = _byte_level(_BERT_SPECIALS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
        **options,
    )


def _xlm_roberta(**options: Any) -> Any:
    return XLMRobertaTokenizer(vocab=unigram_vocabulary(_ROBERTA_SPECIALS), **options)


def _camembert(**options: Any) -> Any:
    specials = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>")
    return CamembertTokenizer(vocab=unigram_vocabulary((*specials, "<mask>")), **options)


def _albert(**options: Any) -> Any:
    specials = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    return AlbertTokenizer(vocab=unigram_vocabulary(specials), **options)


def _deberta_v2(**options: Any) -> Any:
    specials = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
    return DebertaV2Tokenizer(vocab=unigram_vocabulary(specials), **options)


def _xlnet(**options: Any) -> Any:
    specials = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
    return XLNetTokenizer(vocab=unigram_vocabulary(specials), **options)


def _t5(**options: Any) -> Any:
    vocabulary = unigram_vocabulary(("<pad>", "</s>", "<unk>"))
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, **options)


TOKENIZERS: Mapping[str, Callable[..., Any]] = {
    "albert": _albert,
    "bart": _roberta,
    "bert": _bert,
    "bloom": _bloom,
    "camembert": _camembert,
    "deberta-v2": _deberta_v2,
    "distilbert": _bert,
    "electra": _bert,
    "falcon": _falcon,
    "gemma": _gemma,
    "gpt_neox": _gpt_neox,
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _llama,
    "modernbert": _modernbert,
    "mpnet": _mpnet,
    "opt": _opt,
    "phi": _gpt2,
    "qwen2": _qwen2,
    "qwen3": _qwen2,
    "roberta": _roberta,
    "stablelm": _falcon,
    "t5": _t5,
    "xlm-roberta": _xlm_roberta,
    "xlnet": _xlnet,
}
"""By architecture, what builds its tokenizer; options go to the tokenizer's class."""
