from __future__ import annotations

import pytest

from gluetune.core.errors import DataError
from gluetune.core.text import nearest
from gluetune.data.tables import SHOWN, table_findings


def test_nothing_found_raises_nothing() -> None:
    table_findings().raise_any()


def test_findings_beyond_the_limit_are_counted() -> None:
    findings = table_findings()
    findings.add("first", hint="do this")
    findings.add_rows(range(100), lambda row: f"row {row}")
    with pytest.raises(DataError) as caught:
        findings.raise_any()
    messages = [finding.message for finding in caught.value.findings]
    assert messages[:SHOWN] == ["first", *(f"row {row}" for row in range(SHOWN - 1))]
    assert messages[SHOWN:] == ["... and 91 more: 101 findings in all."]
    assert "do this" in str(caught.value)


def test_messages_are_made_only_for_shown_rows() -> None:
    worded: list[int] = []

    def describe(row: int) -> str:
        worded.append(row)
        return str(row)

    findings = table_findings()
    findings.add_rows(range(1_000), describe)
    findings.add_rows([7], describe)
    assert worded == list(range(SHOWN))
    assert findings.total == 1_001


def test_nearest_ignores_case_and_is_empty_when_nothing_is_near() -> None:
    assert nearest("SENTENCE", ["sentence1", "idx"]) == "Did you mean 'sentence1'? "
    assert nearest("zzz", ["sentence1", "idx"]) == ""
