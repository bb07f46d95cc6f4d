"""Ctrl-C and SIGTERM are requests; a second one stops immediately."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gluetune.parallel.signals import StopRequest, stop_on_signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> Iterator[None]:
    before = [signal.getsignal(number) for number in _SIGNALS]
    yield
    assert [signal.getsignal(number) for number in _SIGNALS] == before


@pytest.mark.parametrize(
    ("number", "ends_with"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_the_first_signal_is_a_request_and_is_announced(
    number: signal.Signals, ends_with: type[BaseException]
) -> None:
    printed: list[str] = []
    with stop_on_signal(printed.append) as request:
        os.kill(os.getpid(), number)
        assert request.made
        assert request.signal is number
    assert len(printed) == 1
    assert "Once more" in printed[0]
    end = request.end()
    assert type(end) is ends_with
    if isinstance(end, SystemExit):
        assert end.code == 143


@pytest.mark.parametrize(
    ("second", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_the_second_signal_stops_immediately(
    second: signal.Signals, raised: type[BaseException]
) -> None:
    printed: list[str] = []
    with pytest.raises(raised), stop_on_signal(printed.append):  # noqa: PT012  # the second signal raises
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), second)
    assert len(printed) == 1


def test_outside_the_main_thread_no_signal_is_handled() -> None:
    found: list[StopRequest] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with stop_on_signal(print) as request:
            found.append(request)
            assert signal.getsignal(signal.SIGINT) is before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [request.made for request in found] == [False]


def test_a_data_loader_ignores_the_ctrl_c_of_the_terminal() -> None:
    with stop_on_signal(lambda text: os._exit(7)):
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            os._exit(0)
        _, status = os.waitpid(worker, 0)
    assert os.waitstatus_to_exitcode(status) == 0
