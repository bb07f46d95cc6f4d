"""Downloads from the Hugging Face Hub, by `huggingface_hub`.

This module decides which files are downloaded (never a pickle) and how long requests are retried,
and turns every failure into one of gluetune's errors, which names the request, the host, and what
to type next. `huggingface_hub` reads HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE when it is
first imported.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gluetune.core.errors import CheckpointError, DataError, GluetuneError, HubError
from gluetune.core.text import first_few
from gluetune.hub.failures import (
    TRY_AGAIN,
    HubRequest,
    UnreachableError,
    explained,
    host,
    why_unreachable,
)

_log = logging.getLogger(__name__)

CHECKPOINT_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Configuration, weights, and tokenizer files (vocab.txt, merges.txt, spm.model)."""

INSTEAD_OF_MODEL = "type instead: `--model minilm`, or `--model PATH` for a folder on this machine"
_INSTEAD_OF_DATA = "type instead: `--data sample`, or `--data DIR` for a folder on this machine"

_LISTING_TIMEOUT = 10.0
"""Timeout of a listing, in seconds."""

_PATIENCE = 2.0
"""Seconds for which requests with status 429 or 5xx are retried, at most."""

_SHARD = re.compile(
    r"(?P<split>[^.]+?)(-\d{5}-of-(?P<count>\d{5})(-[0-9a-f]{16})?)?"
    r"(?P<ending>\.[a-z]+)(?P<compression>\.[a-z]+)?"
)
"""After the count comes a fingerprint where `datasets` before 2.14 pushed the file."""
_DESCRIPTIONS = re.compile(r"(.*/)?(dataset_infos?|dataset_dict|state)\.json")
"""Files that `datasets` writes next to the data."""


def download_checkpoint(
    repo: str,
    *,
    revision: str | None = None,
    allow_code: bool = False,
    fallback: str = INSTEAD_OF_MODEL,
) -> Path:
    """Return a local folder with the configuration, tokenizer and safetensors of model `repo`.

    Nothing else is downloaded: no pickle (*.bin, *.pt, *.pth), no other framework's weights, no
    subfolder, and Python files only with `allow_code`. (Files that another program has put into
    the same cached snapshot stay there.) If the Hub cannot be reached and the local cache has a
    complete copy, that copy is used, with a warning in the log.

    `fallback` is the hint on what to type if the Hub fails. Raises CheckpointError if there is no
    such model, revision, configuration or safetensors file, HubError if the Hub refuses, fails or
    cannot be reached, and StorageError if the files cannot be written.
    """
    request = HubRequest("model", repo, revision, fallback)
    patterns = [*CHECKPOINT_FILES, "*.py"] if allow_code else list(CHECKPOINT_FILES)
    folder = _snapshot(
        request, patterns, ["*/*"], lambda names: _require_safetensors(request, names)
    )
    _require_shards(request, folder)
    return folder


def download_data_files(
    repo: str,
    *folders: str,
    endings: Sequence[str] = (".parquet",),
    compressions: Sequence[str] = (),
    revision: str | None = None,
    fallback: str = _INSTEAD_OF_DATA,
) -> dict[str, list[Path]]:
    """Return the data files of data set `repo` by split name, shards in order.

    They are those in the first of `folders` that has any, with the first of `endings` that occurs
    there, optionally followed by one of `compressions`. The layout is the Hub's own:
    `{folder}/{split}-00000-of-00001.parquet`. If the Hub cannot be reached, the local cache is used
    as in `download_checkpoint`. `fallback` is the hint on what to type if the Hub fails.

    Raises DataError if there is no such data set, revision, folder or shard, HubError if the Hub
    refuses, fails or cannot be reached, and StorageError if the files cannot be written.
    """
    request = HubRequest("dataset", repo, revision, fallback)
    for folder in folders:
        try:
            return _data_files(request, folder, endings, ("", *compressions))
        except (_NoDataFilesError, _NoneCachedError):
            if folder == folders[-1]:
                raise
    raise ValueError("no folder is given")


class _NoDataFilesError(DataError):
    """A folder of a data set has no data files."""


class _NoneCachedError(HubError):
    """The Hub cannot be reached, and the cached copy of a folder has no data files."""


def _data_files(
    request: HubRequest, folder: str, endings: Sequence[str], compressions: Sequence[str]
) -> dict[str, list[Path]]:
    inside = f"{folder}/" if folder else ""
    snapshot = _snapshot(
        request,
        [f"{inside}*{ending}{packed}" for ending in endings for packed in compressions],
        [f"{inside}*/*"],
        lambda names: _shards(request, folder, endings, compressions, names),
    )
    shards = _shards(request, folder, endings, compressions, _names_under(snapshot))
    return {split: [snapshot / name for name in names] for split, names in shards.items()}


def reachable(timeout: float = 3.0) -> str | None:
    """Return None if the Hub responds within `timeout` seconds, else the reason in one line."""
    from huggingface_hub import constants, errors, get_session

    try:
        response = get_session().head(constants.ENDPOINT, timeout=timeout)
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        return why_unreachable(error)
    if response.status_code in TRY_AGAIN:
        return f"{host()} responds with status {response.status_code}"
    return None


def _snapshot(
    request: HubRequest,
    patterns: list[str],
    ignored: list[str],
    check: Callable[[Sequence[str]], object],
) -> Path:
    """Download files by `patterns` once `check` accepts their list, or use the local cache."""
    from huggingface_hub import errors, snapshot_download

    def download(**options: Any) -> Path:
        return Path(
            snapshot_download(
                request.repo,
                repo_type=request.kind,
                revision=request.revision,
                allow_patterns=patterns,
                ignore_patterns=ignored,
                **options,
            )
        )

    try:
        with bounded_retries(_PATIENCE):
            check(_names_on_hub(request))
            return download()
    # ValueError: a name that no repository can have. RuntimeError: what hf_xet raises.
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        failure = explained(error, request)
        if not isinstance(failure, UnreachableError):
            raise failure from error
        try:
            folder = download(local_files_only=True)
            check(_names_under(folder))
        except (errors.LocalEntryNotFoundError, GluetuneError) as problem:
            raise _without_cache(failure, problem) from error
    _log.warning("%s Using the copy in the local cache: %s", failure.findings[0].message, folder)
    return folder


def _without_cache(failure: UnreachableError, problem: Exception) -> HubError:
    """Return `failure`, with a note if the copy in the local cache is incomplete."""
    if not isinstance(problem, GluetuneError) and not hasattr(problem, "snapshot_path"):
        return failure
    message, hint = failure.findings[0].message, failure.findings[0].hint
    kind = _NoneCachedError if isinstance(problem, _NoDataFilesError) else HubError
    return kind(f"{message} The copy in the local cache is incomplete.", hint=hint)


def _names_on_hub(request: HubRequest) -> list[str]:
    from huggingface_hub import HfApi

    describe = HfApi().model_info if request.kind == "model" else HfApi().dataset_info
    try:
        info = describe(request.repo, revision=request.revision, timeout=_LISTING_TIMEOUT)
    except (json.JSONDecodeError, KeyError, TypeError):
        # A proxy's page, or a server that is not a Hub.
        raise ConnectionError("the response is not from a Hub") from None
    return sorted(file.rfilename for file in info.siblings or ())


def _names_under(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _require_safetensors(request: HubRequest, names: Sequence[str]) -> None:
    top = [name for name in names if "/" not in name]
    if not any(name.endswith(".safetensors") for name in top):
        raise CheckpointError(
            f"There are no safetensors in {request.place}, and gluetune loads no other weights,"
            f" which can run code when they are opened. It has: {first_few(top)}.",
            hint="If you trust it, convert it: `model = AutoModel.from_pretrained("
            f"'{request.repo}'); model.save_pretrained('DIR')`, the same for AutoTokenizer, then"
            " `--model DIR`. Or look for a revision that has them.",
        )
    if "config.json" not in top:
        raise CheckpointError(
            f"There is no config.json in {request.place}. It has: {first_few(top)}.",
            hint="Name a repository in the layout that save_pretrained writes.",
        )


def _require_shards(request: HubRequest, folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file() or (folder / "model.safetensors").is_file():
        return  # transformers looks for the one file first
    named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    missing = sorted(name for name in named if not (folder / name).is_file())
    if missing:
        raise CheckpointError(
            f"The weights of {request.place} are incomplete: {index} names "
            f"{first_few(missing)}, which does not exist.",
            hint=f"Try again when the Hub can be reached, or {request.fallback}.",
        )


def _shards(
    request: HubRequest,
    folder: str,
    endings: Sequence[str],
    compressions: Sequence[str],
    names: Sequence[str],
) -> dict[str, list[str]]:
    """Return the data files of `folder` among `names` by split. Raises DataError."""
    by_ending: dict[str, dict[str, list[str]]] = {}
    counts: dict[str, int] = {}
    folders = set()
    for name in sorted(names):
        parent, _, file = name.rpartition("/")
        match = _SHARD.fullmatch(file)
        if not match or match["ending"] not in endings or _DESCRIPTIONS.fullmatch(name):
            continue
        if (match["compression"] or "") not in compressions:
            continue
        folders.add(parent or ".")
        if parent == folder:
            by_ending.setdefault(match["ending"], {}).setdefault(match["split"], []).append(name)
            counts[match["split"]] = int(match["count"] or 1)
    shards = next((by_ending[ending] for ending in endings if ending in by_ending), None)
    if shards is None:
        raise _NoDataFilesError(
            f"There are no data files in folder '{folder or '.'}' of {request.place}.",
            hint=f"Folders with data files: {first_few(sorted(folders))}.",
        )
    short = [split for split in shards if len(shards[split]) != counts[split]]
    if short:
        raise DataError(
            f"Split '{short[0]}' in folder '{folder or '.'}' of {request.place} has "
            f"{len(shards[short[0]])} of its {counts[short[0]]} files.",
            hint=f"Try another revision, or {request.fallback}.",
        )
    return shards


@contextmanager
def bounded_retries(patience: float) -> Iterator[None]:
    """Let `huggingface_hub` retry 429 and 5xx for `patience` seconds rather than for minutes.

    It retries five times with growing waits, and waits as long as the server requests (up to five
    minutes for the Hub's rate limits). No argument bounds that, so a hook on its client raises the
    library's own error once the time is over.
    """
    from huggingface_hub import get_session
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]  # not in its __all__

    deadline: float | None = None

    def give_up(response: Any) -> None:
        nonlocal deadline
        if response.status_code not in TRY_AGAIN:
            return
        deadline = deadline or time.monotonic() + patience
        if time.monotonic() >= deadline or _requested_wait(response.headers) > patience:
            hf_raise_for_status(response)

    hooks = get_session().event_hooks["response"]
    hooks.append(give_up)
    try:
        yield
    finally:
        hooks.remove(give_up)


def _requested_wait(headers: Any) -> int:
    """Return the seconds until the server accepts the next request, 0 if unknown."""
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]  # not in its __all__

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    after = headers.get("Retry-After", "")
    return int(after) if after.isdigit() else 0
