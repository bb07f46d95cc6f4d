"""`gluetune.push`: publish a finished run on the Hub, with a model card, and verify it.

`gluetune.push_suite`: publish a suite's runs of one seed, a repository per task, in a collection.
The seed is the suite's first by default: the best of several would overstate the recipe.

A push is verified: it is downloaded, and its bytes and predictions are compared with the run's.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gluetune.core.command_lines import command_line, typed
from gluetune.core.errors import (
    ConfigurationError,
    Finding,
    GluetuneError,
    HubError,
    RunError,
    renamed_parameters,
)
from gluetune.core.files import weights_digest
from gluetune.core.inference_settings import InferenceSettings
from gluetune.core.records import Predictions, Record, Status, shown
from gluetune.core.runs import LocalPaths, Run, base_name, is_local, open_run
from gluetune.core.settings_files import dump_yaml
from gluetune.core.suites import SuiteResult
from gluetune.core.tables import FieldsInHtml
from gluetune.core.tasks import TaskSpec
from gluetune.hub.uploads import ModelRepository, RemoteBranch, collect, known_tokens, require_token
from gluetune.publishing.card import make_card, results_file
from gluetune.publishing.model_files import (
    PublishedFile,
    model_files,
    secret_findings,
    stray_files,
)
from gluetune.publishing.readme import NAME as MANIFEST
from gluetune.publishing.readme import Manifest, is_ours, merge_readme, metadata_of, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa


_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_BRANCH = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_README = "README.md"
_LOADED = re.compile(
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|adapter_(config|model)\..*"
    r"|(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|generation_config)\.json"
    r"|vocab\.txt|merges\.txt|[^/]+\.model|chat_template\.jinja"
)
"""Files that transformers may read in addition to ours."""
_RESULTS = re.compile(r"\.eval_results/glue-[^/]+\.yaml")
"""Scores that pushes wrote before there was a manifest. They are false for another model."""


@dataclass(frozen=True, kw_only=True)
class PushResult(FieldsInHtml):
    """The result of a push."""

    status: Literal["uploaded", "unchanged", "dry run"]
    """`unchanged`: the Hub had every file already; it was verified all the same."""
    repo: str
    url: str
    revision: str
    """The branch."""
    private: bool
    card: str
    """README.md."""
    files: tuple[tuple[str, int], ...]
    """Names and sizes in bytes of the model's files."""
    commit: str | None = None
    made: bool = False
    """Whether the push created the repository."""
    replaced: tuple[str, ...] = ()
    """Files that had another content before; the repository's history keeps it."""
    removed: tuple[str, ...] = ()
    """Files of an earlier push that were deleted; the history keeps them."""
    kept: tuple[str, ...] = ()
    """Files that no push wrote, and that a loader may read in addition to the model's."""
    verification: Verification | None = None


@renamed_parameters(tell="on_message")
def push(
    run: str | Path | Run,
    repo: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    on_message: Callable[[str], object] | None = None,
) -> PushResult:
    """Publish a finished run's best model on the Hugging Face Hub as `repo`, `owner/name`.

    One commit adds safetensors, tokenizer, configuration, a model card made from the record, and
    the scores in the Hub's format. The commit is then downloaded, compared byte for byte, and run
    on validation rows. Files that are on the Hub already are not sent again, so the same call
    completes an interrupted push. Files of an earlier push are replaced or deleted, and stay in the
    repository's history. Files, metadata and text of README.md that the owner wrote are kept.

    Args:
        run: A run's folder.
        repo: The repository; it is created if it does not exist.
        private: Create a private repository.
        revision: Branch to write to; `main` by default.
        message: Commit message.
        dry_run: Make the card and the list of files, without network access.
        on_message: Called with a line before each longer step.

    The token is the one that `huggingface_hub` finds: HF_TOKEN, or that of `hf auth login`.

    Raises:
        ConfigurationError: for an invalid name, an unfinished run, files that must not be
            published, and texts that appear to hold a secret: all together.
        HubError: if there is no token, the Hub refuses, fails or cannot be reached, or the
            downloaded files or predictions differ.
    """
    run = open_run(run)
    ConfigurationError.raise_any([*name_findings(repo, revision), *run_findings(run)])
    say = on_message or (lambda line: None)
    card, model = _package(run, repo, revision)
    files = _all_files(card, model, _RemoteContent())
    branch = ModelRepository(repo, revision, _again(run, repo, private, revision))
    planned = PushResult(
        status="dry run",
        repo=repo,
        url=branch.url,
        revision=branch.branch,
        private=private,
        card=_text_of(files),
        files=tuple((file.name, file.size) for file in files),
    )
    if dry_run:
        return planned
    require_token()
    sent, files = _send(branch, card, model, planned, message or _message(run.record), say)
    say("Verifying the upload")
    try:
        found = _read_back(run, branch, files, sent)
    except GluetuneError as error:
        raise _not_verified(sent, error, branch) from error
    return replace(sent, verification=found)


def name_findings(repo: str, revision: str | None = None) -> Iterator[Finding]:
    """Yield a finding for an invalid name of a repository or branch."""
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
    """Yield each reason why a run cannot be published."""
    record = run.record
    if record.status is not Status.FINISHED:
        yield Finding(
            f"{run.path} is not finished: its status is '{record.status.value}'.",
            "Type: " + command_line("train", resume=run.path),
        )
        return
    yield from stray_files(run)
    if run.config.method == "lora" and record.model and is_local(record.model.name):
        yield Finding(
            f"{run.path} is an adapter for {record.model.name}, a folder of this machine: nobody "
            "else could load it.",
            "Push that checkpoint, and train with --model owner/name; or train with --method full.",
        )
    if weights_digest(run.model_path) != record.best_weights_sha256:
        yield Finding(
            f"The weights in {run.model_path} are not those of the record.",
            "Train it again: the published weights would not be those that were evaluated.",
        )


def _package(run: Run, repo: str, revision: str | None) -> tuple[str, list[PublishedFile]]:
    """Return the card and the model's files, after a search for secrets."""
    paths = LocalPaths(run)
    task = run.task
    card = make_card(run, repo, revision, paths)
    files = model_files(run, paths)
    results = results_file(run.record, task, card.intervals.get("score"))
    if results is not None:
        name, entries = results
        files.append(PublishedFile(name, dump_yaml(entries).encode()))
    whole = [PublishedFile(_README, card.text.encode()), *files]
    ConfigurationError.raise_any(secret_findings(whole, run.model_path, known_tokens()))
    return card.text, files


@dataclass(frozen=True)
class _RemoteContent:
    """What earlier pushes and the owner have written on a branch."""

    readme: str | None = None
    manifest: Manifest | None = None

    def stale(self, digests: Mapping[str, str], names: Sequence[str]) -> list[str]:
        """Return the files of earlier pushes to delete."""
        if self.manifest is not None:
            return self.manifest.stale(digests, names)
        if self.readme is None or not is_ours(self.readme):
            return []
        return sorted(name for name in digests if name not in names and _RESULTS.fullmatch(name))


def _all_files(
    card: str, model: Sequence[PublishedFile], there: _RemoteContent
) -> list[PublishedFile]:
    """Return all files of a push: README.md with the owner's text, the model's, the manifest."""
    written = None if there.manifest is None else there.manifest.metadata
    readme = merge_readme(card, there.readme, written)
    manifest = Manifest.of(model, metadata_of(card))
    return [PublishedFile(_README, readme.encode()), *model, manifest.published()]


def _text_of(files: Sequence[PublishedFile]) -> str:
    return next(file.text() or "" for file in files if file.name == _README)


def _read_remote(branch: ModelRepository, found: RemoteBranch) -> _RemoteContent:
    """Read what earlier pushes and the owner wrote. Raises HubError if that is not possible."""
    names = [name for name in (_README, MANIFEST) if name in found.digests]
    contents = branch.read(found.head, names) if names else {}
    readme = contents.get(_README)
    try:
        there = _RemoteContent(
            None if readme is None else readme.decode("utf-8"),
            read_manifest(contents.get(MANIFEST)),
        )
        merge_readme("", there.readme)
    except ValueError as error:
        raise HubError(
            f"README.md of {branch.url} cannot be read, so its owner's text cannot be kept: "
            f"{error}.",
            hint=f"Fix it on its page ({branch.url}), then push again. Nothing was changed.",
        ) from error
    return there


def _send(
    branch: ModelRepository,
    card: str,
    model: Sequence[PublishedFile],
    planned: PushResult,
    message: str,
    say: Callable[[str], object],
) -> tuple[PushResult, list[PublishedFile]]:
    """Commit the files that the branch lacks, if any.

    Return the result, and every file of this push.
    """
    found, made = branch.open(private=planned.private)
    there = _read_remote(branch, found)
    files = _all_files(card, model, there)
    names = [file.name for file in files]
    there_now = found.digests.get
    changed = [one for one in files if there_now(one.name) not in (one.sha256, one.git_blob)]
    removed = there.stale(found.digests, names)
    kept = [
        name for name in found.digests if name not in (*names, *removed) and _LOADED.fullmatch(name)
    ]
    opened = replace(
        planned,
        made=made,
        private=found.private,
        card=_text_of(files),
        files=tuple((file.name, file.size) for file in files),
        replaced=tuple(file.name for file in changed if file.name in found.digests),
        removed=tuple(removed),
        kept=tuple(sorted(kept)),
    )
    if not changed and not removed:
        return replace(opened, status="unchanged", commit=found.head), files
    size = sum(file.size for file in changed)
    say(f"Uploading {len(changed)} files, {size / 1e6:.1f} MB, to {planned.url}")
    commit = branch.commit(
        {file.name: file.content for file in changed}, removed, message, found.head
    )
    return replace(opened, status="uploaded", commit=commit), files


def _read_back(
    run: Run, branch: ModelRepository, files: Sequence[PublishedFile], sent: PushResult
) -> Verification:
    """Download the push, with other files that a loader reads, and compare it with the run."""
    with tempfile.TemporaryDirectory(prefix="gluetune-push-") as folder:
        names = [*(file.name for file in files), *sent.kept]
        snapshot = branch.download(sent.commit or "", names, Path(folder))
        check_files(files, snapshot, branch.url)
        try:
            return check_predictions(run, snapshot, branch.url)
        except GluetuneError as error:
            first = error.findings[0]
            message = first.message.replace(str(snapshot), branch.url)
            raise HubError(message, hint=_kept_hint(branch, sent.kept) or first.hint) from error


def _kept_hint(branch: ModelRepository, kept: Sequence[str]) -> str:
    """Return what to do if files of the owner may be why a model cannot be read; or ""."""
    if not kept:
        return ""
    revision = [] if branch.branch == "main" else ["--revision", branch.branch]
    delete = typed("hf", "repos", "delete-files", branch.repo, *kept, *revision)
    return (
        f"No push wrote {', '.join(kept)}, and loaders may read them. Delete those of another "
        f"model, then push again: {delete}"
    )


def _not_verified(sent: PushResult, error: GluetuneError, branch: ModelRepository) -> HubError:
    """Return the error of a commit that was made and could not be verified."""
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
    return f"repeat the command, which sends only what is missing: {again}"


@renamed_parameters(tell="on_message")
def push_suite(
    suite: str | Path | SuiteResult,
    repo: str,
    *,
    seed: int | None = None,
    collection: str | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    on_message: Callable[[str], object] | None = None,
) -> list[PushResult]:
    """Publish the runs of one seed of a suite, each as `repo` followed by its task's name.

    Args:
        suite: A suite's folder.
        repo: `owner/name`: CoLA's model becomes `owner/name-cola`, and so on.
        seed: Seed of the runs; the suite's first by default.
        collection: Title of a collection of the owner that lists them; it is created if it does not
            exist.
        private, revision, message, dry_run, on_message: As in `gluetune.push`.

    Every problem is reported before the first run is sent. The same call completes an interrupted
    push.

    Raises:
        GluetuneError: as `gluetune.push`; RunError for a seed that the suite does not have, or
            without a finished run.
    """
    opened = suite if isinstance(suite, SuiteResult) else SuiteResult(suite)
    runs = opened.runs_of(seed)
    if not runs:
        raise RunError(
            f"{opened.path} has no finished run of this seed.",
            hint=f"Resume it: {opened.record.command}",
        )
    names = {f"{repo}-{run.record.task}": run for run in runs}
    ConfigurationError.raise_any(_findings(names, repo, revision))
    say = on_message or (lambda line: None)
    say(f"{len(runs)} runs of seed {runs[0].record.seed}, a repository each")
    pushed = [
        push(
            run,
            name,
            private=private,
            revision=revision,
            message=message,
            dry_run=dry_run,
            on_message=on_message,
        )
        for name, run in names.items()
    ]
    if collection is not None and not dry_run:
        say(f"In the collection {collect(repo.split('/')[0], collection, list(names), private)}")
    return pushed


def _findings(names: dict[str, Run], repo: str, revision: str | None) -> list[Finding]:
    wrong = list(name_findings(repo, revision))
    if wrong:
        return wrong
    return [
        finding
        for name, run in names.items()
        for finding in (*name_findings(name), *run_findings(run))
    ]


ROWS = 256
"""Validation rows that are predicted again, at most."""

_TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-3}
"""Largest difference of a logit, relative to the largest: batches and execution paths differ."""


@dataclass(frozen=True)
class Verification(FieldsInHtml):
    """The result of a verification. Everything else was found equal."""

    rows: int
    """Validation rows whose logits were compared; 0 if that was not possible."""
    largest_difference: float | None
    """Of a logit, from the run's saved one."""
    not_compared: str = ""
    """Why no logits were compared."""


def check_files(files: Sequence[PublishedFile], folder: Path, place: str) -> None:
    """Raise HubError unless `folder` contains each of `files`, byte for byte."""
    for file in files:
        path = folder / file.name
        if not path.is_file() or PublishedFile(file.name, path).sha256 != file.sha256:
            state = "differs from" if path.is_file() else "is missing from"
            raise HubError(
                f"{file.name} {state} what was sent to {place}.",
                hint="Push again. If this persists, a proxy may be changing files.",
            )


def check_predictions(run: Run, folder: Path, place: str) -> Verification:
    """Run the model in `folder` on validation rows, and compare its logits with the run's.

    If the rows or the saved logits are missing, `Verification.not_compared` says so. Raises
    HubError if the logits differ by more than rounding.
    """
    task = run.task
    split = task.validation_splits[0]
    try:
        kept = Predictions.of_table(run.predictions(split).slice(0, ROWS))
        rows = _rows(run, task, split)
    except GluetuneError as error:
        return Verification(0, None, error.findings[0].message)
    if rows is None:
        return Verification(0, None, f"the data of '{split}' have changed since the run.")
    return _compared(run, task, folder, place, kept, rows)


def _rows(run: Run, task: TaskSpec, split: str) -> pa.Table | None:
    """Return the first validation rows of the run; None if the data have changed."""
    from gluetune.data.sources import source_of
    from gluetune.data.tables import fingerprint

    data = run.record.data
    source = source_of(run.config, recorded=data.source if data else None, task=task)
    table = source.read(task, split)
    if data is not None and data.fingerprints.get(split) != fingerprint(table):
        return None
    return table.slice(0, ROWS)


def _compared(
    run: Run, task: TaskSpec, folder: Path, place: str, kept: Predictions, rows: pa.Table
) -> Verification:
    import numpy as np

    from gluetune.inference.loader import open_model

    config = run.config
    settings = InferenceSettings(
        precision=config.precision,
        batch_size=config.eval_batch_size,
        threads=config.threads,
        max_length=config.max_length,
        trust_remote_code=config.trust_remote_code,
    )
    opened = open_model(folder, task, settings)
    found = opened.predict(task, {"validation": rows})["validation"]
    largest = float(np.abs(found.logits - kept.logits).max(initial=0.0))
    scale = max(1.0, float(np.abs(kept.logits).max(initial=0.0)))
    if not largest <= _TOLERANCES[opened.precision] * scale:
        raise HubError(
            f"The model on {place} does not predict as the run does: a logit differs by "
            f"{largest:.3g}.",
            hint=f"Check whether {run.path} itself does: {command_line('evaluate', run.path)}",
        )
    return Verification(len(rows), largest)
