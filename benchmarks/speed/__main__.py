"""Times gluetune and its peers in turn, in one process tree, and prints medians and ratios.

    make bench
    GLUETUNE_DATA=DIR python -m benchmarks.speed --tasks cola rte --rounds 5
    python -m benchmarks.speed --architectures
    python -m benchmarks.speed --no-dropout --write benchmarks/results/speed.md

All contestants get the same checkpoint, the same tokens, the same batches in the same order and
the same TrainingArguments; each turn is a process of its own. This process only waits.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.contest import prepare_contest, say
from benchmarks.speed.options import parse
from benchmarks.speed.report import other_batches, report
from benchmarks.speed.turns import WorkerError

_INTERRUPTED = 130


def main() -> int:
    """Run the contest that the command line asks for. Returns the exit status."""
    options = parse()
    stopped = False
    with tempfile.TemporaryDirectory(prefix="gluetune-speed-") as folder:
        try:
            contest = prepare_contest(options, Path(folder))
        except WorkerError as error:
            say(str(error))
            return 1
        except KeyboardInterrupt:
            say("Stopped.")
            return _INTERRUPTED
        try:
            contest.take_turns()
        except KeyboardInterrupt:
            stopped = True
    if contest.turns:
        text = report(contest)
        print(text)
        if options.write and not stopped:
            options.write.write_text(text, encoding="utf-8")
    if stopped:
        say("Stopped: the report is of the turns that were finished, and is not written.")
        return _INTERRUPTED
    return 1 if contest.failed or other_batches(contest) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worker ends too
    sys.exit(main())
