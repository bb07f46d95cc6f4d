"""Collective operations, with a single process and with errors of several."""

from __future__ import annotations

import pytest

from gluetune.core.errors import (
    ConfigurationError,
    DataError,
    Finding,
    ProcessLostError,
    TrainingError,
)
from gluetune.parallel.collectives import ALONE, _merged_of, current_processes


def test_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert current_processes() is ALONE
    assert ALONE.is_first
    assert ALONE.gather("x") == ["x"]
    assert ALONE.largest([3, 1]) == [3, 1]
    assert ALONE.broadcast_from_main(lambda: 5) == ALONE.gather_errors(lambda: 5) == 5
    error = DataError("broken")

    def fail() -> None:
        raise error

    for share in (ALONE.gather_errors, ALONE.broadcast_from_main):
        with pytest.raises(DataError) as caught, ALONE.propagate_failures():
            share(fail)
        assert caught.value is error
        assert error.reported_elsewhere is None


def test_common_findings_are_merged_and_others_name_their_process() -> None:
    both, mine = Finding("No such task.", "Type: cola"), Finding("No such file.")
    first = ("one", ConfigurationError.of([both]))
    second = ("two", ConfigurationError.of([both, mine]))
    found = _merged_of([first, second])
    assert found.findings == (both, Finding("No such file. [process 1 on two]"))
    only = _merged_of([None, ("two", DataError("No rows."))])
    assert type(only) is DataError
    assert str(only) == "No rows. [process 1 on two]"
    assert type(_merged_of([("a", TrainingError("x")), ("b", TrainingError("x"))])) is TrainingError


@pytest.mark.parametrize(
    "message",
    [
        "[../gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1",
        "NCCL error: remote process exited or there was a network error",
        "Broken pipe",
    ],
)
def test_a_broken_connection_is_a_lost_process(message: str) -> None:
    found = ALONE.process_failure(RuntimeError(message))
    assert isinstance(found, ProcessLostError)
    other = RuntimeError("shapes do not match")
    assert ALONE.process_failure(other) is other
