"""English inflection and spelling, as much of it as the sample needs.

Words are handed in as the lexicon lists them; what is irregular is listed here once.
"""

from __future__ import annotations

_PLURALS = {
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "goose": "geese",
    "knife": "knives",
    "loaf": "loaves",
    "mouse": "mice",
    "sheep": "sheep",
    "shelf": "shelves",
    "thief": "thieves",
    "wolf": "wolves",
}

_PAST = {
    "begin": ("began", "begun"),
    "bring": ("brought", "brought"),
    "build": ("built", "built"),
    "buy": ("bought", "bought"),
    "catch": ("caught", "caught"),
    "choose": ("chose", "chosen"),
    "come": ("came", "come"),
    "draw": ("drew", "drawn"),
    "drive": ("drove", "driven"),
    "eat": ("ate", "eaten"),
    "fall": ("fell", "fallen"),
    "find": ("found", "found"),
    "forget": ("forgot", "forgotten"),
    "give": ("gave", "given"),
    "go": ("went", "gone"),
    "hide": ("hid", "hidden"),
    "hold": ("held", "held"),
    "keep": ("kept", "kept"),
    "know": ("knew", "known"),
    "leave": ("left", "left"),
    "lose": ("lost", "lost"),
    "make": ("made", "made"),
    "put": ("put", "put"),
    "ride": ("rode", "ridden"),
    "see": ("saw", "seen"),
    "sell": ("sold", "sold"),
    "sing": ("sang", "sung"),
    "sleep": ("slept", "slept"),
    "speak": ("spoke", "spoken"),
    "steal": ("stole", "stolen"),
    "sweep": ("swept", "swept"),
    "swim": ("swam", "swum"),
    "take": ("took", "taken"),
    "tell": ("told", "told"),
    "throw": ("threw", "thrown"),
    "wear": ("wore", "worn"),
    "write": ("wrote", "written"),
}

_DOUBLED = frozenset({"begin", "drop", "forget", "hug", "put", "stop", "swim", "travel", "wrap"})
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_SMALL_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
)


def plural(noun: str) -> str:
    """Return the plural of `noun`; of a compound, the last word is inflected."""
    head, _, last = noun.rpartition(" ")
    inflected = _PLURALS.get(last) or _with_s(last)
    if last.endswith("man"):
        inflected = f"{last[:-3]}men"
    return f"{head} {inflected}" if head else inflected


def third_person(verb: str) -> str:
    """Return the form after he, she or it: `carries` for `carry`."""
    if verb in ("go", "do"):
        return f"{verb}es"
    return _with_s(verb)


def past(verb: str) -> str:
    """Return the simple past: `wrote` for `write`."""
    return _PAST[verb][0] if verb in _PAST else _with_ed(verb)


def participle(verb: str) -> str:
    """Return the past participle: `written` for `write`."""
    return _PAST[verb][1] if verb in _PAST else _with_ed(verb)


def gerund(verb: str) -> str:
    """Return the -ing form: `writing` for `write`."""
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    if verb.endswith("e") and not verb.endswith("ee"):
        return f"{verb[:-1]}ing"
    return f"{verb}ing"


def a(phrase: str) -> str:
    """Return `phrase` with its indefinite article: `an old map`."""
    vowel = phrase[0] in "aeiou" and not phrase.startswith(("uni", "use", "euro", "one"))
    article = "an" if vowel or phrase.startswith(("hour", "honest", "heir")) else "a"
    return f"{article} {phrase}"


def in_words(number: int) -> str:
    """Return a whole number as text writes it: words to twenty, then digits with commas."""
    return _SMALL_NUMBERS[number] if number < len(_SMALL_NUMBERS) else f"{number:,}"


def sentence(text: str, end: str = ".") -> str:
    """Return `text` with a capital at its start and `end` behind it."""
    return f"{text[0].upper()}{text[1:]}{end}"


def _with_s(word: str) -> str:
    if word.endswith(_SIBILANTS):
        return f"{word}es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def _with_ed(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ed"
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}ed"
