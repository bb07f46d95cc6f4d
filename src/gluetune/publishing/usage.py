"""How a published model is loaded, as code that can be copied from its card."""

from __future__ import annotations

from gluetune.records import Record, listed
from gluetune.statistics.calibration import sigmoid
from gluetune.tasks import TaskSpec

_TEXTS = ("A text.", "Another text.")


def usage(
    repo: str, revision: str | None, task: TaskSpec, *, trusts_code: bool = False
) -> dict[str, str]:
    """Return pieces of Python by what they use: `pipeline`, `model`, `gluetune`."""
    options = [f"revision={revision!r}"] if revision else []
    options += ["trust_remote_code=True"] if trusts_code else []
    given = "".join(f", {option}" for option in options)
    texts = _TEXTS[: len(task.text_columns)]
    arguments = ", ".join(f'"{text}"' for text in texts)
    named = arguments if len(texts) == 1 else f'{{"text": "{texts[0]}", "text_pair": "{texts[1]}"}}'
    return {
        "pipeline": "from transformers import pipeline\n\n"
        f'classify = pipeline("text-classification", "{repo}"{given})\n'
        + (_several(named, task) if task.multi_label else f"classify({named})"),
        "model": "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
        f'tokenizer = AutoTokenizer.from_pretrained("{repo}"{given})\n'
        f'model = AutoModelForSequenceClassification.from_pretrained("{repo}"{given})\n'
        f'logits = model(**tokenizer({arguments}, return_tensors="pt")).logits'
        + "\nprobabilities = logits.sigmoid()"
        * task.multi_label,
        "gluetune": "import gluetune\n\n"
        f'predictor = gluetune.load("{repo}"{given})\n'
        f"predictor({arguments})" + ".labels" * task.multi_label,
    }


def _several(named: str, task: TaskSpec) -> str:
    """Return how a pipeline's scores become the labels that are predicted."""
    if not task.thresholds:
        scores = f"classify({named}, top_k=None)"
        return f'[one["label"] for one in {scores} if one["score"] > 0.5]'
    return (
        "thresholds = classify.model.config.thresholds  # of logits\n"
        f'logits = classify({named}, top_k=None, function_to_apply="none")\n'
        '[one["label"] for one in logits if one["score"] > thresholds[one["label"]]]'
    )


def answers(task: TaskSpec, record: Record) -> str:
    """Return what the model answers with, and what it reads."""
    columns = " and ".join(task.text_columns)
    reads = f"It reads {columns}" + (", in this order" if len(task.text_columns) > 1 else "")
    length = record.model.max_length if record.model else None
    cut = f", cut to {length:,} tokens in training" if length else ""
    if task.is_regression:
        low, high = task.label_range or (None, None)
        scale = f" from {low:g} to {high:g}" if low is not None and high is not None else ""
        return f"{reads}{cut}, and answers with a number{scale}."
    which = "any of, or none of" if task.multi_label else "one of"
    return f"{reads}{cut}, and answers with {which}: {listed(task.labels)}."


def threshold_rows(task: TaskSpec) -> list[tuple[str, str, str]]:
    """Return each label with the probability and the logit above which it is predicted."""
    if not task.multi_label:
        return []
    import numpy as np

    logits = np.array(task.thresholds or (0.0,) * task.num_labels)
    return [
        (name, f"{probability:.4f}", f"{logit:.4f}")
        for name, probability, logit in zip(task.labels, sigmoid(logits), logits, strict=True)
    ]
