"""The table of methods: paired differences, and no run twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import methods
from benchmarks.methods import FewRows, Result, main, report, report_rows
from scipy.stats import ttest_1samp
from tests.support.tiny_runs import Bench


def _results() -> list[Result]:
    peers = [
        Result("rte", methods.TRAINER, seed, 0.50 + seed / 100, 100, False) for seed in (1, 2, 3)
    ]
    gains = (0.05, 0.07, 0.06)
    own = [
        Result("rte", "auto", seed, 0.50 + seed / 100 + gain, 80, seed == 3)
        for seed, gain in zip((1, 2, 3), gains, strict=True)
    ]
    return [*peers, *own]


def test_differences_are_paired_by_seed() -> None:
    row = next(line for line in report(_results()).splitlines() if "| auto |" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:] == ["3", "58.0", "1.7", "1", "80", "+6.0", "+3.5 to +8.5"]
    low, high = ttest_1samp([5, 7, 6], 0).confidence_interval()
    assert cells[-1] == f"{low:+.1f} to {high:+.1f}"


def test_few_rows_are_a_table_by_method() -> None:
    found = [FewRows(50, "probe", seed, 0.7 + seed / 100, 1.0) for seed in (0, 2)]
    assert "| 50 | 71.0 ± 1.4 (2) |" in report_rows(found)


def test_what_is_there_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    bench.settings("rte")
    peer = tmp_path / "runs" / "peer" / "rte-1.json"
    peer.parent.mkdir(parents=True)
    peer.write_text(
        json.dumps(
            {
                "metrics_by_epoch": [{"accuracy": 0.5}, {"accuracy": 0.25}],
                "seconds": {"training_with_evaluations": 10.0},
            }
        )
    )
    words = ["--data", str(bench.data), "--runs", str(tmp_path / "runs")]
    words += ["--model", str(bench.model), "--tasks", "rte", "--seeds", "1", "--threads", "1"]
    words += ["--arms", "notebook", "probe"]
    main(words)
    first = capsys.readouterr().out
    assert first.count("| rte, accuracy |") == 3

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("gluetune.train", refuse)
    main([*words, "--write", str(tmp_path / "table.md")])
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out
    main([*words, "--no-training", "--seeds", "1", "2"])
    rows = [row.split(" | ") for row in capsys.readouterr().out.splitlines() if "| rte," in row]
    assert [seeds for _, _, seeds, *_ in rows] == ["1"] * 3, "no run of seed 2 is there"
