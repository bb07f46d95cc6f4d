"""Uploads to model repositories of the Hub, one commit at a time, by `huggingface_hub`.

A commit is atomic: an upload that is interrupted before it leaves only blobs that no revision
names. Failures become gluetune's errors as in `gluetune.hub.downloads`. The token is the one that
`huggingface_hub` finds (HF_TOKEN, or that of `hf auth login`); no variable of this module holds it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gluetune.core.errors import ConfigurationError, HubError
from gluetune.hub.downloads import bounded_retries
from gluetune.hub.failures import HubRequest, explained_upload, host

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PATIENCE = 20.0
"""Seconds for which requests with status 429 or 5xx are retried, at most."""


@dataclass(frozen=True)
class RemoteBranch:
    """The state of a branch of a repository."""

    head: str
    """Its newest commit."""
    private: bool
    digests: Mapping[str, str]
    """By file: the sha256 of a large file, git's blob id of a small one."""


def require_token() -> None:
    """Raise HubError if `huggingface_hub` finds no token."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise HubError(
            f"There is no token to write to {host()}.",
            hint="Type: hf auth login, or set HF_TOKEN, with a token that has write access.",
        )


def known_tokens() -> list[str]:
    """Return the tokens of this machine, to search for them in what is published."""
    from huggingface_hub import get_token

    token = get_token()
    return [token] if token else []


class ModelRepository:
    """A model repository, `owner/name`, on one of its branches."""

    def __init__(self, repo: str, branch: str | None, again: str) -> None:
        self.repo = repo
        self.branch: str = branch or "main"
        self._request = HubRequest("model", repo, branch, again)

    @property
    def url(self) -> str:
        """The page of the repository."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repo}"

    def open(self, *, private: bool) -> tuple[RemoteBranch, bool]:
        """Return the branch, and whether the repository was created.

        A repository or branch that does not exist is created. Raises ConfigurationError if a
        private one is requested and it is public, HubError if the Hub refuses or fails.
        """
        from huggingface_hub import HfApi, errors

        with _explained(self._request):
            api = HfApi()
            try:
                api.model_info(self.repo)
                made = False
            except errors.RepositoryNotFoundError:
                api.create_repo(self.repo, private=private or None, exist_ok=True)
                made = True
            if self.branch != "main":
                self._make_branch(api)
            found = self._read(api)
        if private and not found.private:
            raise ConfigurationError(
                f"--private: {self.repo} exists already, and is public.",
                hint=f"Make it private in its settings ({self.url}/settings), or leave it out.",
            )
        return found, made

    def commit(
        self,
        files: Mapping[str, bytes | Path],
        deleted: Sequence[str],
        message: str,
        parent: str,
    ) -> str:
        """Add `files` and delete others in one commit on top of `parent`; return its id.

        The commit is atomic. Raises HubError.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in files.items()
        ]
        operations += [CommitOperationDelete(path_in_repo=name) for name in deleted]
        with _explained(self._request):
            info = HfApi().create_commit(
                self.repo,
                operations,
                commit_message=message,
                revision=self.branch,
                parent_commit=parent,
            )
        return str(info.oid)

    def download(self, commit: str, names: Sequence[str], folder: Path) -> Path:
        """Download `names` at `commit` into `folder`, bypassing the cache; return the snapshot."""
        from huggingface_hub import snapshot_download

        with _explained(self._request):
            return Path(
                snapshot_download(
                    self.repo, revision=commit, allow_patterns=list(names), cache_dir=folder
                )
            )

    def read(self, commit: str, names: Sequence[str]) -> dict[str, bytes]:
        """Return the contents of those of `names` that exist at `commit`."""
        with tempfile.TemporaryDirectory(prefix="gluetune-read-") as folder:
            snapshot = self.download(commit, names, Path(folder))
            paths = {name: snapshot / name for name in names}
            return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}

    def _make_branch(self, api: HfApi) -> None:
        from huggingface_hub import errors

        try:
            api.model_info(self.repo, revision=self.branch)
        except errors.RevisionNotFoundError:
            api.create_branch(self.repo, branch=self.branch, exist_ok=True)

    def _read(self, api: HfApi) -> RemoteBranch:
        from huggingface_hub.hf_api import RepoFile

        info = api.model_info(self.repo, revision=self.branch)
        if info.sha is None:
            raise KeyError("sha")
        files = api.list_repo_tree(self.repo, recursive=True, revision=info.sha)
        digests = {
            file.path: file.lfs.sha256 if file.lfs else file.blob_id
            for file in files
            if isinstance(file, RepoFile)
        }
        return RemoteBranch(info.sha, bool(info.private), digests)


def collect(owner: str, title: str, repos: Sequence[str], private: bool) -> str:
    """Add models to a collection of `owner`, created if it does not exist; return its URL.

    Raises HubError.
    """
    from huggingface_hub import HfApi

    request = HubRequest(
        "model", repos[0], None, "repeat the command, which adds only what is missing"
    )
    with _explained(request):
        api = HfApi()
        made = api.create_collection(title, namespace=owner, private=private, exists_ok=True)
        for repo in repos:
            api.add_collection_item(made.slug, repo, "model", exists_ok=True)
    return str(made.url)


@contextmanager
def _explained(request: HubRequest) -> Iterator[None]:
    """Bound the retries, and turn failures into gluetune's errors."""
    from huggingface_hub import errors

    try:
        with bounded_retries(_PATIENCE):
            yield
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        # A proxy's page, a truncated response, or a server that is not a Hub.
        broken = ConnectionError("the response is not from a Hub")
        raise explained_upload(broken, request) from error
    # ValueError: a response that lacks a field. RuntimeError: a file that did not arrive.
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        raise explained_upload(error, request) from error
