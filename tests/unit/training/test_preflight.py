"""All that can be found wrong is found before compute is spent, and told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.own_files import write_csv
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError, GluetuneError
from gluetune.inference import devices
from gluetune.training.preflight import prepare


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def _findings(action: Callable[[], object]) -> list[str]:
    with pytest.raises(GluetuneError) as caught:
        action()
    assert caught.value.exit_code in (2, 3)
    return [str(finding) for finding in caught.value.findings]


def _prepare(bench: Bench, **changed: Any) -> Any:
    return prepare(make_config(bench.settings(**changed)))


def _without_validation(bench: Bench, folder: Path) -> Path:
    bench.settings()
    (folder / "cola").mkdir(parents=True)
    name = "train-00000-of-00001.parquet"
    (folder / "cola" / name).write_bytes((bench.data / "cola" / name).read_bytes())
    return folder


def test_a_missing_split_a_bad_metric_a_bad_set_and_a_length_are_told_at_once(
    bench: Bench, tmp_path: Path
) -> None:
    findings = _findings(
        lambda: _prepare(
            bench,
            data=str(_without_validation(bench, tmp_path)),
            metric="f1",
            max_length=1000,
            precision="fp16",
            training_args={"lr_schedular_type": "cosine", "seed": 3, "max_grad_norm": "big"},
        )
    )
    expected = (
        "lr_schedular_type",
        "--set seed",
        "max_grad_norm=big",
        *(() if torch.accelerator.is_available() else ("--precision fp16",)),
        "--metric f1",
        "'validation'",
        "--max-length 1000",
    )
    assert len(findings) == len(expected)
    for finding, part in zip(findings, expected, strict=True):
        assert part in finding


def test_an_unknown_checkpoint_and_a_value_that_transformers_refuses_are_among_them(
    bench: Bench, tmp_path: Path
) -> None:
    findings = _findings(
        lambda: _prepare(
            bench,
            data=str(_without_validation(bench, tmp_path)),
            model="./nowhere",
            metric="f1",
            training_args={"lr_scheduler_type": "cosin"},
        )
    )
    for part in ("--metric f1", "'validation'", "./nowhere", "cosin"):
        assert sum(part in finding for finding in findings) == 1, part
    assert len(findings) == 4


def test_nothing_is_written_before_all_is_checked(bench: Bench) -> None:
    output = bench.new_output()
    with pytest.raises(ConfigurationError):
        bench.train(output=output, metric="f1")
    assert not output.exists()


def test_every_auto_is_resolved(bench: Bench) -> None:
    prepared = _prepare(bench, precision="auto", threads=None)
    config = prepared.config
    assert config.precision == prepared.precision
    assert config.precision == devices.resolve_precision("auto", devices.device())
    assert config.threads == torch.get_num_threads()
    assert config.max_length == 128
    assert config.micro_batch_size == config.batch_size == 16
    assert Path(config.data).is_absolute()
    assert Path(config.model).is_absolute()
    again = prepare(config)
    assert again.config == config
    assert again.data == prepared.data


def test_relative_paths_are_made_absolute(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = bench.settings()
    monkeypatch.chdir(bench.folder)
    config = prepare(make_config({**settings, "model": "bert", "data": "glue"})).config
    assert (config.model, config.data) == (settings["model"], settings["data"])


def test_the_data_record_counts_rows_and_what_was_cut(bench: Bench) -> None:
    data = _prepare(bench, max_length=5, fraction=0.5).data
    assert data.rows == {"train": 20, "validation": 12}
    assert data.truncated["train"] > 0
    assert set(data.fingerprints) == {"train", "validation"}


def test_the_user_may_name_a_metric_that_only_python_brings(bench: Bench) -> None:
    config = make_config(bench.settings(metric="mine"))
    assert prepare(config, own_metrics=True).config.metric == "mine"
    with pytest.raises(ConfigurationError, match="no such metric"):
        prepare(config)


def test_dropping_the_only_batch_is_refused(bench: Bench) -> None:
    drop = {"dataloader_drop_last": True}
    (finding,) = _findings(lambda: _prepare(bench, batch_size=64, training_args=drop))
    assert "--batch-size 40" in finding
    assert _prepare(bench, batch_size=40, training_args=drop)


def test_threads_are_applied_in_the_run_and_put_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    set_threads = torch.set_num_threads

    def noted(count: int) -> None:
        seen.append(count)
        set_threads(count)

    monkeypatch.setattr(torch, "set_num_threads", noted)
    run = bench.train(threads=before + 1, epochs=0.1)
    assert seen == [before + 1, before]
    assert torch.get_num_threads() == before
    assert run.record.environment is not None
    assert run.record.environment.threads == before + 1
    with pytest.raises(ConfigurationError):
        bench.train(threads=before + 1, metric="f1")
    assert torch.get_num_threads() == before


def test_mistakes_of_type_and_of_set_are_told_together() -> None:
    findings = _findings(
        lambda: gluetune.train(
            "colla",
            epochs=-1,
            learning_rate="x",  # type: ignore[arg-type]  # what is tested
            training_args={"seed": 1},
        )
    )
    for part in ("colla", "epochs", "learning_rate", "--set seed"):
        assert any(part in finding for finding in findings), part
    assert len(findings) == 4


def test_what_is_held_out_stands_in_for_a_validation_set_that_is_not_read(
    bench: Bench, tmp_path: Path
) -> None:
    prepared = _prepare(bench, data=str(_without_validation(bench, tmp_path)), holdout=0.25)
    assert prepared.data.rows == {"train": 30, "holdout": 10}
    train, held = (
        set(prepared.train_table.column("idx").to_pylist()),
        set(prepared.validation["holdout"].index.tolist()),
    )
    assert not train & held
    half = _prepare(bench, holdout=0.25, fraction=0.5)
    # A half of each class's 15 rows, rounded.
    assert half.data.rows == {"train": 16, "holdout": 10}
    assert half.data.fingerprints["holdout"] == prepared.data.fingerprints["holdout"]
    assert set(half.train_table.column("idx").to_pylist()) < train


def test_rows_are_drawn_by_the_seed_or_by_one_of_their_own(bench: Bench) -> None:
    def drawn(**changed: Any) -> Any:
        return _prepare(bench, holdout=0.25, fraction=0.5, **changed).data.fingerprints

    assert drawn(seed=1) != drawn(seed=2)
    assert drawn(seed=1, sampling_seed=1) == drawn(seed=2, sampling_seed=1) == drawn(seed=1)


def test_the_data_record_notes_texts_that_the_tokenizer_does_not_know(bench: Bench) -> None:
    rows = [{"text": f"你好 世界 {n}", "label": "ab"[n % 2]} for n in range(40)]
    path = write_csv(bench.folder / "zh.csv", rows)
    settings = {**bench.settings(), "train_file": str(path)}
    del settings["task"], settings["data"]
    notes = prepare(make_config(settings)).data.notes
    found = [note for note in notes if "are unknown to" in note]
    assert [note.split()[5] for note in found] == ["train", "validation"]
    assert "unknown to" not in " ".join(_prepare(bench).data.notes)
