"""What a suite tells while it runs."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from tests.support.suites import record_of, request, write_run

from gluetune.core.runs import Run
from gluetune.core.suite_records import JobState
from gluetune.core.terminal import Console
from gluetune.experiments.suite.jobs import Said, Step
from gluetune.experiments.suite.progress import LinesProgress, LiveProgress


def test_lines_say_what_started_and_how_it_ended(tmp_path: Path) -> None:
    jobs = record_of(request(tasks=("cola",))).jobs
    out = StringIO()
    lines = LinesProgress(Console(file=out, width=200), jobs)
    write_run(tmp_path / "run", "cola", 42, 0.5)
    lines.started(jobs[0])
    lines.told(jobs[0].name, Step(1, 2, 3.0))
    jobs[0].state = JobState.FINISHED
    lines.finished(jobs[0], Run(tmp_path / "run"))
    jobs[1].state, jobs[1].error = JobState.FAILED, "It broke\x1b[2J."
    lines.failed(jobs[1])
    assert out.getvalue().splitlines() == [
        "start   cola-s42",
        "done    cola-s42  50.0 in 0 s; 1 of 2 finished",
        "failed  cola-s43: It broke\u241b[2J.",
    ]


def test_the_live_table_has_the_running_jobs_and_what_is_left() -> None:
    jobs = record_of(request(tasks=("cola", "rte"))).jobs
    console = Console(file=StringIO(), width=120)
    live = LiveProgress(console, jobs)
    jobs[0].state = JobState.FINISHED
    jobs[1].state = JobState.RUNNING
    live.started(jobs[1])
    live.told(jobs[1].name, Step(30, 120, 88.0))
    live.told(jobs[1].name, Said("epoch 1: accuracy 0.6"))
    with console.capture() as shown:
        console.print(live.live.get_renderable())
    text = shown.get()
    for words in ("cola-s43", "30/120", "88", "epoch 1: accuracy 0.6", "1 of 4 finished; 3 left"):
        assert words in text, words
    assert "rte-s42" not in text
