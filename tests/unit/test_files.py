from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gluetune.errors import RunError, StorageError
from gluetune.files import (
    cache_folder,
    cache_part,
    disk_errors,
    link_or_copy,
    locked,
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
from gluetune.files import write_folder
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
from gluetune.errors import StorageError
from gluetune.files import write_atomically, write_folder
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
from gluetune.files import locked
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
