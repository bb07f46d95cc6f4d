"""`gluetune.push_suite`: a suite's models on the Hub, a repository for each task, in a collection.

The runs are those of one seed, the first unless another is said: the best of several would be
published as if it were what the recipe gives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gluetune.errors import ConfigurationError, Finding, RunError
from gluetune.hub_uploads import collect
from gluetune.publishing.upload import Pushed, name_findings, push, run_findings
from gluetune.runs import Run
from gluetune.suite_records import Suite


def push_suite(
    suite: str | Path | Suite,
    repo: str,
    *,
    seed: int | None = None,
    collection: str | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    tell: Callable[[str], object] | None = None,
) -> list[Pushed]:
    """Publish the runs of one seed of a suite, each as `repo` with its task's name behind it.

    Args:
        suite: A suite's folder.
        repo: `owner/name`: CoLA's model becomes `owner/name-cola`, and so on.
        seed: Whose runs; the first that the suite was asked for by default.
        collection: Title of a collection of the owner's that lists them; it is made where there is
            none.
        private, revision, message, dry_run, tell: As in `gluetune.push`.

    What stands against any of them is told before the first is sent. Repeated, it sends only what
    is missing.

    Raises:
        GluetuneError: as `gluetune.push`; RunError for a seed that the suite does not have, or that
            finished no run.
    """
    opened = suite if isinstance(suite, Suite) else Suite(suite)
    runs = opened.runs_of(seed)
    if not runs:
        raise RunError(
            f"{opened.path} has no finished run of this seed.",
            hint=f"Go on with it: {opened.record.command}",
        )
    names = {f"{repo}-{run.record.task}": run for run in runs}
    findings = _findings(names, repo, revision)
    if findings:
        raise ConfigurationError.of(findings)
    say = tell or (lambda line: None)
    say(f"{len(runs)} runs of seed {runs[0].record.seed}, a repository each")
    pushed = [
        push(
            run,
            name,
            private=private,
            revision=revision,
            message=message,
            dry_run=dry_run,
            tell=tell,
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
