"""What a terminal and a log show of runs, searches and suites."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from tests.support.trials import TRIALS, trial

from gluetune.core import events
from gluetune.core.display import (
    LiveDisplay,
    PlainDisplay,
    describe_parameters,
    open_display,
    print_event,
    print_result_event,
    trials_table,
)
from gluetune.core.events import Event, JobEvent
from gluetune.core.terminal import Console, Table


def _plain(*given: Event) -> list[str]:
    out = StringIO()
    display = PlainDisplay(Console(file=out, width=200))
    for event in given:
        display.on_event(event)
    return out.getvalue().splitlines()


@pytest.fixture
def live() -> Iterator[LiveDisplay]:
    display = LiveDisplay(Console(file=StringIO(), width=120, force_terminal=True))
    yield display
    display.close()


def _drawn(live: LiveDisplay) -> str:
    console = Console(file=StringIO(), width=120)
    with console.capture() as shown:
        console.print(live.render())
    return shown.get()


def _cells(live: LiveDisplay) -> list[list[str]]:
    table = live.render()
    assert isinstance(table, Table)
    columns = [[str(cell) for cell in column._cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("display", [PlainDisplay, LiveDisplay])
def test_no_text_of_the_users_rows_drives_the_terminal(
    display: type[PlainDisplay | LiveDisplay],
) -> None:
    out = StringIO()
    display(Console(file=out)).on_event(events.Message("line 3: pos\x1b[2J\nline 4: [neg]"))
    assert out.getvalue() == "line 3: pos\u241b[2J\nline 4: [neg]\n"


def test_a_run_has_a_line_for_each_evaluation() -> None:
    metrics = {"accuracy": 0.5, "F1": None}
    evaluation = events.EvaluationCompleted(1.5, metrics, 0.25, is_collapsed=True, is_best=True)
    assert _plain(
        events.RunStarted(9),
        events.StepCompleted(1, 9, 80.0),
        evaluation,
        events.TrainingCompleted(),
        events.RunEnded("finished"),
    ) == ["epoch 1.5: accuracy 0.5000, F1 undefined, loss 0.2500, the same for every example, best"]


def test_steps_are_printed_a_few_times_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("gluetune.core.display.time.monotonic", lambda: clock)
    out = StringIO()
    display = PlainDisplay(Console(file=out))
    for step in range(1, 62):
        clock = float(step)
        display.on_event(events.StepCompleted(step, 90, 80.0))
    lines = out.getvalue().splitlines()
    assert lines[0] == "step 15/90, 80 examples/s"
    assert len(lines) == 4


def test_the_live_bar_follows_a_run_and_goes_with_it(live: LiveDisplay) -> None:
    live.on_event(events.Message("run  runs/a"))
    assert not live._live, "nothing to draw yet"
    live.on_event(events.RunStarted(120, 20))
    live.on_event(events.StepCompleted(30, 120, 88.4))
    assert live._live
    drawn = _drawn(live)
    for part in ("training", "30/120", "88 examples/s", "left"):
        assert part in drawn, part
    live.on_event(events.EvaluationCompleted(1.0, {"accuracy": 0.5}))
    live.on_event(events.TrainingCompleted())
    assert not live._live
    assert "epoch 1: accuracy 0.5000" in live.console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_the_live_bar_has_epoch_loss_and_times_in_80_columns(live: LiveDisplay) -> None:
    live.on_event(events.RunStarted(120000))
    live.on_event(events.StepCompleted(30000, 120000, 1288.4, epoch=1.25, loss=0.51234))
    console = Console(file=StringIO(), width=80)
    with console.capture() as shown:
        console.print(live.render())
    (drawn,) = shown.get().splitlines()
    for part in ("epoch 1.25", "loss 0.512", "30000/120000", "1288 examples/s", "0:00:00", "left"):
        assert part in drawn, part
    assert "…" not in drawn


def test_events_are_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_event(events.StepCompleted(3, 12, 8.0, loss=float("nan")))
    print_event(JobEvent("cola-s42", events.Message("a\nb")))
    print_result_event({"score": 0.5, "path": Path("runs/a")})
    step, message, result = map(json.loads, capsys.readouterr().out.splitlines())
    assert (step["event"], step["step"], step["loss"]) == ("StepCompleted", 3, None)
    assert (message["event"], message["job"], message["text"]) == ("Message", "cola-s42", "a\nb")
    assert result["result"] == {"score": 0.5, "path": "runs/a"}


def test_lines_of_a_search_say_each_thing_once() -> None:
    assert _plain(
        events.SearchStarted("cola", "maximize", 4),
        events.TrialStarted(trial(1, evaluations=0)),
        events.TrialStarted(trial(2)),
        JobEvent("trial 1", events.StepCompleted(3, 9, 80.0)),
        JobEvent("trial 1", events.EvaluationCompleted(1.0, {"accuracy": 0.5})),
        JobEvent("trial 1", events.TrialReported(1, 1.0, 0.1)),
        events.TrialEnded(TRIALS[1], is_best=True),
        events.TrialEnded(TRIALS[3], is_best=False),
        events.FinalRunStarted(42),
        JobEvent("seed 42", events.TrialReported(1, 1.0, 0.2)),
    ) == [
        "trial 1: learning_rate 2e-05, set.lr_scheduler_type linear",
        "trial 2 resumes: learning_rate 2e-05, set.lr_scheduler_type linear",
        "trial 1, epoch 1: 0.1000",
        "trial 1 finished: 0.1000, best so far",
        "trial 3 failed (ValueError: no [bold]such)",
        "best parameters on all of train, seed 42",
        "seed 42, epoch 1: 0.2000",
    ]


def test_the_live_table_follows_the_trials(live: LiveDisplay) -> None:
    live.on_event(events.SearchStarted("cola", "maximize", 4))
    started = trial(0, state="running", value=None, evaluation=None, evaluations=0)
    live.on_event(events.TrialStarted(started))
    live.on_event(JobEvent("trial 0", events.RunStarted(4)))
    live.on_event(JobEvent("trial 0", events.StepCompleted(1, 4, 80.0)))
    assert _cells(live)[0][:3] == ["0", "25%", ""]
    live.on_event(JobEvent("trial 0", events.TrialReported(1, 1.0, 0.3)))
    live.on_event(JobEvent("trial 0", events.TrialReported(2, 2.0, 0.2)))
    assert _cells(live)[0][2:4] == ["0.3000", "1"], "the best epoch, and not the last"
    for one in TRIALS:
        live.on_event(events.TrialEnded(one, is_best=False))
    live.on_event(events.FinalRunStarted(42))
    live.on_event(JobEvent("seed 42", events.TrialReported(1, 1.0, 0.7)))
    cells = _cells(live)
    assert [row[0] for row in cells] == ["0", "1", "2", "3", "seed 42"]
    assert cells[1][1] == "best"
    assert cells[4][2] == "0.7000"
    assert "cola: 4 of 4 trials, best so far 0.1000" in _drawn(live)


def test_time_left_is_estimated_from_what_this_process_saw(
    live: LiveDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr("gluetune.core.display.time.monotonic", lambda: clock)
    live.on_event(events.SearchStarted("cola", "maximize", 4, (TRIALS[0],)))
    assert "left" not in _drawn(live), "nothing has been seen yet"
    live.on_event(events.TrialStarted(trial(1, state="running")))
    clock = 60.0
    live.on_event(events.TrialEnded(TRIALS[1], is_best=True))
    assert "2 of 4 trials, best so far 0.1000, about 2:00 left" in _drawn(live)


def test_a_search_that_is_interrupted_leaves_its_trials_on_the_screen(live: LiveDisplay) -> None:
    live.on_event(events.SearchStarted("cola", "maximize", 4))
    live.on_event(events.TrialStarted(trial(0, state="running")))
    shown = live._live
    assert shown is not None
    live.on_event(events.ExperimentEnded(completed=False))
    assert live._live is None
    assert not shown.transient
    assert "cola: 0 of 4 trials" in live.console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO


def test_lines_of_a_suite_say_what_started_and_how_it_ended() -> None:
    assert _plain(
        events.SuiteStarted({"cola-s42": 1.0, "cola-s43": 1.0}),
        events.JobStarted("cola-s42"),
        JobEvent("cola-s42", events.StepCompleted(1, 2, 3.0)),
        JobEvent("cola-s42", events.Message("a note")),
        events.JobEnded("cola-s42", "finished", "1 of 2 finished", score=0.5, seconds=0.2),
        events.JobEnded("cola-s43", "failed", "", error="It broke\x1b[2J."),
    ) == [
        "start   cola-s42",
        "done    cola-s42  50.0 in 0 s; 1 of 2 finished",
        "failed  cola-s43: It broke\u241b[2J.",
    ]


def test_the_live_table_has_the_running_jobs_and_what_is_left(live: LiveDisplay) -> None:
    costs = {f"{task}-s{seed}": 1.0 for task in ("cola", "rte") for seed in (42, 43)}
    live.on_event(events.SuiteStarted(costs, frozenset({"cola-s42"})))
    live.on_event(events.JobStarted("cola-s43"))
    live.on_event(JobEvent("cola-s43", events.RunStarted(120)))
    live.on_event(JobEvent("cola-s43", events.StepCompleted(30, 120, 88.0)))
    live.on_event(JobEvent("cola-s43", events.EvaluationCompleted(1.0, {"accuracy": 0.6})))
    text = _drawn(live)
    for words in ("cola-s43", "30/120", "88", "epoch 1: accuracy 0.6", "1 of 4 finished; 3 left"):
        assert words in text, words
    assert "rte-s42" not in text
    live.on_event(events.JobEnded("cola-s43", "finished", "2 of 4 finished", 0.5, "", 3.0))
    live.on_event(JobEvent("cola-s43", events.StepCompleted(120, 120, 88.0)))
    assert "cola-s43" not in _drawn(live), "a late event starts nothing"
    assert "2 of 4 finished; 2 left" in _drawn(live)
    assert "best so far: cola 50.0" in _drawn(live)


def test_events_reach_the_display_and_whoever_listens(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Event] = []
    with open_display(progress=True, on_event=seen.append) as display:
        display.say("hello")
    with open_display(progress=False, on_event=seen.append) as silent:
        silent.say("again")
    assert seen == [events.Message("hello"), events.Message("again")]
    assert not display.is_live, "standard error is no terminal here"
    assert capsys.readouterr().err == "hello\n"


def test_steps_from_another_process_are_few_and_all_else_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 10.0
    monkeypatch.setattr("gluetune.core.events.time.monotonic", lambda: clock)
    seen: list[Event] = []
    throttle = events.Throttle(seen.append)
    for step in range(1, 11):
        clock += 0.2
        throttle(events.StepCompleted(step, 10, 1.0))
    throttle(events.Message("end"))
    steps = [event.step for event in seen if isinstance(event, events.StepCompleted)]
    assert steps == [1, 4, 7, 10]
    assert seen[-1] == events.Message("end")


def test_trials_of_the_default_space_fit_a_terminal() -> None:
    parameters = {
        "learning_rate": 2.71e-05,
        "batch_size": 16,
        "epochs": 3,
        "warmup": 0.06,
        "weight_decay": 0.01,
    }
    trials = [trial(number, parameters=parameters) for number in (0, 1)]
    out = StringIO()
    Console(file=out, width=80).print(trials_table(trials, trials[1]))
    head, cells = out.getvalue().split("─")[0], out.getvalue().split("─")[-1]
    assert "learning" in head
    assert "weight" in head
    assert all("2.71e-05" in line for line in cells.splitlines() if line.strip())


def test_parameters_are_one_line() -> None:
    assert describe_parameters({"a": 0.00012345, "b": None}) == "a 0.000123, b None"


@pytest.mark.skipif(sys.platform == "win32", reason="the console's own encoding")
def test_an_ascii_console_shows_a_bar_in_ascii() -> None:
    class Ascii(StringIO):
        encoding = "ascii"

    out = Ascii()
    live = LiveDisplay(Console(file=out, width=100, force_terminal=True))
    live.on_event(events.RunStarted(10, 3))
    live.close()
    assert out.getvalue().isascii()
