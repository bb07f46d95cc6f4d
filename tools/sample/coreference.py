"""WNLI: a pronoun with two candidates, and a sentence that puts one of them in its place.

A schema has two endings; which candidate the pronoun refers to changes with the ending alone
(Levesque et al. 2012). Nothing but knowledge of the world decides, so a small model that is
trained on a few hundred of these stays near chance, as it does on the real WNLI: a score of about
one half is the honest result here, not a fault of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.grammar import sentence

_NOT_ENTAILED, _ENTAILED = 0, 1


@dataclass(frozen=True)
class Schema:
    """A stem with candidates `{a}` and `{b}`, and the endings that pick the one or the other.

    `{p}` is the pronoun in the stem, and for the candidate in the hypothesis.
    """

    stem: str
    picks_a: tuple[str, ...]
    picks_b: tuple[str, ...]
    first: Sequence[str] = ()
    second: Sequence[str] = ()
    """Words for the candidates; without them the two are people."""


def wnli(draw: Draw) -> Example:
    """Return one WNLI example: label 1 says that the hypothesis has the right candidate."""
    schema = draw.pick(_SCHEMAS)
    one, other, pronoun = _candidates(draw, schema)
    a_is_meant, entailed = draw.chance(0.5), draw.chance(0.5)
    ending = draw.pick(schema.picks_a if a_is_meant else schema.picks_b)
    candidate = one if a_is_meant == entailed else other
    text = f"{schema.stem} {ending}".format(a=one, b=other, p=pronoun)
    if draw.chance(0.5):
        text = draw.pick(_SETTINGS).format(text=text, city=draw.pick(lexicon.CITIES))
    label = _ENTAILED if entailed else _NOT_ENTAILED
    return Example((sentence(text), sentence(ending.format(p=candidate))), label)


def _candidates(draw: Draw, schema: Schema) -> tuple[str, str, str]:
    if schema.first:
        return f"the {draw.pick(schema.first)}", f"the {draw.pick(schema.second)}", "it"
    women = draw.chance(0.5)
    one, other = draw.distinct(lexicon.WOMEN if women else lexicon.MEN, 2)
    return one, other, "she" if women else "he"


_SETTINGS = (
    "last winter in {city}, {text}",
    "in {city}, {text}",
    "as a neighbour from {city} told us, {text}",
    "it happened in {city}: {text}",
)

_CONTAINERS = ("suitcase", "box", "basket", "drawer", "cupboard", "crate", "bag", "locker", "trunk")
_GOODS = ("trophy", "violin", "lamp", "statue", "drum", "helmet", "vase", "kettle", "globe", "tent")
_HARD = ("hammer", "rock", "brick", "bowling ball", "iron bar", "cannonball", "anvil", "dumbbell")
_BRITTLE = ("mirror", "window", "plate", "glass table", "china bowl", "ice sheet", "lightbulb")
_HUNTERS = ("cat", "fox", "wolf", "eagle", "owl", "dog", "falcon", "snake")
_PREY = ("mouse", "rabbit", "pigeon", "squirrel", "hen", "frog", "sparrow", "duckling")
_FAST = ("sports car", "express train", "racing bike", "motorcycle", "ambulance", "police car")
_SLOW = ("tractor", "school bus", "milk cart", "bicycle", "hay wagon", "old lorry")

_SCHEMAS = (
    Schema(
        "{a} did not fit into {b} because",
        ("{p} was too large", "{p} was too bulky", "{p} was too wide"),
        ("{p} was too small", "{p} was too narrow", "{p} was already full"),
        _GOODS,
        _CONTAINERS,
    ),
    Schema(
        "{a} fell onto {b} and, as everyone heard,",
        ("{p} bounced off unharmed", "{p} was not even scratched"),
        ("{p} broke into pieces", "{p} shattered", "{p} cracked from side to side"),
        _HARD,
        _BRITTLE,
    ),
    Schema(
        "{a} chased {b} across the field, but",
        ("{p} was still hungry in the evening", "{p} caught nothing"),
        ("{p} got away", "{p} escaped into a hole", "{p} was not eaten"),
        _HUNTERS,
        _PREY,
    ),
    Schema(
        "{a} overtook {b} on the hill because",
        ("{p} was going so fast", "{p} had the stronger engine"),
        ("{p} was going so slowly", "{p} had broken down"),
        _FAST,
        _SLOW,
    ),
    Schema(
        "{a} lent {b} some money because",
        ("{p} had plenty to spare", "{p} is a generous friend"),
        ("{p} could not pay the rent", "{p} was in debt"),
    ),
    Schema(
        "{a} thanked {b} warmly because",
        ("{p} had been helped", "{p} had received a present"),
        ("{p} had been so helpful", "{p} had given such a fine present"),
    ),
    Schema(
        "{a} could not see the stage behind {b} because",
        ("{p} is so short", "{p} had forgotten to bring glasses"),
        ("{p} is so tall", "{p} was wearing a huge hat"),
    ),
    Schema(
        "{a} apologised to {b} because",
        ("{p} had been rude", "{p} had broken the promise"),
        ("{p} had been offended", "{p} had been kept waiting"),
    ),
    Schema(
        "{a} asked {b} for advice because",
        ("{p} was at a loss", "{p} did not know what to do"),
        ("{p} knew the subject well", "{p} was the expert"),
    ),
    Schema(
        "{a} beat {b} at chess because",
        ("{p} had practised all year", "{p} is the better player"),
        ("{p} had hardly practised", "{p} is the weaker player"),
    ),
    Schema(
        "{a} visited {b} in hospital after",
        ("{p} had bought some flowers", "{p} had heard the news"),
        ("{p} had broken a leg", "{p} had been operated on"),
    ),
    Schema(
        "{a} hired {b} last month because",
        ("{p} needed an assistant", "{p} had too much work in the shop"),
        ("{p} was looking for a job", "{p} had applied for the post"),
    ),
    Schema(
        "{a} refused to lend {b} the car because",
        ("{p} needed it that evening", "{p} had only just paid for it"),
        ("{p} drives too fast", "{p} has no driving licence"),
    ),
    Schema(
        "{a} taught {b} to swim because",
        ("{p} was the lifeguard", "{p} was a trained instructor"),
        ("{p} was afraid of the water", "{p} had never learned it"),
    ),
    Schema(
        "{a} envied {b} because",
        ("{p} had lost the contest", "{p} had never won anything"),
        ("{p} had won the contest", "{p} was so successful"),
    ),
)
