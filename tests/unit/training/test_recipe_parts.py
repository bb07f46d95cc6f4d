"""Parts of recipes: rates by layer, restarted and frozen layers, averages, steps, the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support.killed_runs import train_and_die
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At, Bench, outcome, resumed, send_signal
from transformers import AutoModelForSequenceClassification

import gluetune
from gluetune.core.errors import ConfigurationError
from gluetune.core.runs import Run
from gluetune.kinds import MULTI_LABEL, ORDINAL, SINGLE_LABEL
from gluetune.models.layers import depths, freeze_layers, restart_layers, scale_rates

_ARCHITECTURES = ["bert", "roberta", "distilbert", "electra", "modernbert", "deberta-v2", "xlnet"]
_DECODERS = ["gpt2", "llama", "qwen3"]


def _load(folder: Path, architecture: str) -> Any:
    write_tiny_checkpoint(folder / architecture, architecture)
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_pretrained(folder / architecture, num_labels=2)


@pytest.mark.parametrize("architecture", [*_ARCHITECTURES, *_DECODERS])
def test_weights_have_a_depth_in_every_architecture(tmp_path: Path, architecture: str) -> None:
    model = _load(tmp_path, architecture)
    found, count = depths(model)
    assert count == 2
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert {depth for name, depth in found.items() if ".0." in name} == {1}
    assert {depth for name, depth in found.items() if ".1." in name} == {2}
    assert found[next(name for name in found if "embed" in name or "wte" in name)] == 0
    head = [depth for name, depth in found.items() if name.startswith(("classifier", "score"))]
    assert set(head) <= {3}


def test_layers_that_share_their_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no stacks of layers"):
        depths(_load(tmp_path, "albert"))


def test_rates_fall_from_the_head_down(tmp_path: Path) -> None:
    model = _load(tmp_path, "bert")
    optimizer = torch.optim.AdamW(
        [
            {"params": [model.classifier.weight, *model.bert.parameters()], "weight_decay": 0.1},
            {"params": [model.classifier.bias], "weight_decay": 0.0},
        ],
        lr=1.0,
    )
    scale_rates(optimizer, model, 0.5)
    rates = {
        id(weights): group["lr"] for group in optimizer.param_groups for weights in group["params"]
    }
    expected = {0: 0.125, 1: 0.25, 2: 0.5, 3: 1.0}
    found, _ = depths(model)
    for name, weights in model.named_parameters():
        assert rates[id(weights)] == expected[found[name]], name
    assert optimizer.param_groups[0]["lr"] == 1.0
    before = [dict(group) for group in optimizer.param_groups]
    scale_rates(optimizer, model, 0.5)  # an optimiser is asked for more than once
    assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in before]


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_top_layers_are_initialised_anew_and_nothing_else(
    tmp_path: Path, architecture: str
) -> None:
    model = _load(tmp_path, architecture)
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    torch.manual_seed(1)
    names = restart_layers(model, 1)
    changed = {name for name, now in model.named_parameters() if not torch.equal(now, before[name])}
    assert changed <= set(names)
    found, _ = depths(model)
    assert {found[name] for name in changed} <= {2, 3}
    assert any(found[name] == 2 for name in changed)
    assert all("pooler" in name for name in changed if found[name] == 3)
    matrices = [name for name in names if before[name].dim() > 1]
    assert set(matrices) <= changed


def test_frozen_layers_keep_their_bits(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.train("rte", freeze_layers=1, epochs=1)
    saved = load_file(run.path / "model" / "model.safetensors")
    first = load_file(bench.model / "model.safetensors")
    found, _ = depths(AutoModelForSequenceClassification.from_pretrained(bench.model))
    for name, weights in saved.items():
        if name.removeprefix("bert.") in first:
            same = torch.equal(weights, first[name.removeprefix("bert.")])
            assert same == (found[name] <= 1), name
    assert run.record.method is not None
    assert run.record.model is not None
    assert run.record.method.trained_parameters < run.record.model.parameters


def test_a_model_is_frozen_where_layers_below_are_trained_no_more(tmp_path: Path) -> None:
    model = _load(tmp_path, "gpt2")
    freeze_layers(model, 1)
    found, _ = depths(model)
    for name, weights in model.named_parameters():
        assert weights.requires_grad == (found[name] > 1)


_PARTS = {
    "rates": {"layer_decay": 0.8},
    "restarted": {"restart_layers": 1},
    "frozen": {"freeze_layers": 1},
    "averaged": {"average_epochs": 2},
    "focal": {"focal_loss": 2.0},
    "all": {"layer_decay": 0.8, "restart_layers": 1, "average_epochs": 3, "min_steps": 9},
}


@pytest.mark.parametrize("parts", _PARTS.values(), ids=_PARTS)
def test_an_interrupted_run_is_bit_identical(bench: Bench, parts: dict[str, Any]) -> None:
    whole = bench.train(**parts)
    assert outcome(whole)["agrees"]
    assert outcome(whole)["final"] != outcome(bench.train())["final"] or "average_epochs" in parts
    for step in (4, 7):
        output = bench.new_output()
        stop = At("on_step_begin", step, send_signal())
        with pytest.raises(KeyboardInterrupt):
            bench.train(**parts, output=output, callbacks=[stop])
        assert outcome(resumed(output)) == outcome(whole)


def test_a_run_that_is_killed_while_it_averages_is_bit_identical(bench: Bench) -> None:
    whole = bench.train(average_epochs=2)
    output = bench.new_output()
    settings = bench.settings(average_epochs=2, output=output)
    assert train_and_die("evaluation", 3, settings) == -9
    assert Run(output).status != "finished"
    assert outcome(resumed(output)) == outcome(whole)


def test_the_best_model_is_the_mean_of_the_last_epochs(bench: Bench) -> None:
    states: list[dict[str, torch.Tensor]] = []

    def keep(**kwargs: Any) -> None:
        states.append({name: it.clone() for name, it in kwargs["model"].state_dict().items()})

    run = bench.train(
        average_epochs=2,
        compact_vocabulary=False,
        select=None,
        metric="loss",
        callbacks=[At("on_epoch_end", None, keep)],
    )
    assert run.record.best is not None
    count = round(run.record.best.epoch) - 1
    saved = load_file(run.path / "model" / "model.safetensors")
    assert count >= 1, "one of the last two epochs is the best"
    for name, weights in saved.items():
        mean = torch.stack([state[name].double() for state in states[1 : count + 1]]).mean(dim=0)
        assert torch.allclose(weights.double(), mean, atol=1e-6), name
    plain = bench.train(compact_vocabulary=False, metric="loss")
    assert plain.record.final_weights_sha256 == run.record.final_weights_sha256


def test_few_rows_get_more_epochs(bench: Bench) -> None:
    run = bench.train(epochs=1, min_steps=7)  # 40 rows in batches of 16
    assert (run.config.epochs, run.record.total_steps) == (3.0, 9)
    assert bench.train(epochs=1, min_steps=2).record.total_steps == 3


def test_layers_that_a_model_lacks_are_refused_together(bench: Bench) -> None:
    with pytest.raises(ConfigurationError) as caught:
        bench.train(restart_layers=2, freeze_layers=5)
    assert [finding.hint for finding in caught.value.findings] == [
        "Type at most: --restart-layers 1",
        "Type at most: --freeze-layers 1",
    ]
    with pytest.raises(ConfigurationError, match="--restart-layers has no effect"):
        bench.train(restart_layers=1, method="lp-ft")


def _losses(kind: Any, labels: torch.Tensor, size: int, gamma: float) -> tuple[Any, Any]:
    torch.manual_seed(0)
    logits = torch.randn(len(labels), size, dtype=torch.float64)
    return logits, kind.loss(logits, labels, weights=None, smoothing=0.0, focal=gamma)


def test_the_focal_loss_is_that_of_its_paper() -> None:
    labels = torch.tensor([0, 2, 1, -100])
    logits, found = _losses(SINGLE_LABEL, labels, 3, 2.0)
    expected = 0.0
    for row, label in zip(logits[:3], labels[:3], strict=True):
        chance = row.exp()[label] / row.exp().sum()
        expected += float(-((1 - chance) ** 2) * chance.log())
    assert float(found) == pytest.approx(expected)
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    logits, found = _losses(MULTI_LABEL, targets, 2, 1.5)
    chances = torch.where(targets > 0, logits.sigmoid(), 1 - logits.sigmoid())
    assert float(found) == pytest.approx(float(-((1 - chances) ** 1.5 * chances.log()).sum()))
    _, plain = _losses(ORDINAL, labels[:3], 3, 0.0)
    _, focal = _losses(ORDINAL, labels[:3], 3, 2.0)
    assert 0 < float(focal) < float(plain)


def _own(folder: Path, **settings: Any) -> Run:
    model = folder / "bert"
    if not model.exists():
        write_tiny_checkpoint(model, "bert", dropout=0.0)
    file = write_csv(folder / "train.csv", reviews(40))
    return gluetune.train(
        **{"train_file": file, "model": str(model), "epochs": 2, "learning_rate": 1e-3, **settings},
        threads=1,
        precision="fp32",
        progress=False,
    )


def test_class_weights_of_ones_own(tmp_path: Path) -> None:
    plain = _own(tmp_path, output=tmp_path / "plain")
    ones = _own(tmp_path, class_weights="neg=1,pos=1", output=tmp_path / "ones")
    for epoch, other in zip(plain.record.epochs, ones.record.epochs, strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-4)
    heavy = _own(tmp_path, class_weights={"pos": 50}, output=tmp_path / "heavy")
    assert heavy.config.class_weights == "pos=50"
    assert set(heavy.predictions("validation").column("prediction").to_pylist()) == {1}
    with pytest.raises(ConfigurationError, match="has no label sad") as caught:
        _own(tmp_path, class_weights="sad=2", output=tmp_path / "sad")
    assert "neg,pos" in str(caught.value)
    with pytest.raises(ConfigurationError, match="label=weight"):
        _own(tmp_path, class_weights="balancd", output=tmp_path / "wrong")


def test_a_fold_averages_epochs_that_are_not_evaluated(bench: Bench) -> None:
    """In a cross-validation only the last epoch is evaluated, so that no rows choose an epoch."""
    averaged = bench.train(folds=3, fold=1, average_epochs=2).record
    plain = bench.train(folds=3, fold=1).record
    assert len(averaged.epochs) == 1
    assert averaged.final_weights_sha256 == plain.final_weights_sha256
    assert averaged.best_weights_sha256 != plain.best_weights_sha256
