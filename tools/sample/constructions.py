"""Constructions of English that decide whether one sentence follows from another.

Each takes a vocabulary and a wanted label, and returns a premise and a hypothesis that stand in
that relation, without the capital and the full stop. Many keep the hypothesis the same for every
label, so that neither sentence alone gives the label away.
"""

from __future__ import annotations

from collections.abc import Callable

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.grammar import a, in_words, past, plural
from tools.sample.lexicon import Genre

ENTAILMENT, NEUTRAL, CONTRADICTION = "entailment", "neutral", "contradiction"
LABELS = (ENTAILMENT, NEUTRAL, CONTRADICTION)

Pair = tuple[str, str]
Construction = Callable[[Draw, Genre, str], Pair]

_GETTING = (
    ("bought", "purchased"),
    ("found", "discovered"),
    ("noticed", "spotted"),
    ("sketched", "drew"),
    ("photographed", "took a picture of"),
    ("described", "gave a description of"),
    ("received", "was given"),
    ("lost", "mislaid"),
)
_DEALINGS = ("thanked", "helped", "followed", "greeted", "warned", "paid", "phoned", "teased")


def _kind_and_member(draw: Draw, genre: Genre) -> Pair:
    kind = draw.pick(tuple(genre.kinds))
    return kind, draw.pick(genre.kinds[kind])


def _when(draw: Draw, genre: Genre) -> str:
    if draw.chance(0.35):
        return ""
    return f" {draw.pick((draw.pick(genre.places), draw.pick(lexicon.TIMES)))}"


def hypernym(draw: Draw, genre: Genre, label: str) -> Pair:
    """A sparrow is a bird; a bird need not be a sparrow."""
    kind, member = _kind_and_member(draw, genre)
    person, (verb, synonym) = draw.pick(genre.people), draw.pick(_GETTING)
    told, when = draw.pick((verb, synonym)), _when(draw, genre)
    the_member = f"the {person} {verb} {a(member)}"
    the_kind = f"the {person} {verb} {a(kind)}"
    if label == ENTAILMENT:
        return f"the {person} {told} {a(member)}{when}", the_kind
    if label == NEUTRAL:
        return f"the {person} {told} {a(kind)}{when}", the_member
    return f"the {person} never {told} {a(kind)}{when}", draw.pick((the_kind, the_member))


def downward(draw: Draw, genre: Genre, label: str) -> Pair:
    """Under a negation it runs the other way: no birds, so no sparrows."""
    kind, member = _kind_and_member(draw, genre)
    people, verb = plural(draw.pick(genre.people)), draw.pick(_GETTING[:3])[0]
    when = _when(draw, genre)
    no_kind, no_member = (f"none of the {people} {verb} {a(noun)}" for noun in (kind, member))
    if label == ENTAILMENT:
        return f"{no_kind}{when}", no_member
    if label == NEUTRAL:
        return f"{no_member}{when}", no_kind
    return f"one of the {people} {verb} {a(member)}{when}", draw.pick((no_kind, no_member))


def quantifier(draw: Draw, genre: Genre, label: str) -> Pair:
    """All, most, some, none."""
    people, verb = plural(draw.pick(genre.people)), draw.pick(_GETTING[:4])[0]
    thing, when = a(draw.pick(lexicon.THINGS)), _when(draw, genre)
    stronger, weaker = draw.pick((("all", "most"), ("all", "some"), ("most", "some")))
    if label == ENTAILMENT:
        premise, hypothesis = stronger, weaker
    elif label == NEUTRAL:
        premise, hypothesis = weaker, stronger
    else:
        premise, hypothesis = draw.pick(((stronger, "none"), ("none", stronger), ("none", weaker)))
    return (
        f"{premise} of the {people} {verb} {thing}{when}",
        f"{hypothesis} of the {people} {verb} {thing}",
    )


def count(draw: Draw, genre: Genre, label: str) -> Pair:
    """Exact numbers against more than and fewer than."""
    number, gap = draw.number(5, 17), draw.number(1, 3)
    people, verb = plural(draw.pick(genre.people)), draw.pick(_GETTING[:4])[0]
    thing, when = a(draw.pick(lexicon.THINGS)), _when(draw, genre)
    more, fewer = f"more than {in_words(number - gap)}", f"fewer than {in_words(number + gap)}"
    too_many, too_few = (
        f"more than {in_words(number + gap)}",
        f"fewer than {in_words(number - gap)}",
    )
    exactly = f"exactly {in_words(number)} {people} {verb} {thing}{when}"
    if label == ENTAILMENT:
        return exactly, f"{draw.pick((more, fewer))} {people} {verb} {thing}"
    if label == CONTRADICTION:
        return exactly, f"{draw.pick((too_many, too_few))} {people} {verb} {thing}"
    vague = draw.pick((f"some {people} {verb} {thing}", f"{people} {verb} {thing}"))
    return f"{vague}{when}", f"{draw.pick((more, fewer))} {people} {verb} {thing}"


def voice(draw: Draw, genre: Genre, label: str) -> Pair:
    """Active and passive, and who did it to whom."""
    agent, patient = draw.distinct(genre.people, 2)
    verb, when = draw.pick(_DEALINGS), _when(draw, genre)
    active, passive = (
        f"the {agent} {verb} the {patient}",
        f"the {patient} was {verb} by the {agent}",
    )
    if draw.chance(0.5):
        active, passive = passive, active
    if label == ENTAILMENT:
        return f"{active}{when}", passive
    if label == CONTRADICTION:
        return f"{active}{when}", f"nobody {verb} the {patient}"
    exchanged = f"the {patient} {verb} the {agent}"
    return f"{active}{when}", draw.pick((exchanged, f"the {agent} was {verb} by the {patient}"))


_ATTITUDES = {
    ENTAILMENT: ("realised", "discovered", "noticed", "remembered", "knew", "was glad"),
    NEUTRAL: ("believed", "hoped", "claimed", "suspected", "said", "feared"),
    CONTRADICTION: ("pretended", "wrongly believed", "falsely claimed", "was wrong to say"),
}


def factivity(draw: Draw, genre: Genre, label: str) -> Pair:
    """What is known is so; what is believed may be."""
    holder, person = draw.distinct(genre.people, 2)
    verb, thing = draw.pick(_GETTING)[0], a(draw.pick(lexicon.THINGS))
    clause, when = f"the {person} {verb} {thing}", _when(draw, genre)
    return f"the {holder} {draw.pick(_ATTITUDES[label])} that {clause}{when}", clause


_IMPLICATIVES = {
    ENTAILMENT: ("managed to", "did not forget to", "was forced to", "was able to"),
    NEUTRAL: ("wanted to", "planned to", "was asked to", "might", "promised to"),
    CONTRADICTION: ("failed to", "refused to", "forgot to", "was unable to", "did not dare to"),
}


def implicative(draw: Draw, genre: Genre, label: str) -> Pair:
    """Managed to, wanted to, failed to."""
    person, verb = (
        draw.pick(genre.people),
        draw.pick(("buy", "photograph", "sketch", "sell", "repair")),
    )
    thing, when = a(draw.pick(lexicon.THINGS)), _when(draw, genre)
    premise = f"the {person} {draw.pick(_IMPLICATIVES[label])} {verb} {thing}{when}"
    return premise, f"the {person} {past(verb)} {thing}"


def comparison(draw: Draw, genre: Genre, label: str) -> Pair:
    """Taller than, shorter than, as tall as."""
    first, second, third = draw.distinct(genre.people, 3)
    more, less = draw.pick(_COMPARABLE)
    if draw.chance(0.5):
        more, less = less, more
    premise = f"the {first} is {_comparative(more)} than the {second}"
    if label == ENTAILMENT:
        return premise, f"the {second} is {_comparative(less)} than the {first}"
    if label == CONTRADICTION:
        hypotheses = (
            f"the {second} is {_comparative(more)} than the {first}",
            f"the {first} is {_comparative(less)} than the {second}",
            f"the {first} is as {less} as the {second}",
        )
        return premise, draw.pick(hypotheses)
    return premise, draw.pick(
        (
            f"the {first} is {_comparative(more)} than the {third}",
            f"the {third} is {_comparative(less)} than the {first}",
        )
    )


_COMPARABLE = tuple(
    pair
    for pair in lexicon.ANTONYMS
    if pair[0] in ("tall", "old", "strong", "fast", "rich", "quiet")
)


def _comparative(adjective: str) -> str:
    return f"{adjective}er"


def coordination(draw: Draw, genre: Genre, label: str) -> Pair:
    """Both, either, neither."""
    first, second = draw.distinct(genre.people, 2)
    verb, thing, when = draw.pick(_GETTING)[0], a(draw.pick(lexicon.THINGS)), _when(draw, genre)
    subject = {
        ENTAILMENT: draw.pick(
            (f"both the {first} and the {second}", f"the {first} and the {second}")
        ),
        NEUTRAL: draw.pick((f"either the {first} or the {second}", f"the {first} or the {second}")),
        CONTRADICTION: draw.pick(
            (f"neither the {first} nor the {second}", f"everyone but the {first} and the {second}")
        ),
    }[label]
    return f"{subject} {verb} {thing}{when}", f"the {draw.pick((first, second))} {verb} {thing}"


def order(draw: Draw, genre: Genre, label: str) -> Pair:
    """Before, after, and at a time that nobody mentioned."""
    first, second = draw.distinct(genre.people, 2)
    did, then = draw.distinct(("arrived", "left", "spoke", "laughed", "woke up", "sat down"), 2)
    early, late = f"the {first} {did}", f"the {second} {then}"
    premise = draw.pick((f"{early} before {late}", f"{late} after {early}"))
    if label == ENTAILMENT:
        return premise, draw.pick((f"{early} before {late}", f"{late} after {early}"))
    if label == CONTRADICTION:
        return premise, draw.pick((f"{late} before {early}", f"{early} after {late}"))
    return premise, f"{draw.pick((early, late))} {draw.pick(lexicon.TIMES)}"


def detail(draw: Draw, genre: Genre, label: str) -> Pair:
    """What is left out follows; what is added may be."""
    person, verb = draw.pick(genre.people), draw.pick(_GETTING)[0]
    thing, other = draw.distinct(lexicon.THINGS, 2)
    look, place = draw.pick(lexicon.EVERYDAY_ADJECTIVES), draw.pick(genre.places)
    bare = f"the {person} {verb} {a(thing)}"
    full = f"the {person} {verb} {a(f'{look} {thing}')} {place}"
    if label == ENTAILMENT:
        return full, bare
    if label == NEUTRAL:
        added = ("because it was cheap", "for a friend", f"and {a(other)}", "for the second time")
        return full, f"{bare} {draw.pick(added)}"
    return full, draw.pick((f"the {person} {verb} nothing", f"nobody {verb} {a(thing)}"))


CONSTRUCTIONS: tuple[Construction, ...] = (
    hypernym,
    downward,
    quantifier,
    count,
    voice,
    factivity,
    implicative,
    comparison,
    coordination,
    order,
    detail,
)
"""Every construction; all three labels can be had from each."""
