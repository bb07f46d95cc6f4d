from __future__ import annotations

from benchmarks.speed.contest import described_data, rotated
from benchmarks.speed.contestants import CONTESTANTS, NAMES, choose


def names(contestants: list[object]) -> list[str]:
    return [getattr(contestant, "name", "") for contestant in contestants]


def test_contestants_have_different_names() -> None:
    assert len(set(NAMES)) == len(CONTESTANTS) >= 5


def test_all_run_where_bf16_is_native() -> None:
    able, skipped = choose(NAMES, native_bf16=True)
    assert names([*able]) == list(NAMES)
    assert skipped == []


def test_bf16_and_a_second_fp32_are_skipped_elsewhere_with_a_note() -> None:
    able, skipped = choose(NAMES, native_bf16=False)
    assert names([*able]) == ["notebook", "run_glue", "gluetune"]
    assert len(skipped) == 2
    assert skipped[0].startswith("trainer-bf16 is left out")
    assert skipped[1].startswith("gluetune-fp32 is left out")


def test_the_requested_order_is_kept_without_duplicates() -> None:
    able, _ = choose(["gluetune", "notebook", "gluetune"], native_bf16=False)
    assert names([*able]) == ["gluetune", "notebook"]


def test_auto_is_bf16_only_where_it_is_native() -> None:
    (gluetune,), _ = choose(["gluetune"], native_bf16=True)
    (notebook,), _ = choose(["notebook"], native_bf16=True)
    assert gluetune.resolved_precision(True) == "bf16"
    assert gluetune.resolved_precision(False) == "fp32"
    assert notebook.resolved_precision(True) == "fp32"


def test_a_different_contestant_starts_each_round() -> None:
    able, _ = choose(NAMES, native_bf16=False)
    orders = [names([*rotated(able, number)]) for number in range(4)]
    assert [order[0] for order in orders] == ["notebook", "run_glue", "gluetune", "notebook"]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_the_report_names_the_data_without_its_path() -> None:
    whole = {"source": "/home/someone/glue", "official": True}
    part = {"source": "/home/someone/glue", "official": False}
    assert described_data([whole]).startswith("GLUE, from a folder")
    assert described_data([{"source": "nyu-mll/glue", "official": True}]).startswith("GLUE, from n")
    assert "not of GLUE's size" in described_data([whole, part])
    assert "not GLUE's" in described_data([{"source": "sample", "official": False}])
    assert "someone" not in described_data([whole]) + described_data([whole, part])
