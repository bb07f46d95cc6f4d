"""The data of the sentences is consistent: frames, topics and word lists."""

import pytest
from tools.sample import lexicon
from tools.sample.constructions import CONSTRUCTIONS, LABELS, Construction
from tools.sample.draw import Draw
from tools.sample.events import change, draw_event, fill, slots_of, swap
from tools.sample.frames import FRAMES
from tools.sample.topics import TOPICS


def test_frames_have_the_same_meaning_in_every_form() -> None:
    assert len(FRAMES) == 14
    for frame in FRAMES:
        slots = set(slots_of(frame.forms[0]))
        assert len(frame.forms) >= 3
        for form in (*frame.forms, *frame.denials):
            assert set(slots_of(form)) == slots, form
        for account in (
            *frame.briefs,
            *(text for texts in frame.questions.values() for text in texts),
        ):
            assert set(slots_of(account)) <= slots, account


def test_questions_do_not_contain_their_answers() -> None:
    questions = [
        (slot, text)
        for frame in FRAMES
        for slot, texts in frame.questions.items()
        for text in texts
    ]
    assert len(questions) >= 35
    for slot, text in questions:
        assert slot not in slots_of(text), text
        assert slots_of(text) or "factory" in text, text


def test_wordings_of_an_intent_use_the_same_slots() -> None:
    intents = [intent for topic in TOPICS for intent in topic]
    assert len(TOPICS) == 10
    assert len(intents) >= 35
    for intent in intents:
        assert len(intent) >= 2
        assert len({frozenset(slots_of(wording)) for wording in intent}) == 1, intent


def test_word_lists_have_no_repeats() -> None:
    lists = {
        name: words
        for name, words in vars(lexicon).items()
        if name.isupper() and isinstance(words, tuple)
    }
    assert len(lists) >= 25
    assert sum(map(len, lists.values())) > 900
    for name, words in lists.items():
        assert len(set(words)) == len(words), name


def test_changed_events_differ_in_as_many_slots() -> None:
    draw = Draw("change")
    for _ in range(200):
        event = draw_event(draw)
        for count in range(len(event.slots) + 1):
            changed = change(draw, event.slots, count)
            assert sum(changed[name] != value for name, value in event.slots.items()) == count


def test_swapped_events_exchange_two_values() -> None:
    draw = Draw("swap")
    swapped = [(event, swap(event)) for event in (draw_event(draw) for _ in range(200))]
    exchanged = [(event, other) for event, other in swapped if other is not None]
    assert len(exchanged) > 40
    for event, other in exchanged:
        assert other.slots != event.slots
        assert sorted(other.slots.values()) == sorted(event.slots.values())


def test_slots_of_one_kind_are_filled_differently() -> None:
    draw = Draw("fill")
    for _ in range(500):
        slots = fill(draw, ("city1", "city2", "city"))
        assert len(set(slots.values())) == 3


@pytest.mark.parametrize("construct", CONSTRUCTIONS, ids=lambda construct: construct.__name__)
@pytest.mark.parametrize("genre", [lexicon.TOWN, lexicon.SEA, lexicon.LABORATORY])
def test_constructions_give_every_label(construct: Construction, genre: lexicon.Genre) -> None:
    draw = Draw("constructions")
    for label in LABELS:
        for _ in range(50):
            premise, hypothesis = construct(draw, genre, label)
            assert premise
            assert hypothesis
            assert "{" not in premise + hypothesis
            assert premise != hypothesis or label == LABELS[0]
