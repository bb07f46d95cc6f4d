from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gluetune.core import files
from gluetune.core.errors import RunError, StorageError
from gluetune.core.files import (
    cache_folder,
    cache_part,
    check_writable,
    disk_errors,
    link_or_copy,
    locked,
    restore_folder,
    sha256,
    write_atomically,
    write_folder,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(folder: Path, text: str) -> None:
    with write_folder(folder) as staging:
        (staging / "a.txt").write_text(text)


def test_a_file_is_written_with_its_parents_and_as_open_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text(path, "naïve")
    assert path.read_text(encoding="utf-8") == "naïve"
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [RuntimeError("the writer failed"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_json_has_no_nan_and_no_infinity(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", value)
    assert names(tmp_path) == []


def test_json_keeps_letters_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"word": "東京"})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "東京" in text
    assert json.loads(text) == {"word": "東京"}


def test_a_folder_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "model"
    fill(folder, "old")
    (folder / "b.txt").write_text("only in the old one")
    fill(folder, "new")
    assert names(folder) == ["a.txt"]
    assert (folder / "a.txt").read_text() == "new"
    assert names(folder.parent) == ["model"]


def write_and_fail(folder: Path, error: BaseException) -> None:
    with write_folder(folder) as staging:
        (staging / "a.txt").write_text("half")
        raise error


@pytest.mark.parametrize("error", [RuntimeError("the writer failed"), KeyboardInterrupt()])
def test_an_aborted_folder_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    folder = tmp_path / "model"
    fill(folder, "old")
    with pytest.raises(type(error)):
        write_and_fail(folder, error)
    assert (folder / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from gluetune.core.files import write_folder
with write_folder(Path({str(tmp_path / "model")!r})) as staging:
    (staging / "half.txt").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert "model" not in names(tmp_path)
    fill(tmp_path / "model", "whole")
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["a.txt"]


REPLACER = """
import os, signal, sys
from pathlib import Path
from gluetune.core import files

step, exchanges, target = int(sys.argv[1]), sys.argv[2] == "exchange", Path(sys.argv[3])
if not exchanges:
    files._exchange = lambda first, second: False
calls = 0

def deadly(function):
    def call(*args, **kwargs):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

def arm():
    files._exchange = deadly(files._exchange)
    files._sync = deadly(files._sync)
    files._remove = deadly(files._remove)
    Path.rename = deadly(Path.rename)

with files.write_folder(target) as staging:
    (staging / "a.txt").write_text("new")
    (staging / "b.txt").write_text("new")
    arm()
print(calls)
"""


@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_a_replacement_killed_at_any_step_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, way: str
) -> None:
    def replace(step: int, folder: Path) -> subprocess.CompletedProcess[str]:
        fill(folder, "old")
        words = [sys.executable, "-c", REPLACER, str(step), way, str(folder)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    whole = replace(0, tmp_path / "0" / "onnx")
    steps = int(whole.stdout)
    assert steps >= 4
    seen = set()
    for step in range(1, steps + 1):
        folder = tmp_path / str(step) / "onnx"
        assert replace(step, folder).returncode == -signal.SIGKILL
        restore_folder(folder)
        found = (folder / "a.txt").read_text()
        seen.add(found)
        assert names(folder) == (["a.txt"] if found == "old" else ["a.txt", "b.txt"])
        fill(folder, "last")  # nothing that was left is in the way
        assert names(folder.parent) == ["onnx"]
        assert names(folder) == ["a.txt"]
    assert seen == {"old", "new"}


def test_where_the_system_exchanges_two_names_the_folder_is_there_at_every_moment(
    tmp_path: Path,
) -> None:
    if sys.platform not in ("linux", "darwin"):
        pytest.skip("this system exchanges no names")
    folder = tmp_path / "onnx"
    fill(folder, "old")
    code = """
import sys
from pathlib import Path
from gluetune.core.files import write_folder
while True:
    with write_folder(Path(sys.argv[1])) as staging:
        (staging / "a.txt").write_text("new")
"""
    writer = subprocess.Popen([sys.executable, "-c", code, str(folder)])
    try:
        while (folder / "a.txt").exists() and (folder / "a.txt").read_text() == "old":
            assert writer.poll() is None
        for _ in range(20_000):
            assert folder.exists()
    finally:
        writer.kill()
        writer.wait()


def test_a_restoration_leaves_alone_what_another_process_is_writing(tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    fill(folder, "old")
    folder.rename(tmp_path / ".onnx.replaced")
    with files._writing(folder):
        restore_folder(folder)
        assert not folder.exists()
    restore_folder(folder)
    assert (folder / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["onnx"]


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "disk" / "onnx", "old")
    link = tmp_path / "onnx"
    link.symlink_to(tmp_path / "disk" / "onnx")
    fill(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "disk" / "onnx" / "a.txt").read_text() == "new"


WRITER = """
import sys
from pathlib import Path
from gluetune.core.files import write_folder
with write_folder(Path(sys.argv[1])) as staging:
    (staging / "a.txt").write_text("first")
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_of_a_folder_is_refused_and_takes_nothing_from_the_first(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "onnx"
    first = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "writing\n"
    with pytest.raises(RunError, match=f"process {first.pid}.* is writing {folder}"):
        fill(folder, "second")
    first.communicate("")
    assert first.returncode == 0
    assert (folder / "a.txt").read_text() == "first"
    fill(folder, "second")
    assert names(tmp_path) == ["onnx"]


def test_a_killed_replacement_never_leaves_half_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting the old folder is the slow part: it must not be what stands at the path."""
    folder = tmp_path / "model"
    fill(folder, "old")
    deleted: list[Path] = []
    monkeypatch.setattr("shutil.rmtree", lambda path, **_: deleted.append(path))
    fill(folder, "new")
    assert folder not in deleted
    assert (folder / "a.txt").read_text() == "new"


WRITERS = {
    "plain": "write_atomically(path, lambda at: at.write_bytes(bytes(200_000)))",
    "pyarrow": """
import pyarrow as pa, pyarrow.parquet as pq
table = pa.table({"x": [str(i ** 3) for i in range(100_000)]})
write_atomically(path, lambda at: pq.write_table(table, at))
""",
    "safetensors": """
import torch
from safetensors.torch import save_file
with write_folder(path) as folder:
    save_file({"x": torch.zeros(50_000)}, folder / "model.safetensors")
""",
    "torch": """
import torch
with write_folder(path) as folder:
    torch.save({"x": torch.zeros(50_000)}, folder / "optimizer.pt")
""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_as_such_whatever_library_met_it(tmp_path: Path, writer: str) -> None:
    """A limit on the size of files stands in for a full disk: both fail in the middle of a file."""
    code = f"""
import resource, sys
from pathlib import Path
from gluetune.core.errors import StorageError
from gluetune.core.files import write_atomically, write_folder
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
{"".join(f"    {line}" + chr(10) for line in WRITERS[writer].strip().splitlines())}
except StorageError as error:
    print(error)
"""
    path = tmp_path / "target"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert f"There is no room to write {path}." in done.stdout, done.stderr
    assert "GB are free" in done.stdout
    assert names(tmp_path) == []


def test_another_failure_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_errors(tmp_path):
        raise PermissionError(errno.EACCES, "no")
    with pytest.raises(StorageError), disk_errors(tmp_path / "not" / "there"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


HOLDER = """
import sys
from pathlib import Path
from gluetune.core.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {holder.pid}") as refused, locked(tmp_path):
            pass
        assert str(tmp_path) in str(refused.value)
    finally:
        holder.kill()
        holder.communicate()
    with locked(tmp_path):
        held_by = (tmp_path / ".lock").read_text()
    assert held_by == f"process {os.getpid()}"
    with locked(tmp_path):
        pass


FORKER = """
import os, signal, sys
from pathlib import Path
from gluetune.core.files import locked
with locked(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        signal.pause()
    os.waitpid(child, os.WNOHANG)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_forked_process_does_not_keep_a_lock(tmp_path: Path) -> None:
    """A loader's worker outlives a training that was killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", FORKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(RunError, match=f"process {holder.pid}"):
            locked(tmp_path).__enter__()
        holder.stdin.close()
        assert holder.wait() == -signal.SIGKILL
        with locked(tmp_path):
            os.kill(child, 0)  # it is still there
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StorageError, match="Its file system has no locks") as told:
        locked(tmp_path).__enter__()
    assert "--output" in told.value.findings[0].hint
    with pytest.raises(StorageError, match="Its file system has no locks"):
        fill(tmp_path / "onnx", "new")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
@pytest.mark.parametrize("place", ["tempfile.mkstemp", "pathlib.Path.mkdir", "os.open"])
def test_a_folder_that_takes_no_files_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, place: str
) -> None:
    """Root may write anywhere, so the system's refusal is made here."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(place, refuse)
    writers: dict[str, Callable[[], object]] = {
        "tempfile.mkstemp": lambda: write_text(tmp_path / "x", ""),
        "pathlib.Path.mkdir": lambda: fill(tmp_path / "x", ""),
        "os.open": lambda: locked(tmp_path).__enter__(),
    }
    with pytest.raises(StorageError, match=f"cannot be written: {os.strerror(number)}"):
        writers[place]()


def test_a_place_is_known_to_take_nothing_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "new" / "folder")
    check_writable(tmp_path / "file")
    with pytest.raises(StorageError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(StorageError, match="cannot be written: Not a directory"):
        write_text(tmp_path / "file" / "run" / "x", "")


def test_a_link_or_a_copy_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"weights")
    link_or_copy(source, tmp_path / "link")
    assert (tmp_path / "link").samefile(source)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(source, tmp_path / "copy")
    assert not (tmp_path / "copy").samefile(source)
    assert sha256(tmp_path / "copy") == sha256(source)


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-4's own example.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "a") == expected


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUETUNE_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("GLUETUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/gluetune")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "gluetune"


def test_a_cache_that_cannot_be_made_is_told_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match=r"rows, a part of the cache, cannot be made: Not a dir"):
        cache_part("rows")
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path / "cache"))
    assert cache_part("rows").is_dir()
