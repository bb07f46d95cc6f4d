from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from benchmarks.speed import contest as contest_module
from benchmarks.speed.contest import Case, Contest
from benchmarks.speed.contestants import choose
from benchmarks.speed.options import parse
from benchmarks.speed.report import other_batches, report
from benchmarks.speed.turns import Measurement, Phase, Turn, WorkerError, run_worker

PHASE = Phase(seconds=1.0, examples=4, real_tokens=10, all_tokens=20, peak_bytes=2**20)


def measurement(turn: Turn, batches: str = "same") -> Measurement:
    return Measurement(
        case=turn.case,
        round=turn.round,
        contestant=turn.contestant,
        precision=turn.precision,
        parameters=100,
        steps=turn.steps,
        training=PHASE,
        outside_seconds=0.0,
        losses=[1.0],
        batches=batches,
        evaluations={"": PHASE},
        logits={"": [[0.5]]},
    )


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contest:
    machine: dict[str, Any] = {
        "gemm": {"fp32": 1e9},
        "native_bf16": False,
        "shape": [1, 2, 3],
        "hardware": {"device": "cpu", "cpu": "a processor", "cores": 2, "threads": 2},
        "versions": {"torch": "2"},
    }
    monkeypatch.setattr(contest_module, "run_worker", lambda *args, **kwargs: machine)
    able, skipped = choose(["notebook", "gluetune"], native_bf16=False)
    options = parse(["--rounds", "2", "--compute", "padded"])
    rows = {"train": 1600, "validation": 160}
    cases = [Case(task, task, "model", "data", rows) for task in ("cola", "rte")]
    return Contest(options, tmp_path, machine, able, skipped, "`sample`", cases)


def test_a_measurement_survives_json() -> None:
    found = measurement(Turn(**TURN))
    assert Measurement.of(json.loads(json.dumps(asdict(found)))) == found


TURN: dict[str, Any] = {
    "case": "cola",
    "round": 0,
    "contestant": "notebook",
    "trainer": "transformers",
    "precision": "fp32",
    "padding": "longest",
    "task": "cola",
    "checkpoint": "model",
    "prepared": "data",
    "steps": 2,
    "warmup": 1,
    "batch_size": 16,
    "eval_batch_size": 32,
    "eval_examples": 4,
    "switches": {},
}


def worker(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in Python's place; its fifth argument is the file for the result."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(path))


def test_output_of_a_worker_is_not_part_of_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = "printf '{\\377'; echo warning >&2"
    answer = """printf '{"threads": %s}' "$OMP_NUM_THREADS" > "$5" """
    worker(tmp_path / "noisy", f"{noise}; {answer}", monkeypatch)
    assert run_worker("measure", {"a": 1}, folder=tmp_path, threads=7) == {"threads": 7}


@pytest.mark.parametrize("script", ["echo the reason >&2; exit 3", "echo the reason; exit 0"])
def test_a_worker_that_fails_or_returns_nothing_is_an_error_with_its_output(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker(tmp_path / "failing", script, monkeypatch)
    with pytest.raises(WorkerError, match="the reason"):
        run_worker("measure", {}, folder=tmp_path, threads=None)


def test_cases_are_interleaved_and_alternate(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Turn] = []

    def measure(turn: Turn, **_: Any) -> Measurement:
        taken.append(turn)
        return measurement(turn)

    monkeypatch.setattr(contest_module, "measure", measure)
    contest.take_turns()

    assert [(turn.round, turn.case, turn.contestant) for turn in taken] == [
        (0, "cola", "notebook"),
        (0, "cola", "gluetune"),
        (0, "rte", "notebook"),
        (0, "rte", "gluetune"),
        (1, "cola", "gluetune"),
        (1, "cola", "notebook"),
        (1, "rte", "gluetune"),
        (1, "rte", "notebook"),
    ]
    switched = {turn.contestant: turn.switches for turn in taken}
    assert switched == {"notebook": {}, "gluetune": {"compute": "padded"}}
    assert len(contest.turns) == 8
    assert contest.gemm == {"fp32": [1e9, 1e9]}


def test_a_failing_contestant_is_named_and_the_others_continue(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measure(turn: Turn, **_: Any) -> Measurement:
        asked.append((turn.case, turn.contestant))
        if (turn.case, turn.contestant) == ("rte", "gluetune"):
            raise WorkerError("The worker ended with 1:\nValueError: too long.\n")
        return measurement(turn)

    monkeypatch.setattr(contest_module, "measure", measure)
    contest.take_turns()

    assert asked.count(("rte", "gluetune")) == 1
    assert asked.count(("rte", "notebook")) == 2
    assert contest.failed == {("rte", "gluetune")}
    assert "rte: gluetune failed: ValueError: too long." in report(contest)


def test_the_report_of_a_stopped_benchmark_has_the_finished_cases(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(turn: Turn, **_: Any) -> Measurement:
        if len(contest.turns) == 3:
            raise KeyboardInterrupt
        return measurement(turn)

    monkeypatch.setattr(contest_module, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        contest.take_turns()

    text = report(contest)
    assert "| cola | 1.00 (1.00 to 1.00) |" in text
    assert "| rte | 1.00" not in text
    assert "## rte" in text


def test_contestants_with_different_examples_are_detected(contest: Contest) -> None:
    contest.gemm = {"fp32": [1e9]}
    contest.turns = [measurement(Turn(**TURN)), measurement(Turn(**TURN), batches="others")]
    (line,) = other_batches(contest)
    assert line == "cola: the contestants were not given the same examples."
    assert line in report(contest)
    contest.turns = contest.turns[:1]
    assert other_batches(contest) == []
