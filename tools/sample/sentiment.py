"""SST-2: sentences out of reviews, positive or negative, half and half.

A sentence holds praise, blame, or both. Where it holds both, its syntax decides: the main clause
over the concession, what was found over what was expected, the negated word the other way round.
So single opinion words mislead, as they do in reviews.
"""

from __future__ import annotations

from tools.sample import lexicon
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.grammar import a, sentence


def sst2(draw: Draw) -> Example:
    """Return one SST-2 example: label 1 is positive, 0 is negative."""
    positive = draw.chance(0.5)
    template = draw.pick(_TEMPLATES)
    text = template.format_map(_Opinions(draw, positive))
    return Example((sentence(text),), int(positive))


class _Opinions(dict[str, str]):
    """Fills a template's slots: `same_x` agrees with the verdict, `other_x` speaks against it.

    Each slot is drawn when the template asks for it, and only then.
    """

    def __init__(self, draw: Draw, positive: bool) -> None:
        super().__init__()
        self._draw = draw
        self._positive = positive

    def __missing__(self, slot: str) -> str:
        side, _, kind = slot.rstrip("12345").partition("_")
        if kind:
            praising = self._positive if side == "same" else not self._positive
            value = self._draw.pick((_PRAISE if praising else _BLAME)[kind])
        else:
            value = self._draw.pick(_NEUTRAL[side])
        self[slot] = value
        return value

    def __getitem__(self, slot: str) -> str:
        if slot.startswith("a_"):
            return a(self[slot[2:]])
        return super().__getitem__(slot)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


_PRAISE = {
    "adjective": _words(
        "superb charming delightful gripping moving brilliant clever witty tender inventive "
        "absorbing graceful warm vivid thrilling hilarious honest fresh masterful radiant "
        "enchanting thoughtful elegant dazzling refreshing memorable engaging polished lovely "
        "wonderful splendid sincere imaginative compelling uplifting exquisite"
    ),
    "verb": _words(
        "sparkles shines soars delights dazzles succeeds triumphs impresses sings_from_the_start "
        "works_beautifully never_falters lingers_in_the_mind rewards_every_minute"
    ),
    "noun": _words(
        "triumph joy delight gem treat pleasure masterpiece marvel success revelation "
        "work_of_real_skill small_wonder"
    ),
    "outcome": _words(
        "won_me_over kept_me_smiling held_me_to_the_last_scene left_the_audience_cheering "
        "earned_its_applause moved_me_to_tears_of_joy stayed_with_me_for_days "
        "made_the_evening_fly_by exceeded_every_hope turned_out_to_be_worth_every_penny"
    ),
}
_BLAME = {
    "adjective": _words(
        "dull clumsy tedious lifeless shallow predictable bland tiresome muddled forgettable stale "
        "wooden awkward dreary pointless messy hollow smug sluggish irritating feeble annoying "
        "gloomy lazy empty boring dismal ugly shoddy unconvincing disjointed grating plodding "
        "charmless flat amateurish"
    ),
    "verb": _words(
        "drags stumbles fails sinks disappoints irritates bores falls_apart goes_nowhere "
        "outstays_its_welcome collapses_halfway rings_false wastes_every_minute"
    ),
    "noun": _words(
        "mess bore disaster chore failure letdown waste embarrassment blunder ordeal misfire "
        "lost_opportunity"
    ),
    "outcome": _words(
        "left_me_cold lost_me_by_the_second_scene sent_half_the_audience_home "
        "made_me_check_my_watch wore_out_my_patience put_me_to_sleep "
        "was_forgotten_by_the_next_morning made_two_hours_feel_like_five squandered_its_cast "
        "turned_out_to_be_a_waste_of_money"
    ),
}
_NEUTRAL = {
    "aspect": _words(
        "script acting plot dialogue pacing camera_work score direction ending cast opening humour "
        "romance editing story soundtrack staging costume_design lead_performance second_half "
        "narration premise middle_section final_act"
    ),
    "work": _words(
        "film movie comedy drama thriller documentary sequel remake musical western biopic cartoon "
        "adaptation mystery farce period_piece courtroom_drama war_film road_movie debut"
    ),
    "audience": _words(
        "critics children parents teenagers fans_of_the_book most_viewers "
        "anyone_who_likes_the_genre"
    ),
    "adverb": _words("truly remarkably often thoroughly quite genuinely surprisingly consistently"),
    "maker": tuple(f"director {surname}" for surname in lexicon.SURNAMES),
    "place": tuple(f"set in {city}" for city in lexicon.CITIES),
}

_TEMPLATES = (
    "the {aspect1} is {same_adjective1} and the {aspect2} {same_verb}",
    "{a_same_adjective1} {work} with {a_same_adjective2} {aspect}",
    "{maker} has made {a_adverb} {same_adjective} {work}",
    "this {work}, {place}, is {adverb} {same_adjective}",
    "from its {same_adjective1} opening to its {same_adjective2} ending, the {work} {same_verb}",
    "the {work} {same_outcome}",
    "{maker}'s {work} is {a_same_noun}, and the {aspect} is {adverb} {same_adjective}",
    "there is nothing {other_adjective} about the {aspect} of this {work}",
    "the {aspect} is never {other_adjective}",
    "it would be wrong to call this {work} {other_adjective}",
    "far from being {other_adjective}, the {aspect} is {adverb} {same_adjective}",
    "no one could say that the {aspect} is {other_adjective1} or that the {work} {other_verb}",
    "the {work} is not {other_adjective1}, nor is its {aspect} {other_adjective2}",
    "though {other_adjective} at first, the {work} {same_outcome}",
    "despite {a_other_adjective} {aspect}, the {work} {same_outcome}",
    "the {aspect1} may be {other_adjective}, but {maker}'s {work} {same_verb}",
    "the {work} {same_outcome}, even if the {aspect} is {adverb} {other_adjective}",
    "{audience} may find it {other_adjective}, yet the {work} is {a_same_noun}",
    "the {aspect} {other_verb}, but that hardly matters in {a_work} this {same_adjective}",
    "I expected {a_other_noun} and got {a_same_noun}",
    "what could have been {a_other_adjective1} {work} is instead {same_adjective1}",
    "the trailer promised {a_other_adjective} {work}, but the film itself {same_outcome}",
    "not even {a_other_adjective} {aspect} can change the fact that this {work} is {a_same_noun}",
    "where the first {work} was {other_adjective}, this one is {same_adjective}",
    "it is less {other_adjective} than the last {work} by {maker} and far more {same_adjective}",
    "{audience} called it {other_adjective}, and they could not have been more wrong",
    "I have yet to see {a_other_adjective} {work} from {maker}, and this one is no exception",
    "the {work} has all the {same_adjective1} moments that {maker}'s earlier work lacked",
    "the {aspect1} is {other_adjective1}, the {aspect2} is {other_adjective2}, "
    "and still the {work} {same_outcome}",
)
