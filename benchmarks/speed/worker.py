"""The process of one job: `python -m benchmarks.speed.worker JOB REQUEST RESPONSE`.

A plain contestant's process never imports gluetune: each job imports only what it needs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Read the request, do the job, write the response."""
    job, request, response = sys.argv[1:]
    settings = json.loads(Path(request).read_text(encoding="utf-8"))
    Path(response).write_text(json.dumps(do(job, settings)), encoding="utf-8")


def do(job: str, request: dict[str, Any]) -> dict[str, Any]:
    """Do one job. Raises ValueError when there is no such job."""
    if job == "machine":
        from benchmarks.speed.machine import describe

        return describe()
    if job == "checkpoints":
        from benchmarks.speed.architectures import write_checkpoints

        return write_checkpoints(**request)
    if job == "prepare":
        from benchmarks.speed.preparation import prepare

        return prepare(**request)
    if job == "measure":
        from benchmarks.speed.measuring import take_turn

        return take_turn(request)
    raise ValueError(f"There is no job {job!r}.")


if __name__ == "__main__":
    main()
