"""Filling the news frames: an event, its accounts, and events that differ from it a little."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.frames import FRAMES, Frame
from tools.sample.grammar import in_words


@dataclass(frozen=True)
class Event:
    """A frame and what its slots hold."""

    frame: Frame
    slots: Mapping[str, str]

    def tell(self, form: str) -> str:
        """Return `form` with this event's slots, not yet a sentence."""
        return form.format_map(self.slots)


def slots_of(form: str) -> tuple[str, ...]:
    """Return the names of the slots in `form`, in order."""
    return tuple(name for _, name, _, _ in Formatter().parse(form) if name)


def draw_event(draw: Draw) -> Event:
    """Return an event of any frame."""
    frame = draw.pick(FRAMES)
    return Event(frame, fill(draw, _SLOTS[frame.forms[0]]))


def fill(draw: Draw, names: Sequence[str]) -> dict[str, str]:
    """Return a value for each slot name; slots of the same kind get different values."""
    slots: dict[str, str] = {}
    for name in names:
        slots[name] = _fresh_value(draw, name, tuple(slots.values()))
    return slots


def change(draw: Draw, slots: Mapping[str, str], count: int) -> dict[str, str]:
    """Return the slots with `count` of them (or as many as there are) given other values."""
    changed = dict(slots)
    for name in draw.distinct(tuple(slots), min(count, len(slots))):
        changed[name] = _fresh_value(draw, name, (*slots.values(), *changed.values()))
    return changed


def swap(event: Event) -> Event | None:
    """Return the event with its two roles exchanged, or None where it has no such roles."""
    if event.frame.swap is None:
        return None
    first, second = event.frame.swap
    exchanged = {first: event.slots[second], second: event.slots[first]}
    return Event(event.frame, {**event.slots, **exchanged})


def _fresh_value(draw: Draw, name: str, taken: Sequence[str]) -> str:
    value = _VALUES[name.rstrip("12")](draw)
    while value in taken:
        value = _VALUES[name.rstrip("12")](draw)
    return value


def _from(words: Sequence[str]) -> Callable[[Draw], str]:
    return lambda draw: draw.pick(words)


def _person(draw: Draw) -> str:
    return f"{draw.pick(lexicon.NAMES)} {draw.pick(lexicon.SURNAMES)}"


def _money(draw: Draw) -> str:
    whole = draw.number(2, 95)
    amount = f"{whole}" if draw.chance(0.6) else f"{whole}.{draw.number(1, 9)}"
    return f"${amount} million"


def _count(draw: Draw) -> str:
    return in_words(draw.pick((draw.number(3, 20), 10 * draw.number(3, 120))))


def _score(draw: Draw) -> str:
    goals = draw.number(1, 6)
    return f"{goals}-{draw.number(0, goals - 1)}"


_VALUES: Mapping[str, Callable[[Draw], str]] = {
    "building": _from(lexicon.BUILDINGS),
    "city": _from(lexicon.CITIES),
    "club": _from(
        tuple(f"{city} {club}" for city in lexicon.CITIES for club in lexicon.SPORTS_CLUBS)
    ),
    "company": _from(lexicon.COMPANIES),
    "count": _count,
    "country": _from(lexicon.COUNTRIES),
    "day": _from(lexicon.DAYS),
    "device": _from(lexicon.DEVICES),
    "dish": _from(lexicon.DISHES),
    "hobby": _from(lexicon.HOBBIES),
    "language": _from(lexicon.LANGUAGES),
    "magnitude": lambda draw: f"{draw.number(4, 8)}.{draw.number(0, 9)}",
    "money": _money,
    "month": _from(lexicon.MONTHS),
    "percent": lambda draw: f"{draw.number(2, 40)} percent",
    "person": _person,
    "pet": _from(lexicon.PETS),
    "prize": _from(lexicon.SURNAMES),
    "role": _from(("chairman", "chief executive", "finance director", "head of research")),
    "score": _score,
    "subject": _from(lexicon.SUBJECTS),
    "work": _from(lexicon.FIELDS_OF_WORK),
    "year": lambda draw: str(draw.number(1962, 2023)),
}

_SLOTS = {frame.forms[0]: slots_of(frame.forms[0]) for frame in FRAMES}
