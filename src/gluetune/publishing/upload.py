"""`gluetune.push`: a finished run as a model on the Hub, with its card, read back and compared."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gluetune.command_lines import command_line
from gluetune.errors import ConfigurationError, Finding, GluetuneError, HubError
from gluetune.hub_uploads import ModelRepository, RemoteBranch, known_tokens, require_token
from gluetune.publishing.card import make_card
from gluetune.publishing.evaluation_results import results_file
from gluetune.publishing.local_paths import LocalPaths, base_name
from gluetune.publishing.model_files import (
    PublishedFile,
    model_files,
    secret_findings,
    stray_files,
)
from gluetune.publishing.verification import Verification, check_answers, check_files
from gluetune.records import Record, Status, shown
from gluetune.runs import Run
from gluetune.settings_files import dump_yaml

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_BRANCH = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_STALE = re.compile(
    r"(model|pytorch_model|tf_model|flax_model|adapter_model|rust_model).*"
    r"|(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|generation_config)\.json"
    r"|vocab\.txt|merges\.txt|[^/]+\.model|chat_template\.jinja|\.eval_results/glue-[^/]+\.yaml"
)
"""Files of a model that stood there before: beside another's they would be loaded in its place."""


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What became of a push."""

    status: Literal["uploaded", "unchanged", "dry run"]
    """`unchanged`: the Hub held all of it already, and it was read back all the same."""
    repo: str
    url: str
    revision: str
    """The branch."""
    private: bool
    card: str
    """README.md."""
    files: tuple[tuple[str, int], ...]
    """Names and sizes in bytes of all that belongs to the model."""
    commit: str | None = None
    made: bool = False
    """Whether the repository was made for it."""
    replaced: tuple[str, ...] = ()
    """Files that stood there with another content; the repository's history keeps it."""
    removed: tuple[str, ...] = ()
    """Files of a model that stood there before; the repository's history keeps them."""
    verification: Verification | None = None


def push(
    run: str | Path | Run,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    tell: Callable[[str], object] | None = None,
) -> Pushed:
    """Publish a finished run's best model on the Hugging Face Hub as `repo`, `owner/name`.

    Safetensors, tokenizer and configuration go up with a card made from the record and the scores
    as the Hub reads them, in one commit. It is downloaded again afterwards, compared byte for byte,
    and asked about validation rows. What is there already is not sent again, so a push that broke
    off is repeated by the same call. A model that stood there before is replaced, and stays in the
    repository's history.

    Args:
        run: A run's folder.
        repo: The repository; it is made where there is none.
        private: Make it a private one.
        revision: Branch to write to; `main` by default.
        message: Of the commit.
        dry_run: Make the card and the list of files, and touch no network.
        tell: Called with a line before each longer piece of work.

    The token is the one that `huggingface_hub` finds: HF_TOKEN, or what `hf auth login` left.

    Raises:
        ConfigurationError: for a name that is none, a run that is not finished, files that must not
            be published, and texts that look as if they held a secret: all together.
        HubError: when there is no token, the Hub refuses, fails or cannot be reached, or what it
            gives back is not what was sent.
    """
    run = run if isinstance(run, Run) else Run(run)
    findings = [*name_findings(repo, revision), *run_findings(run)]
    if findings:
        raise ConfigurationError.of(findings)
    say = tell or (lambda line: None)
    card, files = _package(run, repo, revision)
    branch = ModelRepository(repo, revision, _again(run, repo, private, revision))
    planned = Pushed(
        status="dry run",
        repo=repo,
        url=branch.url,
        revision=branch.branch,
        private=private,
        card=card,
        files=tuple((file.name, file.size) for file in files),
    )
    if dry_run:
        return planned
    require_token()
    sent = _send(run, branch, files, planned, message or _message(run.record), say)
    say("Reading it back")
    try:
        found = _read_back(run, branch, files, sent.commit or "")
    except GluetuneError as error:
        raise _not_verified(sent, error, branch) from error
    return replace(sent, verification=found)


def name_findings(repo: str, revision: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the names of a repository and of a branch in it."""
    parts = repo.split("/")
    whole = len(parts) == 2 and all(_NAME.fullmatch(part) for part in parts)
    if not whole or len(repo) > 96 or "--" in repo or ".." in repo or repo.endswith(".git"):
        yield Finding(
            f"'{repo}' cannot be the name of a model on the Hub.",
            "Type owner/name, in letters, digits, '-', '_' and '.': gluetune push RUN me/my-model",
        )
    if revision is not None and (not _BRANCH.fullmatch(revision) or ".." in revision):
        yield Finding(
            f"--revision '{revision}' cannot be the name of a branch.",
            "Type for instance: --revision seed-43",
        )


def run_findings(run: Run) -> Iterator[Finding]:
    """Yield what stands against publishing a run."""
    record = run.record
    if record.status is not Status.FINISHED:
        yield Finding(
            f"{run.path} is not finished: its record says '{record.status.value}'.",
            "Type: " + command_line("train", resume=run.path),
        )
        return
    yield from stray_files(run)
    from gluetune.files import weights_digest

    if weights_digest(run.model_path) != record.best_weights_sha256:
        yield Finding(
            f"The weights in {run.model_path} are not those that the record is of.",
            "Train it again: what was scored is not what would be published.",
        )


def _package(run: Run, repo: str, revision: str | None) -> tuple[str, list[PublishedFile]]:
    """Return the card and every file, the texts searched for secrets."""
    paths = LocalPaths(run)
    task = run.task
    card = make_card(run, repo, revision, paths)
    files = [PublishedFile("README.md", card.text.encode()), *model_files(run, paths)]
    results = results_file(run.record, task, card.intervals.get("score"))
    if results is not None:
        name, entries = results
        files.append(PublishedFile(name, dump_yaml(entries).encode()))
    findings = list(secret_findings(files, run.model_path, known_tokens()))
    if findings:
        raise ConfigurationError.of(findings)
    return card.text, files


def _send(
    run: Run,
    branch: ModelRepository,
    files: list[PublishedFile],
    planned: Pushed,
    message: str,
    say: Callable[[str], object],
) -> Pushed:
    """Bring the branch to hold `files`, by one commit, or by none where it does."""
    there, made = branch.open(private=planned.private)
    changed = [file for file in files if not _is_there(file, there)]
    names = {file.name for file in files}
    removed = sorted(name for name in there.digests if name not in names and _STALE.fullmatch(name))
    opened = replace(
        planned,
        made=made,
        private=there.private,
        replaced=tuple(file.name for file in changed if file.name in there.digests),
        removed=tuple(removed),
    )
    if not changed and not removed:
        return replace(opened, status="unchanged", commit=there.head)
    size = sum(file.size for file in changed)
    say(f"Uploading {len(changed)} files, {size / 1e6:.1f} MB, to {planned.url}")
    commit = branch.commit(
        {file.name: file.content for file in changed}, removed, message, there.head
    )
    return replace(opened, status="uploaded", commit=commit)


def _is_there(file: PublishedFile, there: RemoteBranch) -> bool:
    return there.digests.get(file.name) in (file.sha256, file.git_blob)


def _read_back(
    run: Run, branch: ModelRepository, files: list[PublishedFile], commit: str
) -> Verification:
    with tempfile.TemporaryDirectory(prefix="gluetune-push-") as folder:
        names = [file.name for file in files]
        snapshot = branch.download(commit, names, Path(folder))
        check_files(files, snapshot, branch.url)
        return check_answers(run, snapshot, branch.url)


def _not_verified(sent: Pushed, error: GluetuneError, branch: ModelRepository) -> HubError:
    """Return the error of a commit that stands, and could not be read back as it should be."""
    first = error.findings[0]
    return HubError(
        f"Commit {(sent.commit or '')[:12]} is on {branch.url}, but it is not verified. "
        f"{first.message}",
        hint=first.hint,
    )


def _message(record: Record) -> str:
    score = record.best.validation.score if record.best else None
    base = base_name(record.model.name) if record.model else "a checkpoint"
    return f"{base} on {record.task}, validation score {shown(score)} (gluetune)"


def _again(run: Run, repo: str, private: bool, revision: str | None) -> str:
    """Return what to type after a failure, as the end of a sentence."""
    again = command_line("push", run.path, repo, private=private, revision=revision)
    return f"type it again, which sends only what is missing: {again}"
