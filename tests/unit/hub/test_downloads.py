"""Downloads from a stand-in Hub: what is taken, what is refused, and what each failure says."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.support.hub_server import Hub

from gluetune.core.errors import CheckpointError, DataError, HubError, StorageError
from gluetune.hub import downloads as gluetune_hub
from gluetune.hub.downloads import download_checkpoint, download_data_files, reachable

TAKEN = {
    "config.json",
    "merges.txt",
    "model.safetensors",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
}
LEFT = {
    ".gitattributes",
    "README.md",
    "flax_model.msgpack",
    "model.onnx",
    "modeling_own.py",
    "onnx/config.json",
    "onnx/model.safetensors",
    "pytorch_model.bin",
    "rust_model.ot",
    "tf_model.h5",
    "training_args.pt",
    "weights.pth",
}
SHARDS = (
    "cola/train-00000-of-00002.parquet",
    "cola/train-00001-of-00002.parquet",
    "cola/validation_matched-00000-of-00001.parquet",
    "mrpc/test-00000-of-00001.parquet",
    "README.md",
)


@pytest.fixture
def served(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """Return a Hub that this process talks to, with model `me/model` and data set `me/data`."""
    hub.use_in_process(monkeypatch)
    hub.models["me/model"] = _folder(tmp_path / "model", TAKEN | LEFT)
    hub.datasets["me/data"] = _folder(tmp_path / "data", SHARDS)
    monkeypatch.setattr(gluetune_hub, "_PATIENCE", 0.0)
    return hub


def _folder(folder: Path, names: set[str] | tuple[str, ...]) -> Path:
    for name in sorted(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"content of {name}\n".encode() * 40)
    return folder


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_is_configuration_tokenizer_and_safetensors_only(served: Hub) -> None:
    folder = download_checkpoint("me/model")
    assert _names(folder) == TAKEN
    for name in TAKEN:
        source = served.models["me/model"] / name
        assert (folder / name).read_bytes() == source.read_bytes()
    fetched = {line.rpartition("/")[2] for line in served.requests if line.startswith("GET /me")}
    assert fetched == TAKEN


def test_python_files_come_only_when_code_is_allowed(served: Hub) -> None:
    assert _names(download_checkpoint("me/model", allow_code=True)) == TAKEN | {"modeling_own.py"}


def test_a_repository_without_safetensors_says_what_it_has_and_is_not_downloaded(
    served: Hub,
) -> None:
    (served.models["me/model"] / "model.safetensors").unlink()
    with pytest.raises(CheckpointError) as raised:
        download_checkpoint("me/model")
    message = str(raised.value)
    assert "no safetensors in model 'me/model' on 127.0.0.1" in message
    assert "pytorch_model.bin" in message
    assert "save_pretrained" in message
    assert not served.cache.exists()


def test_a_repository_without_config_is_refused(served: Hub) -> None:
    (served.models["me/model"] / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json in model 'me/model'"):
        download_checkpoint("me/model")


def test_a_missing_shard_is_named(served: Hub) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    folder = served.models["me/model"]
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"names model-2\.safetensors, which does not exist"):
        download_checkpoint("me/model")


def test_data_files_come_by_split_with_shards_in_order(served: Hub) -> None:
    files = download_data_files("me/data", "cola")
    names = {split: [path.name for path in paths] for split, paths in files.items()}
    assert names == {
        "train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        "validation_matched": ["validation_matched-00000-of-00001.parquet"],
    }
    content = files["train"][1].read_bytes()
    assert content == (served.datasets["me/data"] / SHARDS[1]).read_bytes()
    assert not any("mrpc" in line for line in served.requests)


def test_an_unknown_data_folder_names_the_known_ones(served: Hub) -> None:
    with pytest.raises(DataError, match=r"folder 'rte' of data set 'me/data'.*\n.*cola, mrpc"):
        download_data_files("me/data", "rte")


def test_a_data_split_that_lacks_a_shard_is_refused(served: Hub) -> None:
    (served.datasets["me/data"] / SHARDS[0]).unlink()
    with pytest.raises(DataError, match=r"Split 'train'.* has 1 of its 2 files"):
        download_data_files("me/data", "cola")


@pytest.mark.parametrize("token", [None, "hf_secret"])
def test_an_unknown_repository_may_also_be_private(
    served: Hub, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CheckpointError) as model:
        download_checkpoint("me/modle")
    with pytest.raises(DataError) as data:
        download_data_files("me/dat", "cola")
    assert "no model 'me/modle' on 127.0.0.1" in str(model.value)
    assert "no data set 'me/dat' on 127.0.0.1" in str(data.value)
    for message in (str(model.value), str(data.value)):
        assert "or it is private" in message
        assert "set HF_TOKEN" in message
        assert "hf_secret" not in message


def test_an_unknown_revision_is_named(served: Hub) -> None:
    with pytest.raises(
        CheckpointError, match=r"no such revision: model 'me/model' at revision 'v'"
    ):
        download_checkpoint("me/model", revision="v")
    with pytest.raises(DataError, match="no such revision: data set 'me/data' at revision 'v'"):
        download_data_files("me/data", "cola", revision="v")


def test_a_commit_is_a_revision(served: Hub) -> None:
    commit = download_checkpoint("me/model").name
    assert len(commit) == 40
    assert download_checkpoint("me/model", revision=commit).name == commit


@pytest.mark.parametrize("name", ["no such name", "a/b/c", "-x", ""])
def test_what_cannot_be_a_name_is_refused_without_a_request(served: Hub, name: str) -> None:
    with pytest.raises(CheckpointError, match="cannot be the name of a model"):
        download_checkpoint(name)
    assert served.requests == []


REFUSALS = {
    "gated": (403, {"X-Error-Code": "GatedRepo"}, ("is gated", "Accept its terms")),
    "token": (
        401,
        {"X-Error-Message": "Invalid credentials in Authorization header"},
        ("rejected the token", "HF_TOKEN"),
    ),
    "forbidden": (403, {}, ("refused with status 403", "HF_TOKEN")),
    "rate limit": (429, {}, ("429", "Try later, set HF_TOKEN")),
    "error 500": (500, {}, ("failed with status 500", "Try later")),
    "error 503": (503, {}, ("failed with status 503", "Try later")),
}


@pytest.mark.parametrize("case", REFUSALS)
@pytest.mark.parametrize("where", ["/api/models/me/model$", "/tree/", "HEAD .*model.safetensors"])
def test_a_refusal_says_where_and_what_to_type(served: Hub, case: str, where: str) -> None:
    status, headers, said = REFUSALS[case]
    served.fail(where, status=status, headers=headers)
    with pytest.raises(HubError) as raised:
        download_checkpoint("me/model")
    message = str(raised.value)
    for part in (*said, "model 'me/model' on 127.0.0.1"):
        assert part in message
    assert case == "token" or "--model minilm" in message


def test_the_hint_is_the_callers(served: Hub) -> None:
    served.fail("/api", status=503)
    with pytest.raises(HubError, match="or type instead: `--teacher PATH`"):
        download_checkpoint("me/model", fallback="type instead: `--teacher PATH`")
    with pytest.raises(HubError, match="`--data sample`, or `--data DIR`"):
        download_data_files("me/data", "cola")


def test_a_passing_failure_is_tried_again(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gluetune_hub, "_PATIENCE", 5.0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    served.fail("/tree/", status=503, times=2)
    assert _names(download_checkpoint("me/model")) == TAKEN
    assert sum("/tree/" in line for line in served.requests) == 3


def test_retries_end_with_our_patience(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(gluetune_hub, "_PATIENCE", 2.0)
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("gluetune.hub.downloads.time.monotonic", lambda: 1.0 + clock[0])
    served.fail("/tree/", status=429)
    with pytest.raises(HubError, match="429"):
        download_checkpoint("me/model")
    assert slept == [1, 2]


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "300"}, {"RateLimit": '"api";r=0;t=280'}],
    ids=lambda h: next(iter(h)),
)
def test_a_long_wait_that_the_hub_asks_for_is_not_waited(
    served: Hub, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gluetune_hub, "_PATIENCE", 5.0)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"slept for {seconds} s"))
    served.fail("/tree/", status=429, headers=headers)
    with pytest.raises(HubError, match="429"):
        download_checkpoint("me/model")


def test_nothing_of_ours_stays_on_the_librarys_client(served: Hub) -> None:
    from huggingface_hub import get_session

    download_checkpoint("me/model")
    assert get_session().event_hooks["response"] == []


def test_a_refused_connection_says_what_to_type_instead(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    hub.use_in_process(monkeypatch)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        HubError, match=r"cannot be reached for model 'me/model' on 127.0.0.1:9.*refused"
    ):
        download_checkpoint("me/model")
    with pytest.raises(HubError, match=r"`--data sample`, or `--data DIR`"):
        download_data_files("me/data", "cola")
    assert "refused" in (reachable() or "")


def test_a_name_that_does_not_resolve(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    hub.use_in_process(monkeypatch)
    monkeypatch.setattr(constants, "ENDPOINT", "http://me:password@hub.invalid")
    with pytest.raises(
        HubError, match=r"cannot be reached for model 'me/model' on hub\.invalid"
    ) as raised:
        download_checkpoint("me/model")
    assert "password" not in str(raised.value)


def test_no_answer_in_time(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gluetune_hub, "_LISTING_TIMEOUT", 0.05)
    served.stall("/", seconds=0.3)
    with pytest.raises(HubError, match="did not respond in time"):
        download_checkpoint("me/model")
    assert "did not respond in time" in (reachable(timeout=0.05) or "")


@pytest.mark.parametrize("body", ["<html>Please log in</html>", '{"error": "none"}', "[]"])
def test_an_answer_that_is_not_the_hubs(served: Hub, body: str) -> None:
    served.fail("/api", status=200, body=body)
    with pytest.raises(HubError, match=r"cannot be reached.*the response is not from a Hub"):
        download_checkpoint("me/model")


def test_a_dropped_listing(served: Hub) -> None:
    served.drop("/api/models/me/model$")
    with pytest.raises(HubError, match=r"cannot be reached.*disconnected"):
        download_checkpoint("me/model")


def test_a_dropped_body_is_taken_up_where_it_broke(
    served: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    served.drop(r"GET .*model\.safetensors", times=2)
    folder = download_checkpoint("me/model")
    source = served.models["me/model"] / "model.safetensors"
    assert (folder / source.name).read_bytes() == source.read_bytes()
    assert sum("GET /me/model" in line and "safetensors" in line for line in served.requests) == 3


def test_a_truncated_file_is_named_and_not_kept(served: Hub) -> None:
    served.truncate(r"model\.safetensors")
    with pytest.raises(HubError, match=r"arrived truncated.*model\.safetensors") as raised:
        download_checkpoint("me/model")
    assert "discarded" in str(raised.value)
    assert not list(served.cache.rglob("*.incomplete"))
    assert not list(served.cache.rglob("model.safetensors"))
    served.heal()
    assert _names(download_checkpoint("me/model")) == TAKEN


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(served: Hub, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(StorageError, match=r"cannot store model 'me/model'.*\n.*HF_HOME") as raised:
        download_checkpoint("me/model")
    assert str(served.cache) in str(raised.value)


def test_a_cache_that_cannot_be_written(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    served.cache.parent.mkdir()
    served.cache.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot store"):
        download_checkpoint("me/model")


OUTAGES = {
    "refused": lambda served: served.stop(),
    "error 503": lambda served: served.fail("/", status=503),
    "rate limit": lambda served: served.fail("/", status=429),
    "dropped": lambda served: served.drop("/api"),
    "fails later": lambda served: served.fail("/tree|/resolve", status=500),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_whole_copy_in_the_cache_stands_in_with_a_warning(
    served: Hub, outage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = download_checkpoint("me/model")
    files = download_data_files("me/data", "cola")
    OUTAGES[outage](served)
    with caplog.at_level(logging.WARNING, logger="gluetune.hub.downloads"):
        assert download_checkpoint("me/model") == folder
        assert download_data_files("me/data", "cola") == files
    warned = [r.getMessage() for r in caplog.records if r.name == "gluetune.hub.downloads"]
    assert outage == "fails later" or len(warned) == 2
    assert all("Using the copy in the local cache" in message for message in warned)


def test_part_of_a_copy_does_not_stand_in(served: Hub) -> None:
    served.fail(r"HEAD .*model\.safetensors", status=500)
    with pytest.raises(HubError):
        download_checkpoint("me/model")
    assert list(served.cache.rglob("tokenizer.json"))
    served.heal()
    served.fail("/", status=503)
    with pytest.raises(HubError, match=r"503.*The copy in the local cache is incomplete"):
        download_checkpoint("me/model")


def test_a_copy_by_another_program_that_took_only_the_config_does_not_stand_in(
    served: Hub,
) -> None:
    from huggingface_hub import hf_hub_download

    hf_hub_download("me/model", "config.json")
    served.fail("/", status=503)
    with pytest.raises(HubError, match=r"503.*The copy in the local cache is incomplete"):
        download_checkpoint("me/model")


def test_a_data_set_cached_for_another_task_does_not_stand_in(served: Hub) -> None:
    download_data_files("me/data", "mrpc")
    served.fail("/", status=503)
    with pytest.raises(HubError, match=r"503.*The copy in the local cache is incomplete"):
        download_data_files("me/data", "cola")


def test_a_changed_repository_is_downloaded_anew(served: Hub) -> None:
    before = download_checkpoint("me/model")
    (served.models["me/model"] / "vocab.txt").write_text("new")
    after = download_checkpoint("me/model")
    assert after != before
    assert (after / "vocab.txt").read_text() == "new"


def test_the_hub_is_reachable_or_says_why_not(served: Hub) -> None:
    assert reachable() is None
    served.fail("/", status=503)
    assert "503" in (reachable() or "")
    served.heal()
    served.stop()
    reason = reachable() or ""
    assert "127.0.0.1" in reason
    assert "\n" not in reason


CHILD = """
    import json, sys
    from gluetune.core.errors import GluetuneError
    from gluetune.hub.downloads import download_checkpoint, reachable
    assert "huggingface_hub" not in sys.modules
    said = [reachable()]
    try:
        said.append(str(download_checkpoint("me/model")))
    except GluetuneError as error:
        said += [type(error).__name__, *(str(f) for f in error.findings)]
    print(json.dumps(said))
"""


def _child(environment: dict[str, str]) -> list[str | None]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said: list[str | None] = json.loads(done.stdout)
    return said


def test_the_environment_is_honoured_and_offline_mode_is_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.models["me/model"] = _folder(tmp_path / "model", TAKEN)
    assert "HF_TOKEN" not in hub.environment
    offline = _child(hub.environment | {"HF_HUB_OFFLINE": "1"})
    assert "offline mode is on" in (offline[0] or "")
    assert offline[1] == "UnreachableError"
    assert "offline mode is on" in (offline[2] or "")
    assert "--model minilm" in (offline[2] or "")
    assert hub.requests == []
    online = _child(hub.environment)
    assert online[0] is None
    assert str(online[1]).startswith(str(hub.cache))
    assert _child(hub.environment | {"HF_HUB_OFFLINE": "1"})[1] == online[1]
