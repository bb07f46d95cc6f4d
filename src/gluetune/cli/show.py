"""`gluetune show`: random examples, label balance and length histogram of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.text import Text

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads
from gluetune.core.tasks import TaskSpec
from gluetune.core.terminal import Console, Table, print_json
from gluetune.core.text import visible

if TYPE_CHECKING:
    from gluetune.data.summary import ShownExample, Summary

_BAR_WIDTH = 30
_SHORTEST_BAR = 5


@loads
def show(
    task: Annotated[
        str,
        typer.Argument(help="GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli, ax."),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Source of GLUE: `sample`, or a folder of its files. Default: GLUETUNE_DATA, "
            "else the Hub."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to show. Default: train.")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", help="Number of examples to draw.")] = 10,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the draw. Default: a new one each time.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Also show one example as tokenized for this checkpoint.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show random examples of a task, its label balance, and how long its texts are."""
    from gluetune.data.summary import describe_split

    summary = describe_split(task, data, split, rows, seed)
    if as_json:
        print_json({**vars(summary), "task": summary.task.name})
        return
    console = Console()
    render_summary(console, summary)
    if model is not None and summary.examples:
        _show_encoded(console, summary.task, summary.examples[0], model)


def render_summary(console: Console, summary: Summary) -> None:
    """Print a split's source, label balance, lengths and examples."""
    console.print(Text(summary.task.title, style="bold"))
    console.print(_plain(f"{summary.rows:,} examples of '{summary.split}' from {summary.source}"))
    for note in summary.notes:
        console.print(Text("Note: ", style="yellow").append(visible(note)))
    _heading(console, "Labels")
    labels = [(label.name, label.count) for label in summary.labels]
    console.print(_bars(console, labels, summary.rows))
    _heading(
        console,
        f"Words per example: median {summary.median_words:g}, most {summary.most_words:,}",
    )
    lengths = [(_range(each.low, each.high), each.count) for each in summary.lengths]
    console.print(_bars(console, lengths, summary.rows))
    if summary.examples:
        _heading(console, f"Random examples (--seed {summary.seed})")
    for example in summary.examples:
        _print_example(console, example)


def render_encoded(console: Console, encoded: Mapping[str, list[int]], tokens: list[str]) -> None:
    """Print one example as the model receives it: its tokens, then each input by name."""
    _heading(console, f"As the model receives it: {len(tokens)} tokens")
    grid = _grid()
    grid.add_row(_name("tokens"), _plain(" ".join(tokens)))
    for key, values in encoded.items():
        grid.add_row(_name(key), _plain(" ".join(str(value) for value in values)))
    console.print(grid)


def _show_encoded(console: Console, task: TaskSpec, example: ShownExample, model: str) -> None:
    from gluetune.data.encoding import encode_one
    from gluetune.models.checkpoints import find_checkpoint
    from gluetune.models.tokenizers import input_limit, load_config, load_tokenizer

    checkpoint = find_checkpoint(model)
    config = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint, config)
    limit = input_limit(config, tokenizer)
    encoded = encode_one(example.texts, task, tokenizer, max_length=limit)
    render_encoded(console, encoded, tokenizer.convert_ids_to_tokens(encoded["input_ids"]))


def _print_example(console: Console, example: ShownExample) -> None:
    head = Text(f"#{example.index} ", style="dim").append(visible(example.label), style="cyan")
    console.print(head)
    grid = _grid()
    for column, text in example.texts.items():
        grid.add_row(_name(f"  {column}"), _plain(text))
    console.print(grid)


def _bars(console: Console, rows: Sequence[tuple[str, int]], total: int) -> Table:
    """Return a chart of one bar a row, as long as its share of the largest.

    The names and numbers come first; where too little room is left, there are no bars.
    """
    most = max(count for _, count in rows)
    taken = max(cell_len(name) for name, _ in rows) + len(f"{most:,} 100.0%") + 2
    width = min(_BAR_WIDTH, console.width - taken)
    width = width if width >= _SHORTEST_BAR else 0
    block = "\u2588" if console.encoding.startswith("utf") else "#"
    chart = Table.grid(padding=(0, 1))
    chart.add_column(overflow="fold")
    chart.add_column(no_wrap=True)
    chart.add_column(justify="right", no_wrap=True)
    chart.add_column(justify="right", no_wrap=True)
    for name, count in rows:
        length = max(round(width * count / most), min(1, width)) if count else 0
        bar = Text(block * length, style="cyan")
        chart.add_row(_plain(name), bar, f"{count:,}", f"{100 * count / total:.1f}%")
    return chart


def _range(low: int, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return str(low) if low == high else f"{low} to {high}"


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _name(text: str) -> Text:
    return Text(text, style="dim")


def _plain(text: str) -> Text:
    """Return `text` as it is: square brackets in it are not markup."""
    return Text(visible(text))
