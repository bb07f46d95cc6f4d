"""MNLI: does the premise entail the hypothesis, contradict it, or neither?

The matched splits speak of a town, as training does; the mismatched ones of the sea and of
natural history, whose people, places and kinds of thing training never mentions.
"""

from __future__ import annotations

from tools.sample import lexicon
from tools.sample.constructions import CONSTRUCTIONS, LABELS, Construction
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.grammar import sentence
from tools.sample.lexicon import Genre


def mnli(draw: Draw) -> Example:
    """Return one MNLI example in training's genre: 0 entailment, 1 neutral, 2 contradiction."""
    return infer(draw, draw.pick(CONSTRUCTIONS), lexicon.TOWN)


def mnli_mismatched(draw: Draw) -> Example:
    """Return one MNLI example in a genre that training does not hold."""
    return infer(draw, draw.pick(CONSTRUCTIONS), draw.pick((lexicon.SEA, lexicon.LABORATORY)))


def infer(draw: Draw, construction: Construction, genre: Genre) -> Example:
    """Return an example of one construction, each label as likely as the next."""
    label = draw.number(0, len(LABELS) - 1)
    premise, hypothesis = construction(draw, genre, LABELS[label])
    return Example((sentence(premise), sentence(hypothesis)), label)
