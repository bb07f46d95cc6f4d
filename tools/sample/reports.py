"""The voice of a newspaper: who says so, and remarks that do not change the content."""

from __future__ import annotations

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.grammar import sentence

_ATTRIBUTIONS = (
    "{clause}",
    "{clause}",
    "{clause}",
    "{clause}",
    "{clause}, officials said",
    "{clause}, according to the {paper}",
    "the {paper} reported that {clause}",
    "it was announced that {clause}",
    "a spokesman confirmed that {clause}",
    "a journalist wrote that {clause}",
    "after weeks of rumours, {clause}",
    "to the surprise of many observers, {clause}",
    "{clause}, as had been expected",
    "{clause}, several witnesses said",
)
_REMARKS = (
    "The news was greeted with surprise in {city}.",
    "{name} {surname} declined to comment.",
    "The {city} {paper} had first hinted at it in the spring.",
    "Experts say that the consequences will be felt for years.",
    "Nobody in {city} had seen anything like it before.",
    "A statement is expected later this week.",
    "{name} {surname}, who has followed the matter closely, called it a turning point.",
    "Similar stories have come from {city} and elsewhere.",
)
_PAPERS = ("Courier", "Gazette", "Herald", "Mercury", "Observer", "Post", "Tribune")


def report(draw: Draw, clause: str) -> str:
    """Return a sentence that reports `clause`, perhaps with its source."""
    return sentence(_dressed(draw, draw.pick(_ATTRIBUTIONS), clause))


def article(draw: Draw, clause: str) -> str:
    """Return a short text that reports `clause`: one or two sentences, in either order."""
    told, remark = report(draw, clause), _dressed(draw, draw.pick(_REMARKS), "")
    return draw.pick((told, f"{told} {remark}", f"{remark} {told}"))


def _dressed(draw: Draw, frame: str, clause: str) -> str:
    return frame.format(
        clause=clause,
        city=draw.pick(lexicon.CITIES),
        paper=draw.pick(_PAPERS),
        name=draw.pick(lexicon.NAMES),
        surname=draw.pick(lexicon.SURNAMES),
    )
