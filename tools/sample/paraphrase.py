"""MRPC and QQP: do two sentences, or two questions, mean the same?

Pairs that do are worded differently. Pairs that do not share most of their words: a name, a
number or a date differs, two roles are exchanged, something was planned or denied, or another
thing is asked about the same topic. The share of equivalent pairs is that of the real tasks: 68%
in MRPC (Dolan and Brockett 2005), 37% in QQP (Wang et al. 2019, arXiv 1804.07461).
"""

from __future__ import annotations

from tools.sample.draw import Draw
from tools.sample.events import Event, change, draw_event, fill, slots_of, swap
from tools.sample.example import Example
from tools.sample.reports import report
from tools.sample.topics import TOPICS, Intent, Topic

EQUIVALENT_SHARE = 0.68
DUPLICATE_SHARE = 0.37


def mrpc(draw: Draw) -> Example:
    """Return one MRPC example: label 1 is equivalent, 0 is not."""
    equivalent = draw.chance(EQUIVALENT_SHARE)
    event = draw_event(draw)
    form, reworded = draw.distinct(event.frame.forms, 2)
    second = event.tell(reworded) if equivalent else _near_miss(draw, event)
    return Example((report(draw, event.tell(form)), report(draw, second)), int(equivalent))


def _near_miss(draw: Draw, event: Event) -> str:
    form = draw.pick(event.frame.forms)
    exchanged = swap(event)
    if exchanged is not None and draw.chance(0.1):
        return exchanged.tell(form)
    if draw.chance(0.4):
        return event.tell(draw.pick(event.frame.denials))
    return Event(event.frame, change(draw, event.slots, draw.number(1, len(event.slots)))).tell(
        form
    )


def qqp(draw: Draw) -> Example:
    """Return one QQP example: label 1 is duplicate, 0 is not."""
    duplicate = draw.chance(DUPLICATE_SHARE)
    topic = draw.pick(TOPICS)
    intent = draw.pick(topic)
    slots = fill(draw, slots_of(intent[0]))
    first, reworded = draw.distinct(intent, 2)
    if duplicate:
        return Example((first.format_map(slots), reworded.format_map(slots)), 1)
    other, changed = _other_question(draw, topic, intent, slots)
    return Example((first.format_map(slots), other.format_map(changed)), 0)


def _other_question(
    draw: Draw, topic: Topic, intent: Intent, slots: dict[str, str]
) -> tuple[str, dict[str, str]]:
    if draw.chance(0.45):
        return draw.pick(intent), change(draw, slots, 1)
    wording = draw.pick(draw.other(topic, intent))
    missing = fill(draw, [name for name in slots_of(wording) if name not in slots])
    return wording, {**missing, **slots}
