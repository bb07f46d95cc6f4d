"""A checkpoint is whole or absent, carries the best model, and is checked before it is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gluetune.core.errors import RunError, StorageError
from gluetune.core.files import weights_digest
from gluetune.training import checkpoints
from gluetune.training.checkpoints import CheckpointStore, step_of

_STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "meter.json")
_MODEL = ("model.safetensors", "config.json", "tokenizer.json")


def _save(store: CheckpointStore, step: int, *, is_best: bool) -> Path:
    with store.writing(step, is_best=is_best) as folder:
        for name in (*_STATE, *_MODEL):
            (folder / name).write_text(f"{name} of {step}")
    return store.folder / f"step-{step:06d}"


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "run" / "checkpoints")


def test_before_the_first_there_is_none(store: CheckpointStore) -> None:
    assert store.newest() is None


def test_only_the_newest_is_kept(store: CheckpointStore) -> None:
    for step in (3, 7, 12):
        path = _save(store, step, is_best=True)
        assert store.newest() == path
        assert _names(store.folder) == [path.name]
        assert step_of(path) == step


def test_steps_of_seven_digits_come_after_those_of_six(store: CheckpointStore) -> None:
    _save(store, 999_999, is_best=True)
    path = _save(store, 1_000_000, is_best=True)
    assert store.newest() == path
    assert step_of(path) == 1_000_000


def test_the_best_model_is_carried_without_state_and_without_a_copy(
    store: CheckpointStore,
) -> None:
    first = _save(store, 1, is_best=True)
    assert _names(first / "best") == sorted(_MODEL)
    weights = first / "best" / "model.safetensors"
    inode = weights.stat().st_ino
    assert (first / "model.safetensors").stat().st_ino == inode

    second = _save(store, 2, is_best=False)

    assert (second / "best" / "model.safetensors").read_text() == "model.safetensors of 1"
    assert (second / "best" / "model.safetensors").stat().st_ino == inode
    assert (second / "model.safetensors").read_text() == "model.safetensors of 2"
    third = _save(store, 3, is_best=True)
    assert (third / "best" / "model.safetensors").read_text() == "model.safetensors of 3"


def test_a_file_system_without_links_gets_copies(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    _save(store, 1, is_best=True)
    second = _save(store, 2, is_best=False)
    assert (second / "best" / "model.safetensors").read_text() == "model.safetensors of 1"
    assert store.newest() == second


def test_the_first_checkpoint_in_mid_epoch_is_the_best_there_is(store: CheckpointStore) -> None:
    path = _save(store, 1, is_best=False)
    assert (path / "best" / "model.safetensors").read_text() == "model.safetensors of 1"


def _remove(name: str) -> Callable[[Path], object]:
    return lambda path: (path / name).unlink()


def _write(name: str, text: str) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        target = path / name
        target.unlink()  # best/ may be the same file
        target.write_text(text)

    return damage


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_remove("optimizer.pt"), "optimizer.pt"),
        (_remove("model.safetensors"), "model.safetensors"),
        (_remove("best/model.safetensors"), "best/model.safetensors"),
        (_remove("meter.json"), "meter.json"),
        (_write("rng_state.pth", "cut off"), "rng_state.pth"),
        (_write("trainer_state.json", ""), "trainer_state.json"),
        (_write("best/config.json", "{}"), "best/config.json"),
        (_remove("manifest.json"), "manifest.json"),
        (_write("manifest.json", "{"), "manifest.json"),
        (_write("manifest.json", "[]"), "manifest.json"),
    ],
)
def test_damage_is_named_with_what_to_type(
    store: CheckpointStore, damage: Callable[[Path], object], named: str
) -> None:
    path = _save(store, 4, is_best=True)
    damage(path)
    with pytest.raises(RunError) as caught:
        store.newest()
    (finding,) = caught.value.findings
    assert named in finding.message
    assert str(path) in finding.message
    assert f"gluetune train --resume {store.folder.parent}" in finding.hint


class _PowerCutError(Exception):
    pass


@pytest.mark.parametrize("moment", ["_carry_best", "sha256", "write_json", "while saving"])
def test_a_failure_at_any_moment_leaves_the_checkpoint_before(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = _save(store, 1, is_best=True)

    def fail(*args: object, **kwargs: object) -> None:
        raise _PowerCutError

    with monkeypatch.context() as patch, pytest.raises(_PowerCutError):  # noqa: PT012  # the failure is inside the block
        if moment != "while saving":
            patch.setattr(checkpoints, moment, fail)
        with store.writing(2, is_best=True) as folder:
            (folder / "model.safetensors").write_text("half")
            if moment == "while saving":
                fail()

    assert store.newest() == before
    assert _names(store.folder) == [before.name]
    assert store.newest() == before
    assert _save(store, 2, is_best=False) == store.newest()


def test_a_full_disk_leaves_the_checkpoint_before(store: CheckpointStore) -> None:
    before = _save(store, 1, is_best=True)
    with pytest.raises(StorageError, match="no room"), store.writing(2, is_best=True):
        raise OSError(28, "No space left on device")
    assert store.newest() == before


def test_what_a_killed_process_left_is_swept_up(store: CheckpointStore) -> None:
    """SIGKILL runs no clean-up: half a folder, or the one before beside its successor, may lie."""
    _save(store, 1, is_best=True)
    for step in (2, 3):
        (store.folder / f".step-{step:06d}.writing" / "best").mkdir(parents=True)
        (store.folder / f".step-{step:06d}.lock").touch()
    old = store.folder / "step-000001"
    copy = store.folder / "kept"
    old.rename(copy)
    _save(store, 2, is_best=True)
    copy.rename(old)
    assert store.newest() == store.folder / "step-000002"

    newest = _save(store, 4, is_best=False)

    assert _names(store.folder) == [newest.name]
    assert (newest / "best" / "model.safetensors").read_text() == "model.safetensors of 2"


def test_a_finished_run_keeps_none(store: CheckpointStore) -> None:
    _save(store, 1, is_best=True)
    store.remove()
    assert not store.folder.exists()
    store.remove()


def test_the_digest_of_sharded_weights_is_of_every_shard(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_text("a")
    one = weights_digest(tmp_path)
    (tmp_path / "model-2.safetensors").write_text("b")
    both = weights_digest(tmp_path)
    assert both.startswith(f"{one},")
    (tmp_path / "model-2.safetensors").write_text("c")
    assert weights_digest(tmp_path) != both


def test_the_manifest_lists_every_other_file(store: CheckpointStore) -> None:
    path = _save(store, 1, is_best=True)
    listed = json.loads((path / "manifest.json").read_text())
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert set(listed) == files - {"manifest.json"}
    assert len(listed) == len(_STATE) + 2 * len(_MODEL)
