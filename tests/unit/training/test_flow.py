"""When a run evaluates, saves and stops."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from gluetune.parallel.signals import StopRequest
from gluetune.training.flow import Flow

_STEPS_PER_EPOCH = 10


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("gluetune.training.flow.time.monotonic", lambda: clock.now)
    return clock


def _flow(*, minutes: float = 10.0, early_stopping: int | None = None) -> Flow:
    return Flow(StopRequest(), checkpoint_minutes=minutes, early_stopping=early_stopping)


def _event(flow: Flow, name: str, step: int, *, best: int | None = None, **control: Any) -> Any:
    state = TrainerState(global_step=step, max_steps=35, best_global_step=best)
    decided = TrainerControl(**control)
    getattr(flow, name)(None, state, decided, train_dataloader=range(_STEPS_PER_EPOCH))
    return decided


def test_an_epoch_ends_with_an_evaluation_and_then_a_save() -> None:
    control = _event(_flow(), "on_epoch_end", 10)
    assert control.should_evaluate
    assert control.should_save
    assert not control.should_training_stop


def test_between_epochs_a_state_is_saved_now_and_then(clock: SimpleNamespace) -> None:
    flow = _flow(minutes=1)
    assert not _event(flow, "on_step_end", 3).should_save
    clock.now = 61
    assert _event(flow, "on_step_end", 4).should_save
    _event(flow, "on_save", 4)
    assert not _event(flow, "on_step_end", 5).should_save
    clock.now = 122
    assert _event(flow, "on_step_end", 6).should_save


@pytest.mark.parametrize("step", [10, 20, 30, 35])
def test_no_state_is_saved_right_before_an_epochs_evaluation(
    clock: SimpleNamespace, step: int
) -> None:
    """Taken up from there, the run would go on without that evaluation."""
    flow = _flow(minutes=1)
    clock.now = 1000
    control = _event(flow, "on_step_end", step, should_save=True, should_evaluate=True)
    assert not control.should_save
    assert not control.should_evaluate
    flow.stop.signal = signal.SIGINT
    assert not _event(flow, "on_step_end", step).should_training_stop


def test_what_other_callbacks_ask_for_between_epochs_is_left_alone(clock: SimpleNamespace) -> None:
    control = _event(_flow(), "on_step_end", 3, should_save=True, should_evaluate=True)
    assert control.should_save
    assert control.should_evaluate


def test_a_stop_request_saves_and_stops_without_an_evaluation() -> None:
    flow = _flow()
    flow.stop.signal = signal.SIGTERM
    control = _event(flow, "on_step_end", 13)
    assert control.should_save
    assert control.should_training_stop
    end = _event(flow, "on_epoch_end", 13)
    assert not end.should_save
    assert not end.should_evaluate


def test_a_stop_request_that_comes_during_a_save_stops_without_an_evaluation() -> None:
    flow = _flow()
    assert not _event(flow, "on_step_end", 13).should_training_stop
    flow.stop.signal = signal.SIGINT
    assert _event(flow, "on_save", 13).should_training_stop
    assert not _event(flow, "on_epoch_end", 13).should_evaluate


def test_an_epoch_that_another_callback_leaves_is_evaluated_and_saved() -> None:
    end = _event(_flow(), "on_epoch_end", 13)
    assert end.should_evaluate
    assert end.should_save


def test_a_stop_request_at_the_end_of_an_epoch_evaluates_first() -> None:
    flow = _flow()
    flow.stop.signal = signal.SIGINT
    assert _event(flow, "on_epoch_end", 20).should_evaluate
    assert _event(flow, "on_save", 20).should_training_stop


def test_early_stopping_counts_epochs_without_a_better_one() -> None:
    flow = _flow(early_stopping=2)
    assert not _event(flow, "on_save", 20, best=10).should_training_stop
    assert not _event(flow, "on_save", 29, best=10).should_training_stop
    assert _event(flow, "on_save", 30, best=10).should_training_stop
    assert not _event(flow, "on_save", 30, best=20).should_training_stop
    assert not _event(flow, "on_save", 30).should_training_stop
    assert not _event(_flow(), "on_save", 30, best=10).should_training_stop


class _Pair:
    """Two processes, of which the other one says `other` when they agree."""

    count, is_first = 2, True

    def __init__(self) -> None:
        self.other = [0, 0, -1]
        self.asked = 0

    def largest(self, values: list[int]) -> list[int]:
        self.asked += 1
        return [max(pair) for pair in zip(values, self.other, strict=True)]


def test_processes_stop_when_one_of_them_is_asked_to(clock: SimpleNamespace) -> None:
    said: list[str] = []
    pair: Any = _Pair()
    stop = StopRequest(said.append)
    flow = Flow(stop, checkpoint_minutes=10, early_stopping=None, processes=pair)
    stop.signal = signal.SIGINT  # this process alone has been sent it, and nobody knows
    before = flow.stopping
    control = _event(flow, "on_step_end", 3)
    assert (before, flow.stopping) == (False, True)
    assert control.should_save
    assert control.should_training_stop
    assert len(said) == 1

    other = Flow(StopRequest(), checkpoint_minutes=10, early_stopping=None, processes=pair)
    pair.other = [int(signal.SIGTERM), 0, -1]
    assert _event(other, "on_step_end", 3).should_training_stop
    assert other.stop.signal is signal.SIGTERM


def test_processes_ask_each_other_about_once_a_second(clock: SimpleNamespace) -> None:
    pair: Any = _Pair()
    pair.other = [0, 0, -5000]  # the other one is faster: the slower one counts
    flow = Flow(StopRequest(), checkpoint_minutes=10, early_stopping=None, processes=pair)
    for step in range(1, 35):
        clock.now = step / 10
        _event(flow, "on_step_end", step)
    assert 3 <= pair.asked <= 5


def test_processes_save_by_the_clock_of_the_first(clock: SimpleNamespace) -> None:
    pair: Any = _Pair()
    pair.is_first = False
    flow = Flow(StopRequest(), checkpoint_minutes=1, early_stopping=None, processes=pair)
    clock.now = 1000
    assert not _event(flow, "on_step_end", 3).should_save
    pair.other = [0, 1, -1]
    assert _event(flow, "on_step_end", 4).should_save
