from __future__ import annotations

from typing import Any

from benchmarks.speed.tables import (
    cases_of,
    evaluation_rows,
    evaluation_table,
    projection_table,
    ratio_table,
    slower_cases,
    training_rows,
    training_table,
)
from benchmarks.speed.turns import Measurement, Phase


def phase(seconds: float, **changes: Any) -> Phase:
    values = {"examples": 160, "real_tokens": 1000, "all_tokens": 4000, "peak_bytes": 2**30}
    return Phase(seconds=seconds, **{**values, **changes})


def turn(contestant: str, seconds: float, number: int = 0, **changes: Any) -> Measurement:
    values: dict[str, Any] = {
        "case": "cola",
        "round": number,
        "contestant": contestant,
        "precision": "fp32",
        "parameters": 10**6,
        "steps": 10,
        "training": phase(seconds),
        "outside_seconds": 0.5,
        "losses": [0.7, 0.6, 0.5],
        "batches": "same",
        "evaluations": {"": phase(seconds / 10)},
        "logits": {"": [[0.0, 1.0]]},
    }
    return Measurement(**{**values, **changes})


def cells(table: str, line: int) -> list[str]:
    """Return the cells of a line under the heading."""
    return [cell.strip() for cell in table.splitlines()[2 + line].strip("|").split("|")]


def by_case(turns: list[Measurement]) -> dict[str, Any]:
    return {case: training_rows(found) for case, found in cases_of(turns).items()}


def test_ratios_are_the_median_and_range_over_rounds() -> None:
    turns = [turn("notebook", 6.0, number) for number in range(3)]
    turns += [turn("gluetune", seconds, number) for number, seconds in enumerate((2.0, 3.0, 1.0))]
    table = ratio_table(by_case(turns), "notebook")
    assert cells(table, 0) == ["cola", "3.00 (2.00 to 6.00)"]
    assert len(table.splitlines()) == 3  # one case has no mean of its own


def test_several_cases_have_a_geometric_mean() -> None:
    turns = [
        turn("notebook", 8.0),
        turn("gluetune", 4.0),
        turn("notebook", 8.0, case="rte"),
        turn("gluetune", 1.0, case="rte"),
        turn("run_glue", 16.0, case="rte"),
    ]
    table = ratio_table(by_case(turns), "notebook")
    assert cells(table, 0) == ["cola", "2.00 (2.00 to 2.00)", "-"]
    assert cells(table, 1) == ["rte", "8.00 (8.00 to 8.00)", "0.50 (0.50 to 0.50)"]
    assert cells(table, 2) == ["geometric mean", "**4.00**", "**0.50**"]


def test_a_case_without_its_baseline_has_no_ratios() -> None:
    turns = [turn("gluetune", 1.0, case="rte"), turn("notebook", 2.0), turn("gluetune", 1.0)]
    table = ratio_table(by_case(turns), "notebook")
    assert len(table.splitlines()) == 3
    assert cells(table, 0)[0] == "cola"


def test_cases_that_are_slower_are_named() -> None:
    turns = [turn("notebook", 2.0, number) for number in range(3)]
    turns += [turn("gluetune", 4.0, number) for number in range(3)]
    turns += [turn("notebook", 2.0, number, case="rte") for number in range(3)]
    turns += [turn("gluetune", 2.5 - number, number, case="rte") for number in range(3)]
    turns += [turn("notebook", 2.0, number, case="qnli") for number in range(3)]
    turns += [turn("gluetune", 2.5, number, case="qnli") for number in (0, 1)]
    turns += [turn("gluetune", 1.0, 2, case="qnli")]
    assert slower_cases(by_case(turns), "notebook", "gluetune") == (
        "Where gluetune is slower than notebook: cola (0.50, in every round), "
        "qnli (0.80, not always)."
    )
    faster = by_case([one for one in turns if one.case == "rte"])
    assert slower_cases(faster, "notebook", "gluetune").endswith("notebook: none of 1.")


def test_training_shows_rates_memory_and_losses() -> None:
    turns = [turn("notebook", seconds, number) for number, seconds in enumerate((1.0, 2.0, 9.0))]
    turns.append(turn("gluetune", 1.0, losses=[0.7, 0.6, 0.55]))
    table = training_table(training_rows(turns), "notebook", {"fp32": 30e9})
    # 2 s for 10 steps, 160 examples, 1,000 real tokens of 4,000; 6e9 operations at 3 of 30 GFLOP/s.
    assert cells(table, 0) == [
        "notebook",
        "200.0",
        "80.0",
        "500",
        "75%",
        "10% of fp32",
        "1,024",
        "0.5",
        "0.7000",
        "0.6000",
        "0.5000",
        "0.0e+00",
    ]
    assert cells(table, 1)[-1] == "1.0e-01"


def test_missing_losses_are_not_shown() -> None:
    table = training_table(
        training_rows([turn("notebook", 1.0), turn("gluetune", 1.0, losses=[])]),
        "notebook",
        {"fp32": 1e9},
    )
    assert cells(table, 1)[-4:] == ["not seen", "", "", "-"]


def test_each_evaluation_path_is_a_row_with_its_own_logits() -> None:
    drop_in = turn(
        "gluetune",
        1.0,
        evaluations={"": phase(0.1), "Trainer.predict": phase(0.4)},
        logits={"": [[0.0, 1.5]], "Trainer.predict": [[0.0, 1.25]]},
    )
    rows = evaluation_rows([turn("notebook", 2.0), drop_in])
    assert list(rows) == ["notebook", "gluetune", "gluetune, Trainer.predict"]
    table = evaluation_table(rows, "notebook", {"fp32": 1e12})
    assert [cells(table, line)[1] for line in range(3)] == ["0.20", "0.10", "0.40"]
    assert [cells(table, line)[-1] for line in range(3)] == ["0.0e+00", "5.0e-01", "2.5e-01"]
    ratios = ratio_table({"cola": rows}, "notebook")
    assert cells(ratios, 0)[1:] == ["2.00 (2.00 to 2.00)", "0.50 (0.50 to 0.50)"]


def test_whole_runs_are_projected_from_the_rates() -> None:
    """160 rows in 16 s, evaluated in 1.6 s, half a second outside of the steps."""
    turns = [turn("notebook", 16.0), turn("gluetune", 8.0), turn("notebook", 32.0, case="rte")]
    cases = cases_of(turns)
    rows = {case: (training_rows(found), evaluation_rows(found)) for case, found in cases.items()}
    sizes = {
        "cola": {"train": 1600, "validation": 160},
        "rte": {"train": 160, "validation": 16},
    }
    table = projection_table(rows, sizes, epochs=3)
    assert cells(table, 0) == [
        "cola",
        f"{0.5 + 3 * (160 + 1.6):.1f}",
        f"{0.5 + 3 * (80 + 0.8):.1f}",
    ]
    assert cells(table, 1) == ["rte", f"{0.5 + 3 * (32 + 0.32):.1f}", "-"]
    assert cells(table, 2) == ["all of them", "**582.8**", "**-**"]
