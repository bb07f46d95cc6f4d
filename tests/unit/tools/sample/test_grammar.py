import pytest
from tools.sample import grammar


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("box", "boxes"),
        ("brush", "brushes"),
        ("key", "keys"),
        ("library", "libraries"),
        ("knife", "knives"),
        ("fisherman", "fishermen"),
        ("lighthouse keeper", "lighthouse keepers"),
        ("piano", "pianos"),
    ],
)
def test_plural(noun: str, expected: str) -> None:
    assert grammar.plural(noun) == expected


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("carry", ("carries", "carried", "carried", "carrying")),
        ("drop", ("drops", "dropped", "dropped", "dropping")),
        ("draw", ("draws", "drew", "drawn", "drawing")),
        ("touch", ("touches", "touched", "touched", "touching")),
        ("take", ("takes", "took", "taken", "taking")),
        ("destroy", ("destroys", "destroyed", "destroyed", "destroying")),
        ("wrap", ("wraps", "wrapped", "wrapped", "wrapping")),
    ],
)
def test_verb_forms(verb: str, forms: tuple[str, ...]) -> None:
    inflections = (grammar.third_person, grammar.past, grammar.participle, grammar.gerund)
    assert tuple(inflect(verb) for inflect in inflections) == forms


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [("old map", "an old map"), ("map", "a map"), ("uniform", "a uniform"), ("hour", "an hour")],
)
def test_indefinite_article(phrase: str, expected: str) -> None:
    assert grammar.a(phrase) == expected


def test_numbers_are_words_up_to_twenty() -> None:
    assert [grammar.in_words(number) for number in (7, 20, 21, 1200)] == [
        "seven",
        "twenty",
        "21",
        "1,200",
    ]


def test_a_sentence_keeps_the_case_of_names() -> None:
    assert grammar.sentence("in Oslo, it rained") == "In Oslo, it rained."
    assert grammar.sentence("why", "?") == "Why?"
