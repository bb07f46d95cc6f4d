"""From a PyTorch model to ONNX: the graph with open batch and length, and its 8-bit form."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import DataCollatorWithPadding

from gluetune.errors import CheckpointError
from gluetune.modeling.classifiers import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_EXAMPLES = ("The first text.", "The second of the texts is longer than the first.")
"""What the model is traced with. Batch and length must not be 0 or 1: those are taken as fixed."""


def write_onnx(
    path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, pairs: bool
) -> tuple[str, ...]:
    """Write `model` as ONNX and return the names of its inputs, each of shape (batch, tokens).

    Its output, `logits`, has the shape (batch, outputs). The graph is torch.export's, through
    `torch.onnx.export(dynamo=True)`. Raises CheckpointError where the architecture cannot be
    exported.
    """
    texts = [list(_EXAMPLES)] * (2 if pairs else 1)
    batch = DataCollatorWithPadding(tokenizer)(
        [
            dict(zip(encoded, values, strict=True))
            for encoded in [tokenizer(*texts)]
            for values in zip(*encoded.values(), strict=True)
        ]
    )
    names = tuple(name for name in batch if name in inspect.signature(model.forward).parameters)
    arrays = tuple(batch[name].cpu() for name in names)
    model = model.cpu().eval()
    try:
        with quiet_transformers(), _quiet_exporter(), torch.inference_mode(False), torch.no_grad():
            try:
                program = _traced(_LogitsOnly(model, names, float_mask=False), arrays)
            except torch.onnx.OnnxExporterError:
                # torch 2.13 cannot decompose `1.0 - mask` of an integer mask (XLNet, T5).
                program = _traced(_LogitsOnly(model, names, float_mask=True), arrays)
            program.save(path)
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{type(model).__name__} cannot be exported to ONNX: {_first_line(error)}",
            hint="torch.onnx knows no way for this architecture; PyTorch runs it as before.",
        ) from error
    return names


def _traced(function: _LogitsOnly, arrays: tuple[torch.Tensor, ...]) -> Any:
    shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return torch.onnx.export(
        function,
        arrays,
        dynamo=True,
        input_names=list(function.names),
        output_names=["logits"],
        dynamic_shapes=((shape,) * len(arrays),),
        verbose=False,
    )


def write_int8(path: Path, source: Path) -> None:
    """Write `source` with 8-bit weights: products of activations that are quantised as they come.

    Weights are unsigned, by column: signed ones lose accuracy on CPUs without VNNI, where the sum
    of two products saturates (ONNX Runtime, "Quantize ONNX models", on U8S8 and `reduce_range`).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet_exporter():
        quantize_dynamic(source, path, weight_type=QuantType.QUInt8, per_channel=True)


class _LogitsOnly(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The model as a function from arrays, by position, to its logits."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...], float_mask: bool) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.float_mask = float_mask

    def forward(self, *arrays: torch.Tensor) -> Any:
        inputs: dict[str, Any] = dict(zip(self.names, arrays, strict=True))
        if self.float_mask and "attention_mask" in inputs:
            inputs["attention_mask"] = inputs["attention_mask"].to(self.model.dtype)
        if "use_cache" in inspect.signature(self.model.forward).parameters:
            inputs["use_cache"] = False  # keys and values that nobody asks for again
        logits = self.model(**inputs)["logits"]
        return logits.reshape(logits.shape[0], -1)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporters' remarks on their own insides off the screen."""
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_line(error: Exception) -> str:
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
