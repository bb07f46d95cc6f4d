"""AX: a diagnostic set, sorted by what a reader has to know to get it right.

Its four families are those of GLUE's own diagnostic set (Wang et al. 2019, arXiv 1804.07461,
table 2): lexical semantics, predicate-argument structure, logic, and knowledge. Besides the items
below, which no other task holds, it uses the constructions of MNLI in every genre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.sample import lexicon
from tools.sample.constructions import (
    CONSTRUCTIONS,
    CONTRADICTION,
    ENTAILMENT,
    LABELS,
    NEUTRAL,
)
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.grammar import a, in_words, sentence
from tools.sample.inference import infer


def ax(draw: Draw) -> Example:
    """Return one AX example: 0 entailment, 1 neutral, 2 contradiction."""
    if draw.chance(0.4):
        genre = draw.pick((lexicon.TOWN, lexicon.SEA, lexicon.LABORATORY))
        return infer(draw, draw.pick(CONSTRUCTIONS), genre)
    item = draw.pick(draw.pick(_FAMILIES))
    label = draw.number(0, len(LABELS) - 1)
    slots = {slot: value(draw) for slot, value in _VALUES.items()} | _related_values(draw)
    hypothesis = draw.pick(item.hypotheses[LABELS[label]])
    texts = (item.premise.format_map(slots), hypothesis.format_map(slots))
    return Example((sentence(texts[0]), sentence(texts[1])), label)


@dataclass(frozen=True)
class Item:
    """A premise, and hypotheses by the label that they have with it."""

    premise: str
    hypotheses: Mapping[str, tuple[str, ...]]


def _item(premise: str, entailed: str, neutral: str, contradicted: str) -> Item:
    """Return the item whose hypotheses are separated by `/` in each argument."""
    wordings = (entailed, neutral, contradicted)
    labels = (ENTAILMENT, NEUTRAL, CONTRADICTION)
    return Item(
        premise,
        {label: tuple(text.split("/")) for label, text in zip(labels, wordings, strict=True)},
    )


def _related_values(draw: Draw) -> dict[str, str]:
    """Return the slots that depend on one another, such as two names that must differ."""
    name1, name2 = draw.distinct(lexicon.NAMES, 2)
    person1, person2 = draw.distinct(lexicon.PEOPLE, 2)
    thing1, thing2 = draw.distinct(lexicon.THINGS, 2)
    (city1, country1), (city2, country2) = draw.distinct(lexicon.CAPITALS, 2)
    number, look = draw.number(3, 60), draw.pick(lexicon.EVERYDAY_ADJECTIVES)
    return {
        "name1": name1,
        "name2": name2,
        "person1": person1,
        "person2": person2,
        "thing1": thing1,
        "thing2": thing2,
        "a_thing1": a(thing1),
        "a_thing2": a(thing2),
        "a_person1": a(person1),
        "a_look": a(look),
        "city1": city1,
        "city2": city2,
        "country1": country1,
        "country2": country2,
        "number": in_words(number),
        "twice": in_words(2 * number),
        "fewer": in_words(number - 1),
    }


_VALUES: Mapping[str, Callable[[Draw], str]] = {
    "building": lambda draw: draw.pick(lexicon.BUILDINGS),
    "day": lambda draw: draw.pick(lexicon.DAYS),
    "surname": lambda draw: draw.pick(lexicon.SURNAMES),
}

_LEXICAL = (
    _item(
        "{name1} was unhappy with the {thing1} from the {building}",
        "{name1} was not pleased with the {thing1}",
        "{name1} returned the {thing1} to the {building}",
        "{name1} was happy with the {thing1}/{name1} was delighted with the {thing1}",
    ),
    _item(
        "{name1} unlocked the {building} on {day}",
        "the {building} had been locked/{name1} opened the lock of the {building}",
        "{name1} entered the {building} on {day}",
        "{name1} left the {building} locked on {day}",
    ),
    _item(
        "the {person1} murdered the {person2} in the {building}",
        "the {person2} died/the {person1} killed the {person2}",
        "the {person1} hated the {person2}",
        "the {person2} survived/the {person2} is still alive",
    ),
    _item(
        "it is impossible to repair the {thing1} that {name1} broke",
        "the {thing1} cannot be mended/{name1} broke the {thing1}",
        "{name1} threw the {thing1} away",
        "the {thing1} can be repaired/{name1} did not break the {thing1}",
    ),
    _item(
        "everybody in {city1} admires the {person1}",
        "everybody in {city1} respects the {person1}/nobody in {city1} despises the {person1}",
        "the {person1} lives in {city1}",
        "nobody in {city1} thinks well of the {person1}",
    ),
)
_STRUCTURE = (
    _item(
        "{name1} gave {name2} {a_thing1} on {day}",
        "{name1} gave {a_thing1} to {name2}/{name2} was given {a_thing1} by {name1}",
        "{name2} gave {name1} {a_thing1}",
        "{name2} received nothing from {name1}/{name1} gave nobody anything",
    ),
    _item(
        "the {person1} who met {name1} in {city1} bought {a_thing1}",
        "the {person1} bought {a_thing1}/the {person1} met {name1}",
        "{name1} bought {a_thing1}",
        "the {person1} has never met {name1}/the {person1} bought nothing",
    ),
    _item(
        "{name1} bought {a_thing1} and {name2} {a_thing2}",
        "{name2} bought {a_thing2}/{name1} bought {a_thing1}",
        "{name1} bought {a_thing2}/{name2} paid for both",
        "{name2} bought nothing/neither of them bought {a_thing1}",
    ),
    _item(
        "the {thing1} was stolen from {name1} by the {person1}",
        "the {person1} stole the {thing1}/somebody stole the {thing1} from {name1}",
        "the {person1} has sold the {thing1}/the {person1} knew {name1}",
        "nobody took the {thing1} from {name1}/the {person1} has never stolen anything",
    ),
    _item(
        "{name1} persuaded the {person1} to leave {city1}",
        "the {person1} decided to leave {city1}/{name1} spoke with the {person1}",
        "{name1} left {city1}",
        "the {person1} ignored what {name1} asked",
    ),
)
_LOGIC = (
    _item(
        "it is not true that {name1} has never been to {city1}",
        "{name1} has been to {city1}",
        "{name1} has been to {city1} and {city2}/{name1} liked {city1}",
        "{name1} has never been to {city1}",
    ),
    _item(
        "if it rains on {day}, {name1} will stay in the {building}, and it will rain on {day}",
        "{name1} will stay in the {building} on {day}",
        "{name2} will stay in the {building} on {day}",
        "{name1} will not be in the {building} on {day}",
    ),
    _item(
        "either {name1} or {name2} has the {thing1}, and {name1} does not have it",
        "{name2} has the {thing1}",
        "{name1} has the {thing2}",
        "{name2} does not have the {thing1}/{name1} has the {thing1}",
    ),
    _item(
        "every {person1} who owns {a_thing1} lives in {city1}",
        "every {person1} who owns {a_look} {thing1} lives in {city1}",
        "every {person1} in {city1} owns {a_thing1}/every {person2} who owns {a_thing1} lives in "
        "{city1}",
        "some {person1} who owns {a_thing1} lives in {city2} and not in {city1}",
    ),
    _item(
        "{name1} is the oldest {person1} in {city1}, where {name2} works as {a_person1} too",
        "{name1} is older than {name2}",
        "{name1} is the oldest {person1} in {country1}",
        "{name2} is older than {name1}",
    ),
    _item(
        "there are {number} museums in {city1} and {twice} in {city2}",
        "there are more museums in {city2} than in {city1}"
        "/there are more than {fewer} museums in {city1}",
        "there are {twice} cinemas in {city1}",
        "there are fewer museums in {city2} than in {city1}",
    ),
)
_KNOWLEDGE = (
    _item(
        "{name1} {surname} lives in the centre of {city1}",
        "{name1} {surname} lives in {country1}",
        "{name1} {surname} was born in {country1}/{name1} {surname} has a house in {city2}",
        "{name1} {surname} lives in {country2}",
    ),
    _item(
        "{name1} flew from {city1} to {city2} on {day}",
        "{name1} travelled from {country1} to {country2}/{name1} left {country1}",
        "{name1} had a friend in {city2}/{name1} flew to {country2} for the first time",
        "{name1} did not leave {country1} on {day}/{name1} stayed on the ground on {day}",
    ),
    _item(
        "{name1} drank from the river because the well in {city1} had run dry",
        "there was no water in the well in {city1}",
        "{name1} was ill after drinking",
        "the well in {city1} was full of water",
    ),
    _item(
        "{name1} is the only child of the {person1} and the grandchild of the {person2}",
        "{name1} has no brothers or sisters/the {person1} is a parent of {name1}",
        "{name1} is older than ten/the {person2} lives with {name1}",
        "{name1} has a sister/the {person1} has three children",
    ),
    _item(
        "{name1} has been blind from birth and works as {a_person1} in {city1}",
        "{name1} cannot see/{name1} has a job in {country1}",
        "{name1} was born in {city1}",
        "{name1} watched the {person2} cross the road/{name1} has excellent eyesight",
    ),
)
_FAMILIES = (_LEXICAL, _STRUCTURE, _LOGIC, _KNOWLEDGE)
