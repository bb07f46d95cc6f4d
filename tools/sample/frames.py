"""News events as data: accounts, weaker accounts, denials and questions for each.

A slot such as `{city}` or `{company2}` is filled by `events` from the word list of its kind (the
name without its digits). All `forms` of a frame say the same and fill every slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One kind of event."""

    forms: tuple[str, ...]
    """Full accounts that mean the same."""
    briefs: tuple[str, ...]
    """Shorter accounts that follow from the full ones."""
    denials: tuple[str, ...]
    """Accounts in much the same words of something else: a plan, a failure, a refusal."""
    questions: Mapping[str, tuple[str, ...]]
    """Slot to questions that it answers."""
    swap: tuple[str, str] | None = None
    """Two slots that trade places to give another event, where that makes sense."""


FRAMES = (
    Frame(
        forms=(
            "{company1} bought {company2} for {money} in {month}",
            "in {month}, {company1} acquired {company2} for {money}",
            "{company2} was bought by {company1} for {money} in {month}",
            "{company1} paid {money} in {month} to take over {company2}",
        ),
        briefs=("{company1} acquired {company2}", "{company2} was taken over by {company1}"),
        denials=(
            "{company1} failed to buy {company2} for {money} in {month}",
            "{company2} rejected an offer of {money} from {company1} in {month}",
        ),
        questions={
            "money": ("How much did {company1} pay for {company2}?",),
            "company1": ("Which company took over {company2}?", "Who acquired {company2}?"),
            "month": ("When did {company1} buy {company2}?",),
        },
        swap=("company1", "company2"),
    ),
    Frame(
        forms=(
            "{company1} will close its factory in {city} and cut {count} jobs by {month}",
            "by {month}, {company1} will shut its {city} plant with the loss of {count} jobs",
            "{count} workers will lose their jobs by {month} when {company1} closes its plant in "
            "{city}",
        ),
        briefs=("{company1} is closing a plant in {city}", "jobs at {company1} in {city} will go"),
        denials=(
            "{company1} will open a factory in {city} and create {count} jobs by {month}",
            "{company1} denied that it would close its factory in {city} and cut {count} jobs by "
            "{month}",
        ),
        questions={
            "count": ("How many jobs will {company1} cut in {city}?",),
            "month": ("When will the {company1} factory in {city} close?",),
            "city": ("Where is the factory that {company1} is closing?",),
        },
    ),
    Frame(
        forms=(
            "{club1} beat {club2} {score} in {city} on {day}",
            "on {day} in {city}, {club2} lost {score} to {club1}",
            "{club2} were beaten {score} by {club1} in {city} on {day}",
            "a {score} win over {club2} in {city} on {day} delighted {club1}",
        ),
        briefs=("{club1} defeated {club2}", "{club2} lost to {club1} in {city}"),
        denials=(
            "{club1} and {club2} drew in {city} on {day} after a {score} win last year",
            "{club1} hope to beat {club2} {score} in {city} on {day}",
        ),
        questions={
            "score": ("What was the score when {club1} played {club2}?",),
            "city": ("Where did {club1} play {club2}?",),
            "day": ("On which day did {club1} beat {club2}?",),
        },
        swap=("club1", "club2"),
    ),
    Frame(
        forms=(
            "{person1} was appointed {role} of {company1} in {month}, replacing {person2}",
            "in {month}, {company1} named {person1} as its {role} in place of {person2}",
            "{person1} took over from {person2} as {role} of {company1} in {month}",
            "{person2} was succeeded by {person1} as {role} of {company1} in {month}",
        ),
        briefs=("{person1} is {role} of {company1}", "{person2} is no longer {role} of {company1}"),
        denials=(
            "{person1} turned down the post of {role} at {company1} in {month}, so {person2} stays",
            "{person1} may replace {person2} as {role} of {company1} in {month}",
        ),
        questions={
            "person1": ("Who replaced {person2} at {company1}?",),
            "person2": ("Whom did {person1} succeed at {company1}?",),
            "month": ("When did {person1} become {role} of {company1}?",),
        },
        swap=("person1", "person2"),
    ),
    Frame(
        forms=(
            "an earthquake of magnitude {magnitude} struck {country} on {day}, killing {count} "
            "people",
            "{count} people died on {day} when a quake of magnitude {magnitude} hit {country}",
            "in {country}, {count} people were killed on {day} by a magnitude {magnitude} quake",
        ),
        briefs=(
            "there was a deadly earthquake in {country}",
            "people in {country} died in a quake",
        ),
        denials=(
            "an earthquake of magnitude {magnitude} shook {country} on {day}, but none of the "
            "{count} villagers was killed",
            "{country} held a drill on {day} for {count} people and a quake of magnitude "
            "{magnitude}",
        ),
        questions={
            "count": ("How many people did the earthquake in {country} kill?",),
            "magnitude": ("How strong was the earthquake in {country}?",),
            "day": ("When did the earthquake strike {country}?",),
        },
    ),
    Frame(
        forms=(
            "police in {city} arrested {person1} on {day} for stealing {money} from {company1}",
            "{person1} was arrested in {city} on {day} over the theft of {money} from {company1}",
            "on {day}, police in {city} detained {person1}, who stole {money} from {company1}",
        ),
        briefs=("{person1} was detained in {city}", "police arrested {person1}"),
        denials=(
            "police in {city} cleared {person1} on {day} of stealing {money} from {company1}",
            "police in {city} are still looking for {person1}, who on {day} stole {money} from "
            "{company1}",
        ),
        questions={
            "money": ("How much money did {person1} steal?",),
            "city": ("Where was {person1} arrested?",),
            "company1": ("From which company did {person1} steal?",),
        },
    ),
    Frame(
        forms=(
            "the new bridge in {city} cost {money} and was finished in {year}",
            "finished in {year}, the new bridge in {city} cost {money}",
            "{city} completed its new bridge in {year} at a price of {money}",
            "in {year}, work ended on the new bridge in {city}, which had cost {money}",
        ),
        briefs=("a bridge was built in {city}", "{city} has a new bridge"),
        denials=(
            "the new bridge in {city} was to cost {money} but was abandoned in {year}",
            "{city} has yet to begin the bridge, worth {money}, that was promised in {year}",
        ),
        questions={
            "money": ("How much did the bridge in {city} cost?",),
            "year": ("When was the bridge in {city} completed?",),
        },
    ),
    Frame(
        forms=(
            "{person1}, who was born in {city}, won the {prize} prize in {year}",
            "the {prize} prize of {year} went to {person1}, a native of {city}",
            "in {year}, {person1} from {city} was awarded the {prize} prize",
        ),
        briefs=("{person1} has won a prize", "someone from {city} was awarded the {prize} prize"),
        denials=(
            "{person1}, who was born in {city}, refused the {prize} prize in {year}",
            "{person1} from {city} was the favourite for the {prize} prize in {year} but lost",
        ),
        questions={
            "city": ("Where was {person1} born?", "Which city does {person1} come from?"),
            "year": ("When did {person1} win the {prize} prize?",),
            "prize": ("Which prize did {person1} win?",),
        },
    ),
    Frame(
        forms=(
            "shares in {company1} rose {percent} on {day} after a profit of {money}",
            "a profit of {money} lifted the shares of {company1} by {percent} on {day}",
            "on {day}, {company1} stock climbed {percent} when it reported a profit of {money}",
        ),
        briefs=("shares in {company1} went up", "{company1} made a profit"),
        denials=(
            "shares in {company1} fell {percent} on {day} despite a profit of {money}",
            "shares in {company1} rose {percent} on {day} after a loss of {money}",
        ),
        questions={
            "percent": ("By how much did shares in {company1} rise?",),
            "money": ("How large was the profit of {company1}?",),
            "day": ("When did the shares of {company1} climb?",),
        },
    ),
    Frame(
        forms=(
            "the president of {country1} met the president of {country2} in {city} on {day}",
            "on {day}, the presidents of {country1} and {country2} met in {city}",
            "{city} was the scene on {day} of a meeting of the presidents of {country2} and "
            "{country1}",
        ),
        briefs=(
            "the president of {country2} was in {city}",
            "the president of {country1} visited {city}",
        ),
        denials=(
            "the president of {country1} refused to meet the president of {country2} in {city} on "
            "{day}",
            "a meeting in {city} of the presidents of {country1} and {country2} was called off on "
            "{day}",
        ),
        questions={
            "city": ("Where did the presidents of {country1} and {country2} meet?",),
            "day": ("When did the presidents of {country1} and {country2} meet?",),
        },
    ),
    Frame(
        forms=(
            "{person1} sold a painting to the museum in {city} for {money} in {year}",
            "in {year}, the museum in {city} bought a painting from {person1} for {money}",
            "the museum in {city} paid {person1} {money} for a painting in {year}",
        ),
        briefs=("{person1} sold a painting", "the museum in {city} bought a painting"),
        denials=(
            "{person1} bought a painting from the museum in {city} for {money} in {year}",
            "{person1} lent a painting worth {money} to the museum in {city} in {year}",
        ),
        questions={
            "person1": ("Who sold the painting to the museum in {city}?",),
            "money": ("How much did the museum in {city} pay for the painting?",),
            "year": ("When did {person1} sell the painting?",),
        },
    ),
    Frame(
        forms=(
            "{company1} moved its headquarters from {city1} to {city2} in {year}",
            "in {year}, {company1} left {city1} and made {city2} its headquarters",
            "the headquarters of {company1} were moved to {city2} from {city1} in {year}",
        ),
        briefs=("{company1} is based in {city2}", "{company1} no longer has its base in {city1}"),
        denials=(
            "{company1} decided in {year} against moving its headquarters from {city1} to {city2}",
            "{company1} opened a shop in {city2} in {year} but kept its headquarters in {city1}",
        ),
        questions={
            "city2": ("To which city did {company1} move its headquarters?",),
            "city1": ("Where were the headquarters of {company1} before the move?",),
            "year": ("When did {company1} move its headquarters?",),
        },
        swap=("city1", "city2"),
    ),
    Frame(
        forms=(
            "a fire destroyed the {building} in {city} on {day}, and {count} people were hurt",
            "on {day}, {count} people were injured when the {building} in {city} burned down",
            "the {building} in {city} was destroyed on {day} by a fire that injured {count} people",
        ),
        briefs=("the {building} in {city} burned down", "people were injured by a fire in {city}"),
        denials=(
            "a fire in the {building} in {city} was put out on {day} before any of the {count} "
            "people inside was hurt",
            "a flood closed the {building} in {city} on {day}, and {count} people were hurt",
        ),
        questions={
            "count": ("How many people did the fire in {city} injure?",),
            "building": ("Which building in {city} burned down?",),
            "day": ("On which day did the {building} in {city} burn down?",),
        },
    ),
    Frame(
        forms=(
            "{person1} left {company1} in {year} to teach {subject} at the university of {city}",
            "in {year}, {person1} gave up a job at {company1} to become a teacher of {subject} at "
            "the university of {city}",
            "since leaving {company1} in {year}, {person1} has taught {subject} at the university "
            "of {city}",
        ),
        briefs=("{person1} used to work for {company1}", "{person1} has taught {subject}"),
        denials=(
            "{person1} left the university of {city}, where {subject} was taught, in {year} to "
            "join {company1}",
            "{person1} of {company1} was invited in {year} to teach {subject} at the university of "
            "{city} but declined",
        ),
        questions={
            "subject": ("What does {person1} teach?",),
            "company1": ("For whom did {person1} work before?",),
            "city": ("At which university does {person1} teach?",),
        },
    ),
)
"""The events; every one has at least three forms and two questions."""
