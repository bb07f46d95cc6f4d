"""Sentences, and the same sentences with one rule of English broken.

Each construction builds a sentence and its broken twin from the same words, so that no word gives
the label away. The rules are textbook ones: agreement (near and at a distance), subcategorisation,
word order, articles, verb forms, binding of reflexives, questions and their gaps, polarity items,
comparatives, complements, case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.grammar import a, gerund, participle, past, plural, third_person


class Contrast(NamedTuple):
    """An acceptable sentence and its broken twin, without the capital and the final mark."""

    good: str
    bad: str
    end: str = "."


def _noun_phrase(draw: Draw, noun: str) -> str:
    if draw.chance(0.35):
        return f"the {draw.pick(lexicon.EVERYDAY_ADJECTIVES)} {noun}"
    return f"the {noun}"


def _person(draw: Draw) -> str:
    return f"the {draw.pick(lexicon.PEOPLE)}"


def _object(draw: Draw) -> str:
    return _noun_phrase(draw, draw.pick(lexicon.THINGS))


def _adjunct(draw: Draw) -> str:
    return f" {draw.pick(lexicon.TIMES)}" if draw.chance(0.5) else ""


def _agreement_at_a_distance(draw: Draw) -> Contrast:
    head, attractor = draw.distinct(lexicon.THINGS, 2)
    adjective = draw.pick(lexicon.EVERYDAY_ADJECTIVES)
    link = draw.pick(("near", "behind", "next to", "under", "beside"))
    if draw.chance(0.5):
        subject, good, bad = f"the {plural(head)} {link} the {attractor}", "are", "is"
    else:
        subject, good, bad = f"the {head} {link} the {plural(attractor)}", "is", "are"
    return Contrast(f"{subject} {good} {adjective}", f"{subject} {bad} {adjective}")


def _agreement_across_relative(draw: Draw) -> Contrast:
    head, inner = draw.distinct(lexicon.PEOPLE, 2)
    saw, action, thing = draw.pick(_SAW), draw.pick(lexicon.TRANSITIVE_VERBS), _object(draw)
    many, one = f"the {plural(head)} who", f"the {head} who"
    if draw.chance(0.5):
        subject = f"{many} {saw} the {inner}"
        return Contrast(f"{subject} {action} {thing}", f"{subject} {third_person(action)} {thing}")
    subject = f"{one} {saw} the {plural(inner)}"
    return Contrast(f"{subject} {third_person(action)} {thing}", f"{subject} {action} {thing}")


def _agreement_nearby(draw: Draw) -> Contrast:
    verb, thing = draw.pick(lexicon.TRANSITIVE_VERBS), _object(draw)
    often = draw.pick(("often", "always", "sometimes", "never", "usually"))
    if draw.chance(0.5):
        subject = f"{plural(draw.pick(lexicon.PEOPLE))} {often}"
        return Contrast(f"{subject} {verb} {thing}", f"{subject} {third_person(verb)} {thing}")
    subject = f"{_person(draw)} {often}"
    return Contrast(f"{subject} {third_person(verb)} {thing}", f"{subject} {verb} {thing}")


def _number_of_the_determiner(draw: Draw) -> Contrast:
    noun, person = draw.pick(lexicon.THINGS), _person(draw)
    verb = past(draw.pick(lexicon.TRANSITIVE_VERBS))
    when = _adjunct(draw)
    few, one = draw.pick(("these", "many", "both", "several")), draw.pick(("this", "every", "each"))
    if draw.chance(0.5):
        good, bad = f"{few} {plural(noun)}", f"{few} {noun}"
    else:
        good, bad = f"{one} {noun}", f"{one} {plural(noun)}"
    return Contrast(f"{person} {verb} {good}{when}", f"{person} {verb} {bad}{when}")


def _intransitive_with_object(draw: Draw) -> Contrast:
    person, when = _person(draw), _adjunct(draw)
    slept = past(draw.pick(lexicon.INTRANSITIVE_VERBS))
    thing = draw.pick(lexicon.THINGS)
    link = draw.pick(("near", "beside", "behind"))
    return Contrast(
        f"{person} {slept} {link} the {thing}{when}", f"{person} {slept} the {thing}{when}"
    )


def _transitive_without_object(draw: Draw) -> Contrast:
    person, when = _person(draw), _adjunct(draw)
    verb = past(draw.pick(_STRICTLY_TRANSITIVE))
    return Contrast(f"{person} {verb} {_object(draw)}{when}", f"{person} {verb}{when}")


def _put_without_place(draw: Draw) -> Contrast:
    person, thing = _person(draw), _object(draw)
    place = f"in the {draw.pick(lexicon.BUILDINGS)}"
    return Contrast(f"{person} put {thing} {place}", f"{person} put {thing}")


def _dative(draw: Draw) -> Contrast:
    person, thing, name = _person(draw), _object(draw), draw.pick(lexicon.NAMES)
    gave = draw.pick(("gave", "sent", "showed", "handed", "sold"))
    good = draw.pick((f"{gave} {name} {thing}", f"{gave} {thing} to {name}"))
    bad = draw.pick(
        (f"{gave} to {name} it", f"{gave} {thing} {name} to", f"{gave} for {name} to it")
    )
    return Contrast(f"{person} {good}", f"{person} {bad}")


def _explain_to(draw: Draw) -> Contrast:
    person, name = _person(draw), draw.pick(lexicon.NAMES)
    said = draw.pick(("explained", "described", "mentioned", "reported", "suggested"))
    what = draw.pick(("the problem", "the plan", "the answer", "the accident", "the rules"))
    return Contrast(f"{person} {said} {what} to {name}", f"{person} {said} {name} {what}")


def _missing_article(draw: Draw) -> Contrast:
    person, thing = draw.pick(lexicon.PEOPLE), draw.pick(lexicon.THINGS)
    verb, when = past(draw.pick(lexicon.TRANSITIVE_VERBS)), _adjunct(draw)
    if draw.chance(0.5):
        good, bad = f"the {person} {verb} {a(thing)}", f"the {person} {verb} {thing}"
    else:
        good, bad = f"the {person} {verb} the {thing}", f"{person} {verb} the {thing}"
    return Contrast(f"{good}{when}", f"{bad}{when}")


def _adjective_after_noun(draw: Draw) -> Contrast:
    person, thing = _person(draw), draw.pick(lexicon.THINGS)
    adjective, verb = draw.pick(lexicon.EVERYDAY_ADJECTIVES), past(draw.pick(_STRICTLY_TRANSITIVE))
    when = _adjunct(draw)
    return Contrast(
        f"{person} {verb} the {adjective} {thing}{when}",
        f"{person} {verb} the {thing} {adjective}{when}",
    )


def _verb_at_the_end(draw: Draw) -> Contrast:
    person, thing, manner = _person(draw), _object(draw), draw.pick(lexicon.MANNERS)
    verb = past(draw.pick(lexicon.TRANSITIVE_VERBS))
    good = draw.pick((f"{person} {manner} {verb} {thing}", f"{person} {verb} {thing} {manner}"))
    bad = draw.pick(
        (
            f"{person} {manner} {thing} {verb}",
            f"{person} {verb} {manner} {thing}",
            f"{person} {thing} {verb} {manner}",
        )
    )
    return Contrast(good, bad)


def _verb_form_after_auxiliary(draw: Draw) -> Contrast:
    person, thing = _person(draw), _object(draw)
    verb = draw.pick(lexicon.TRANSITIVE_VERBS)
    auxiliary, good, bad = draw.pick(
        (
            ("has already", participle(verb), verb),
            ("will probably", verb, past(verb)),
            ("did not", verb, past(verb)),
            ("is carefully", gerund(verb), verb),
            ("could never", verb, gerund(verb)),
            ("must have", participle(verb), gerund(verb)),
            ("does not", verb, third_person(verb)),
        )
    )
    return Contrast(f"{person} {auxiliary} {good} {thing}", f"{person} {auxiliary} {bad} {thing}")


def _reflexive(draw: Draw) -> Contrast:
    woman = draw.chance(0.5)
    name = draw.pick(lexicon.WOMEN if woman else lexicon.MEN)
    verb = draw.pick(("admired", "blamed", "hurt", "praised", "described", "saw", "taught"))
    own, wrong = ("herself", "himself") if woman else ("himself", "herself")
    after = draw.pick(("", " in the mirror", " after the accident", " in the photograph", " again"))
    return Contrast(f"{name} {verb} {own}{after}", f"{name} {verb} {wrong}{after}")


def _question_with_gap(draw: Draw) -> Contrast:
    person, verb = _person(draw), draw.pick(_STRICTLY_TRANSITIVE)
    thing, when = draw.pick(lexicon.THINGS), _adjunct(draw)
    if draw.chance(0.5):
        good = f"what did {person} {verb}{when}"
        return Contrast(good, f"what did {person} {verb} the {thing}{when}", "?")
    good = f"which {thing} did {person} {verb}{when}"
    bad = draw.pick(
        (
            f"which {thing} did {person} {past(verb)}{when}",
            f"which {thing} {person} {verb} did{when}",
        )
    )
    return Contrast(good, bad, "?")


def _relative_with_resumptive(draw: Draw) -> Contrast:
    person, thing = _person(draw), draw.pick(lexicon.THINGS)
    verb = past(draw.pick(_STRICTLY_TRANSITIVE))
    adjective = draw.pick(lexicon.EVERYDAY_ADJECTIVES)
    good = draw.pick(
        (
            f"the {thing} that {person} {verb} was {adjective}",
            f"{person} {verb} the {thing} because it was {adjective}",
        )
    )
    return Contrast(good, f"the {thing} that {person} {verb} it was {adjective}")


def _polarity_item(draw: Draw) -> Contrast:
    verb, thing = participle(draw.pick(lexicon.TRANSITIVE_VERBS)), draw.pick(lexicon.THINGS)
    licensed = draw.pick(("nobody", "no one", f"none of the {plural(draw.pick(lexicon.PEOPLE))}"))
    bare = draw.pick(("somebody", "everyone", f"one of the {plural(draw.pick(lexicon.PEOPLE))}"))
    rest = draw.pick((f"has ever {verb} the {thing}", f"has {verb} any {plural(thing)} yet"))
    good = draw.pick((f"{licensed} {rest}", f"{bare} has already {verb} the {thing}"))
    return Contrast(good, f"{bare} {rest}")


def _comparative(draw: Draw) -> Contrast:
    first, second = draw.distinct(lexicon.THINGS, 2)
    adjective = draw.pick(("old", "new", "cheap", "small", "tall", "clean", "short", "light"))
    longer = f"{adjective}er" if not adjective.endswith("e") else f"{adjective}r"
    good = draw.pick((f"{longer} than", f"as {adjective} as", f"much {longer} than"))
    bad = draw.pick((f"{longer} as", f"as {adjective} than", f"more {longer} than"))
    return Contrast(
        f"the {first} is {good} the {second}",
        f"the {first} is {bad} the {second}",
    )


def _complement(draw: Draw) -> Contrast:
    person, verb, thing = _person(draw), draw.pick(lexicon.TRANSITIVE_VERBS), _object(draw)
    if draw.chance(0.5):
        matrix = draw.pick(("enjoyed", "avoided", "finished", "denied", "kept"))
        good, bad = gerund(verb), f"to {verb}"
    else:
        matrix = draw.pick(("wanted", "hoped", "decided", "refused", "promised"))
        good, bad = f"to {verb}", gerund(verb)
    return Contrast(f"{person} {matrix} {good} {thing}", f"{person} {matrix} {bad} {thing}")


def _preposition(draw: Draw) -> Contrast:
    name, person = draw.pick(lexicon.NAMES), _person(draw)
    phrase, good, bad = draw.pick(
        (
            ("relied", "on", "of"),
            ("is interested", "in", "on"),
            ("was afraid", "of", "from"),
            ("listened", "to", "at"),
            ("apologised", "to", "at"),
            ("was proud", "of", "on"),
            ("laughed", "at", "of"),
            ("depends", "on", "from"),
        )
    )
    return Contrast(f"{name} {phrase} {good} {person}", f"{name} {phrase} {bad} {person}")


def _pronoun_case(draw: Draw) -> Contrast:
    nominative, accusative = draw.pick((("he", "him"), ("she", "her"), ("they", "them")))
    verb, thing, name = (
        past(draw.pick(_STRICTLY_TRANSITIVE)),
        _object(draw),
        draw.pick(lexicon.NAMES),
    )
    if draw.chance(0.5):
        return Contrast(f"{nominative} {verb} {thing}", f"{accusative} {verb} {thing}")
    told = draw.pick(("helped", "visited", "thanked", "followed"))
    return Contrast(f"{name} {told} {accusative}", f"{name} {told} {nominative}")


def _island(draw: Draw) -> Contrast:
    person, name = _person(draw), draw.pick(lexicon.NAMES)
    verb, thing = draw.pick(_STRICTLY_TRANSITIVE), draw.pick(lexicon.THINGS)
    rumour = f"does {name} believe the rumour that {person} {past(verb)}"
    and_chair = f"did {person} {verb} the {thing} and"
    good, bad = draw.pick(
        (
            (f"why {rumour} the {thing}", f"what {rumour}"),
            (f"why {and_chair} the {draw.other(lexicon.THINGS, thing)}", f"what {and_chair}"),
            (f"what does {name} believe that {person} {past(verb)}", f"what {rumour}"),
        )
    )
    return Contrast(good, bad, "?")


_SAW = ("admired", "found", "noticed", "photographed", "praised", "saw", "visited", "warned")

_STRICTLY_TRANSITIVE = (
    "admire",
    "borrow",
    "describe",
    "destroy",
    "examine",
    "find",
    "inspect",
    "lose",
    "mention",
    "notice",
    "praise",
    "remove",
    "repair",
    "take",
    "want",
)

CONTRASTS: tuple[Callable[[Draw], Contrast], ...] = (
    _agreement_at_a_distance,
    _agreement_across_relative,
    _agreement_nearby,
    _number_of_the_determiner,
    _intransitive_with_object,
    _transitive_without_object,
    _put_without_place,
    _dative,
    _explain_to,
    _missing_article,
    _adjective_after_noun,
    _verb_at_the_end,
    _verb_form_after_auxiliary,
    _reflexive,
    _question_with_gap,
    _relative_with_resumptive,
    _polarity_item,
    _comparative,
    _complement,
    _preposition,
    _pronoun_case,
    _island,
)
"""Every construction, each as frequent as the next."""
