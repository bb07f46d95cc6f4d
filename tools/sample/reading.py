"""QNLI and RTE: does a passage of news answer a question, or entail a sentence?

Label 0 is entailment in both, and half of the examples have it. What is not entailed uses the
words of what is: the passage tells of another company's purchase, leaves out what is asked for,
or reports a plan where the hypothesis states a fact.
"""

from __future__ import annotations

from tools.sample import lexicon
from tools.sample.constructions import CONSTRUCTIONS, ENTAILMENT, LABELS
from tools.sample.draw import Draw
from tools.sample.events import Event, change, draw_event, slots_of, swap
from tools.sample.example import Example
from tools.sample.grammar import sentence
from tools.sample.reports import article, report

_ENTAILED, _NOT_ENTAILED = 0, 1


def qnli(draw: Draw) -> Example:
    """Return one QNLI example: label 0 says that the sentence holds the answer."""
    event = draw_event(draw)
    slot = draw.pick(tuple(event.frame.questions))
    question = draw.pick(event.frame.questions[slot])
    answered = draw.chance(0.5)
    account = _answer(draw, event, slot) if answered else _non_answer(draw, event, slot, question)
    label = _ENTAILED if answered else _NOT_ENTAILED
    return Example((event.tell(question), report(draw, account)), label)


def _answer(draw: Draw, event: Event, slot: str) -> str:
    accounts = event.frame.forms + event.frame.briefs
    return event.tell(draw.pick([account for account in accounts if slot in slots_of(account)]))


def _non_answer(draw: Draw, event: Event, slot: str, question: str) -> str:
    silent = [brief for brief in event.frame.briefs if slot not in slots_of(brief)]
    if silent and draw.chance(0.45):
        return event.tell(draw.pick(silent))
    asked_about = {name: event.slots[name] for name in slots_of(question)}
    other = {**event.slots, **change(draw, asked_about, len(asked_about))}
    return Event(event.frame, other).tell(draw.pick(event.frame.forms))


def rte(draw: Draw) -> Example:
    """Return one RTE example: label 0 is entailment."""
    entailed = draw.chance(0.5)
    if draw.chance(0.35):
        return _construction(draw, entailed)
    event = draw_event(draw)
    premise, hypothesis = (_follows if entailed else _does_not_follow)(draw, event)
    label = _ENTAILED if entailed else _NOT_ENTAILED
    return Example((article(draw, premise), sentence(hypothesis)), label)


def _construction(draw: Draw, entailed: bool) -> Example:
    label = ENTAILMENT if entailed else draw.pick([name for name in LABELS if name != ENTAILMENT])
    premise, hypothesis = draw.pick(CONSTRUCTIONS)(draw, lexicon.TOWN, label)
    told = report(draw, premise)
    return Example((told, sentence(hypothesis)), _ENTAILED if entailed else _NOT_ENTAILED)


def _follows(draw: Draw, event: Event) -> tuple[str, str]:
    if draw.chance(0.2):
        denial = event.tell(draw.pick(event.frame.denials))
        return denial, denial
    form, reworded = draw.distinct(event.frame.forms, 2)
    return event.tell(form), event.tell(draw.pick((reworded, *event.frame.briefs)))


def _does_not_follow(draw: Draw, event: Event) -> tuple[str, str]:
    form, reworded = draw.distinct(event.frame.forms, 2)
    hypothesis = draw.pick((reworded, *event.frame.briefs))
    exchanged = swap(event)
    if exchanged is not None and hypothesis == reworded and draw.chance(0.5):
        return event.tell(form), exchanged.tell(reworded)
    if draw.chance(0.4):
        return event.tell(draw.pick(event.frame.denials)), event.tell(hypothesis)
    if draw.chance(0.2):
        return event.tell(form), event.tell(draw.pick(event.frame.denials))
    told = {name: event.slots[name] for name in slots_of(hypothesis)}
    other = {**event.slots, **change(draw, told, draw.number(1, 2))}
    return event.tell(form), Event(event.frame, other).tell(hypothesis)
