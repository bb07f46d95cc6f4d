"""STS-B: how much of what two sentences say is the same, from 0 to 5.

A sentence states several facts, each with a weight; the score is the weight of the facts that the
two share, with a little of the scatter that averaged human judgements have. Half of the pairs
describe a scene, half report news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.events import Event, change, draw_event
from tools.sample.example import Example
from tools.sample.grammar import a, gerund, sentence
from tools.sample.reports import report

_LOWEST, _HIGHEST = 0.0, 5.0
_SCATTER = (-0.4, -0.2, 0.0, 0.0, 0.2, 0.4)

# Pairs that share all or nothing are the more frequent: they teach a model the scale.
_LOST_FACTS = (0, 0, 0, 1, 2, 3, 4, 5, 5, 5)
_ACTIONS = (
    *("buy", "clean", "copy", "describe", "draw", "examine", "hide", "inspect", "paint", "polish"),
    *("photograph", "praise", "remove", "repair", "sell", "sketch", "wrap"),
)
_FACTS: Mapping[str, tuple[float, Sequence[str]]] = {
    "agent": (1.4, lexicon.PEOPLE),
    "action": (1.2, _ACTIONS),
    "patient": (1.4, lexicon.THINGS),
    "look": (0.4, lexicon.EVERYDAY_ADJECTIVES),
    "place": (0.6, lexicon.BUILDINGS),
}
_CAPTIONS = (
    "{a_agent} is {doing} {a_patient} in the {place}",
    "in the {place}, {a_agent} is {doing} {a_patient}",
    "there is {a_agent} {doing} {a_patient} in the {place}",
    "{a_patient} is in the {place}, and {a_agent} is {doing} it",
)


def stsb(draw: Draw) -> Example:
    """Return one STS-B example; the score is in steps of a tenth."""
    first, second, shared = _scenes(draw) if draw.chance(0.5) else _news(draw)
    score = min(_HIGHEST, max(_LOWEST, shared + draw.pick(_SCATTER)))
    return Example((first, second), round(score, 1))


def _scenes(draw: Draw) -> tuple[str, str, float]:
    scene = {fact: draw.pick(words) for fact, (_, words) in _FACTS.items()}
    lost = draw.distinct(tuple(_FACTS), draw.pick(_LOST_FACTS))
    other = {
        fact: draw.other(_FACTS[fact][1], word) if fact in lost else word
        for fact, word in scene.items()
    }
    shared = sum(weight for fact, (weight, _) in _FACTS.items() if fact not in lost)
    caption, recaption = draw.distinct(_CAPTIONS, 2)
    return _caption(caption, scene), _caption(recaption, other), shared


def _caption(template: str, scene: Mapping[str, str]) -> str:
    return sentence(
        template.format(
            a_agent=a(scene["agent"]),
            doing=gerund(scene["action"]),
            a_patient=a(f"{scene['look']} {scene['patient']}"),
            place=scene["place"],
        )
    )


def _news(draw: Draw) -> tuple[str, str, float]:
    event = draw_event(draw)
    form, reworded = draw.distinct(event.frame.forms, 2)
    second, shared = draw.pick(_RELATIONS)(draw, event, reworded)
    return report(draw, event.tell(form)), report(draw, second), shared


def _same(draw: Draw, event: Event, form: str) -> tuple[str, float]:
    return event.tell(form), 4.8


def _briefer(draw: Draw, event: Event, form: str) -> tuple[str, float]:
    return event.tell(draw.pick(event.frame.briefs)), 3.6


def _denied(draw: Draw, event: Event, form: str) -> tuple[str, float]:
    return event.tell(draw.pick(event.frame.denials)), 2.6


def _changed(draw: Draw, event: Event, form: str) -> tuple[str, float]:
    size = len(event.slots)
    count = draw.number(1, size)
    kept = (size - count) / size
    return Event(event.frame, change(draw, event.slots, count)).tell(form), 1.0 + 3.4 * kept


def _unrelated(draw: Draw, event: Event, form: str) -> tuple[str, float]:
    other = draw_event(draw)
    while other.frame is event.frame:
        other = draw_event(draw)
    return other.tell(draw.pick(other.frame.forms)), 0.2


_RELATIONS: tuple[Callable[[Draw, Event, str], tuple[str, float]], ...] = (
    *(_same, _same, _briefer, _denied),
    *(_changed, _changed, _unrelated, _unrelated),
)
