"""The pool returns outcomes as calls end, and survives dead workers and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support import calls

from gluetune.parallel.pool import Outcome, Pool, emit, open_pool, threads_each

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    """Two processes for all tests that do not end them."""
    with open_pool(2, threads=3, devices=("0", "1")) as pool:
        yield pool


def ended(pool: Pool, *given: tuple[Any, ...]) -> dict[Any, Outcome]:
    """Run calls, as many at a time as can be, and return what came of them by key."""
    waiting = list(given)
    found: dict[Any, Outcome] = {}
    while waiting or pool.running:
        while waiting and pool.free:
            pool.submit(*waiting.pop(0))
        outcome = pool.wait(60)
        assert outcome is not None, "a call hangs"
        found[outcome.key] = outcome
    return found


def test_outcomes_have_the_keys_of_their_calls(two: Pool) -> None:
    found = ended(two, *(((("job", n)), calls.double, n) for n in range(6)))
    assert {key: outcome.value for key, outcome in found.items()} == {
        ("job", n): 2 * n for n in range(6)
    }
    assert two.free == 2


def test_processes_stay_and_have_their_threads_and_devices(two: Pool) -> None:
    first = ended(two, *((n, calls.process) for n in range(4)))
    seen = {outcome.value for outcome in first.values()}
    assert len({pid for pid, _, _ in seen}) <= 2
    assert os.getpid() not in {pid for pid, _, _ in seen}
    assert {threads for _, threads, _ in seen} == {"3"}
    assert {device for _, _, device in seen} <= {"0", "1"}
    assert os.environ.get("CUDA_VISIBLE_DEVICES") not in {"0", "1"}


def test_a_dead_process_fails_its_own_call_and_is_replaced(two: Pool) -> None:
    found = ended(
        two,
        ("killed", calls.die, signal.SIGKILL),
        ("left", calls.leave),
        *((n, calls.double, n) for n in range(4)),
    )
    assert [found[n].value for n in range(4)] == [0, 2, 4, 6]
    killed, left = found["killed"].failure, found["left"].failure
    assert killed is not None
    assert killed.kind == "died"
    assert "SIGKILL" in killed.message
    assert "memory" in killed.message
    assert left is not None
    assert left.kind == "died"
    assert "exit code 7" in left.message


def test_an_idle_process_that_was_killed_is_replaced(two: Pool) -> None:
    found = ended(two, ("a", calls.process), ("b", calls.process))
    for pid in {outcome.value[0] for outcome in found.values()}:
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/stat").exists() and _state(pid) != "Z":
            time.sleep(0.01)
    again = ended(two, ("c", calls.double, 1), ("d", calls.double, 2))
    assert (again["c"].value, again["d"].value) == (2, 4)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture(params=["here", "processes"])
def either(request: pytest.FixtureRequest, two: Pool) -> Iterator[Pool]:
    if request.param == "processes":
        yield two
        return
    with open_pool(1) as pool:
        yield pool


def test_failures_keep_findings_and_traceback(either: Pool) -> None:
    found = ended(either, ("ours", calls.fail), ("strange", calls.fail_strangely))
    ours, strange = found["ours"].failure, found["strange"].failure
    assert ours is not None
    assert strange is not None
    assert ours.type == "ConfigurationError"
    assert [(each.message, each.hint) for each in ours.findings] == [
        ("First.", "Do this."),
        ("Second.", ""),
    ]
    assert ours.message == "First. Second."
    assert "ZeroDivisionError: by nothing" in strange.message
    assert "fail_strangely" in strange.traceback


def test_no_more_calls_than_workers(either: Pool) -> None:
    for number in range(either.free):
        either.submit(number, calls.double, number)
    with pytest.raises(RuntimeError, match="No worker is free"):
        either.submit("one more", calls.double, 1)
    while either.running:
        either.wait()
    assert either.wait() is None


def test_an_unpicklable_result_is_a_failure_of_its_call(two: Pool) -> None:
    found = ended(two, ("odd", calls.unpicklable), ("fine", calls.double, 4))
    odd = found["odd"].failure
    assert odd is not None
    assert odd.kind == "raised"
    assert "lambda" in odd.message
    assert found["fine"].value == 8


def test_a_function_that_the_worker_cannot_import_is_a_failure(
    two: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("only_here")
    exec("def nothing(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    found = ended(two, ("here", module.nothing), ("fine", calls.double, 4))
    here = found["here"].failure
    assert here is not None
    assert here.kind == "raised"
    assert "No module named 'only_here'" in here.message
    assert found["fine"].value == 8


def test_wait_has_a_timeout(two: Pool, tmp_path: Path) -> None:
    two.submit("long", time.sleep, 0.3)
    assert two.wait(0.01) is None
    outcome = two.wait()
    assert outcome is not None
    assert outcome.failure is None


@pytest.mark.parametrize("count", [1, 2])
def test_calls_emit_events(count: int) -> None:
    messages: list[tuple[Any, Any]] = []
    with open_pool(count, on_event=lambda key, value: messages.append((key, value))) as pool:
        ended(pool, ("a", calls.double, 1), ("b", calls.double, 2))
    assert sorted(messages) == [("a", 1), ("b", 2)]
    emit("nobody hears this")
    assert len(messages) == 2


def test_one_worker_is_this_process() -> None:
    with open_pool(1) as pool:
        assert ended(pool, ("a", calls.process))["a"].value[0] == os.getpid()


def test_a_worker_that_is_terminated_fails_its_call(two: Pool, tmp_path: Path) -> None:
    two.submit("asked", calls.work_until_asked, tmp_path, "asked")
    os.kill(_started(tmp_path, "asked"), signal.SIGTERM)
    outcome = two.wait()
    assert outcome is not None
    assert outcome.failure is not None
    assert outcome.failure.kind == "interrupted"
    assert (tmp_path / "asked.saved").exists()
    assert ended(two, ("next", calls.double, 5))["next"].value == 10


def _started(folder: Path, name: str) -> int:
    path = folder / f"{name}.started"
    _until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "hung"
        time.sleep(0.01)


_SCRIPT = """
from pathlib import Path
from types import ModuleType
from tests.support import calls
from gluetune.parallel.pool import open_pool

if __name__ == "__main__":
    folder = Path({folder!r})
    with open_pool({count}) as pool:
        for number in range({count}):
            pool.submit(number, calls.work_until_asked, folder, str(number))
        while pool.running:
            pool.wait()
"""


def _script(folder: Path, count: int) -> subprocess.Popen[str]:
    """Start a script with `count` pool in a session of its own, as a terminal does."""
    path = folder / "script.py"
    path.write_text(_SCRIPT.format(folder=str(folder), count=count))
    return subprocess.Popen(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or _state(pid) == "Z"


@pytest.mark.parametrize(
    ("count", "number"), [(1, signal.SIGINT), (2, signal.SIGINT), (2, signal.SIGTERM)]
)
def test_after_ctrl_c_or_sigterm_every_call_saves_and_no_process_is_left(
    tmp_path: Path, count: int, number: signal.Signals
) -> None:
    process = _script(tmp_path, count)
    pids = [_started(tmp_path, str(number)) for number in range(count)]
    # Each is in a group of its own: the terminal's Ctrl-C and the parent's would be two.
    assert [os.getpgid(pid) for pid in pids] == pids
    os.killpg(process.pid, number)  # what a terminal sends, to all in its group
    _, err = process.communicate(timeout=60)
    # Python's own end of an unhandled Ctrl-C, with the parent's traceback and no worker's.
    is_interrupted = number is signal.SIGINT
    assert process.returncode == (-signal.SIGINT if is_interrupted else 128 + signal.SIGTERM)
    assert err.count("Traceback") == is_interrupted
    assert [(tmp_path / f"{number}.saved").exists() for number in range(count)] == [True] * count
    assert all(_gone(pid) for pid in pids)


def test_workers_of_a_killed_process_save_and_exit(tmp_path: Path) -> None:
    process = _script(tmp_path, 2)
    pids = [_started(tmp_path, str(number)) for number in range(2)]
    process.kill()
    process.wait()
    _until(lambda: all((tmp_path / f"{number}.saved").exists() for number in range(2)))
    _until(lambda: all(_gone(pid) for pid in pids))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_process_starts_is_deferred(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, begun = BaseProcess.start, []

    def interrupted(process: BaseProcess) -> None:
        signal.raise_signal(number)
        begin(process)
        begun.append(process)

    monkeypatch.setattr(BaseProcess, "start", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)), open_pool(2) as pool:
        pool.submit("a", calls.double, 2)
    (process,) = begun
    assert process.exitcode is not None, "it was waited for"


def test_cores_are_divided() -> None:
    assert threads_each(1) == len(os.sched_getaffinity(0))
    assert threads_each(10_000) == 1
