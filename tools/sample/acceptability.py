"""CoLA: is the sentence acceptable English?

70% of the examples are acceptable, as in CoLA (Warstadt et al. 2019, arXiv 1805.12471). What
breaks the others is in `contrasts`.
"""

from __future__ import annotations

from tools.sample import lexicon
from tools.sample.contrasts import CONTRASTS
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.grammar import sentence

ACCEPTABLE_SHARE = 0.7


def cola(draw: Draw) -> Example:
    """Return one CoLA example: label 1 is acceptable, 0 is not."""
    acceptable = draw.chance(ACCEPTABLE_SHARE)
    contrast = draw.pick(CONTRASTS)(draw)
    text = contrast.good if acceptable else contrast.bad
    if contrast.end == "." and draw.chance(0.35):
        text = _embedded(draw, text)
    return Example((sentence(text, contrast.end),), int(acceptable))


def _embedded(draw: Draw, clause: str) -> str:
    frame = draw.pick(_EMBEDDINGS)
    return frame.format(
        clause=clause,
        name=draw.pick(lexicon.NAMES),
        person=draw.pick(lexicon.PEOPLE),
        day=draw.pick(lexicon.DAYS),
        city=draw.pick(lexicon.CITIES),
    )


_EMBEDDINGS = (
    "{name} thinks that {clause}",
    "everyone in {city} knows that {clause}",
    "it is clear that {clause}",
    "the {person} told {name} that {clause}",
    "according to the {person}, {clause}",
    "I have heard that {clause}",
    "{clause}, or so the {person} says",
    "{clause}, and {name} was surprised",
    "on {day} it became obvious that {clause}",
    "nobody denied that {clause}",
)
