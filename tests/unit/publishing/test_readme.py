"""README.md of a repository: what a push writes, and what it leaves to its owner."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gluetune.publishing.readme import (
    BEGIN,
    END,
    UnreadableReadmeError,
    front_matter,
    is_ours,
    merge_readme,
    metadata_of,
)

OURS: dict[str, Any] = {
    "library_name": "transformers",
    "pipeline_tag": "text-classification",
    "language": "en",
    "datasets": ["nyu-mll/glue"],
    "metrics": ["accuracy"],
    "tags": ["gluetune", "generated_from_trainer"],
    "model-index": [{"name": "m", "results": [{"metrics": [{"value": 0.5}]}]}],
}


def card(text: str = "one", **changed: Any) -> str:
    """Return a card as it was pushed before there were marks."""
    return f"""{front_matter(OURS | changed)}

# my-model

A checkpoint (BertForSequenceClassification, 1 weights), fine-tuned for CoLA ({text}).

> **Mind:** this model is small.

## Score

| metric |
|---|
| {text} |

## Data

Rows.

## Limits

- One run.

## How to load it

```python
# Score
## Data
```

## How it was trained

To repeat it:

```bash
gluetune train {text}
```
"""


def test_a_new_readme_is_the_card_between_the_marks() -> None:
    made = merge_readme(card())
    assert metadata_of(made) == OURS
    assert made.count(BEGIN) == made.count(END) == 1
    assert made.index(BEGIN) < made.index("# my-model") < made.index(END)
    assert made.endswith(f"{END}\n")
    assert is_ours(made)


def test_pushed_again_it_is_the_same_to_the_byte() -> None:
    owned = (
        f"---\nlicense: mit\ntags: [mine]\n---\n# Mine\n\n{BEGIN}\nold\n{END}\n## More\n  x\n\n\n"
    )
    for existing in (None, "", "# Mine\n", card("old"), owned):
        once = merge_readme(card(), existing)
        assert merge_readme(card(), once, OURS) == once


def test_our_section_is_replaced_in_place_and_all_else_stays() -> None:
    first = merge_readme(card("one"))
    before, section, after = first.partition(BEGIN)
    theirs = f"{before}Read this first.\r\n\n{section}{after}\n## License\n\nMIT  \n\n\n```\nx"
    again = merge_readme(card("two"), theirs, OURS)
    assert again == theirs.replace("one", "two")


def test_the_owners_metadata_stay_and_lists_are_united() -> None:
    existing = front_matter(
        {
            "license": "apache-2.0",
            "language": ["en", "no"],
            "tags": ["mine", "gluetune"],
            "datasets": "me/data",
            "widget": [{"text": "Hi"}],
            "pipeline_tag": "fill-mask",
            "thumbnail": None,
        }
    )
    found = metadata_of(merge_readme(card(), f"{existing}\n"))
    assert found["license"] == "apache-2.0"
    assert found["language"] == ["en", "no"]
    assert found["tags"] == ["gluetune", "generated_from_trainer", "mine"]
    assert found["datasets"] == ["nyu-mll/glue", "me/data"]
    assert found["widget"] == [{"text": "Hi"}]
    assert found["pipeline_tag"] == "text-classification"
    assert found["thumbnail"] is None


def test_what_an_earlier_push_wrote_makes_way() -> None:
    earlier = merge_readme(card(base_model="a/b"), "---\ntags: [mine]\ndatasets: [me/data]\n---\n")
    now = {name: value for name, value in OURS.items() if name not in ("datasets", "language")}
    now |= {"metrics": ["f1"], "model-index": [{"name": "m", "results": [{"new": 1}]}]}
    found = metadata_of(
        merge_readme(f"{front_matter(now)}\n\n# m\n", earlier, OURS | {"base_model": "a/b"})
    )
    assert found == now | {
        "tags": ["gluetune", "generated_from_trainer", "mine"],
        "datasets": ["me/data"],
    }


@pytest.mark.parametrize("language", ["no", "yes", "on", "2024-01-01", "True", "1.10"])
def test_a_value_keeps_its_meaning(language: str) -> None:
    """YAML 1.1 takes `no`, Norwegian, for False."""
    existing = f"---\nlicense: {language}\ndates: [2024-01-01]\n---\n"
    made = merge_readme(card(), existing)
    assert metadata_of(made)["license"] == metadata_of(existing)["license"]
    if language not in ("True", "1.10"):
        assert yaml.safe_load(made.split("---")[1])["license"] == language
    assert metadata_of(made)["dates"] == ["2024-01-01"]


def test_a_card_of_a_push_before_there_were_marks_is_replaced() -> None:
    old = card("old", license="mit").replace("tags:", "tags:\n- mine")
    assert is_ours(old)
    made = merge_readme(card("new"), old)
    assert "old" not in made
    assert made.count("## Score\n") == 1
    assert made.count("# my-model") == 1
    assert metadata_of(made)["license"] == "mit"
    assert "mine" in metadata_of(made)["tags"]


def test_what_an_owner_wrote_into_such_a_card_stays() -> None:
    old = card("old")
    old = old.replace("# my-model", "![logo](x.png)\n\n# my-model")
    old = old.replace("## Score", "Contact: me.\n\n## Score")
    old = old.replace("## Limits", "## Intended use\n\n### Not\n\nfor jokes\n\n## Limits")
    old += "\nCite as: me.\n\n## License\n\nMIT, of `old`.\n\n## Data\n\nMy own words on data.\n"
    made = merge_readme(card("new"), old)
    _, _, behind = made.partition(END)
    before, _, _ = made.partition(BEGIN)
    assert "![logo](x.png)" in before
    words = [
        "Contact: me.",
        "## Intended use",
        "### Not",
        "for jokes",
        "Cite as: me.",
        "## License",
    ]
    places = [behind.index(word) for word in [*words, "MIT, of `old`.", "My own words on data."]]
    assert places == sorted(places)
    assert "gluetune train old" not in made
    assert merge_readme(card("new"), made, OURS) == made


@pytest.mark.parametrize(
    "existing",
    [
        "# A model\n\n## Score\n\nmine\n\n## Data\n\nmine\n",
        card().replace("gluetune", "other"),
        card().replace("## Limits", "## Limitations"),
        "---\ntags: [gluetune]\n---\n\n# Mine, fine-tuned for fun\n",
    ],
)
def test_a_readme_of_somebody_else_stays_whole(existing: str) -> None:
    made = merge_readme(card("new"), existing)
    assert not is_ours(existing)
    body = existing.split("---\n")[-1].strip()
    assert body in made
    assert made.index(body) < made.index(BEGIN)


@pytest.mark.parametrize("lost", [BEGIN, END])
def test_a_mark_that_was_deleted_costs_the_owner_nothing(lost: str) -> None:
    existing = merge_readme(card("old")).replace(lost, "") + "\n## License\n\nMIT\n"
    made = merge_readme(card("new"), existing, OURS)
    assert made.count(BEGIN) == made.count(END) == 1
    assert "## License\n\nMIT" in made
    assert "old" not in made


def test_of_a_section_that_was_copied_one_is_left_and_the_text_between_stays() -> None:
    copies = f"# Mine\n{BEGIN}\nold\n{END}\nMy own\n  {BEGIN}\nolder\n{END}\nThe end\n"
    made = merge_readme(card(), copies)
    assert made.count(BEGIN) == made.count(END) == 1
    assert "old" not in made
    assert made.index("# Mine") < made.index(END) < made.index("My own") < made.index("The end")
    assert merge_readme(card(), made) == made


def test_a_mark_too_many_costs_the_owner_nothing() -> None:
    made = merge_readme(card(), f"{BEGIN}\nowner\n{BEGIN}\nold\n{END}\nbehind\n{END}\n")
    assert "owner" in made
    assert "behind" in made
    assert "old" not in made


def test_metadata_behind_a_byte_order_mark_are_the_owners() -> None:
    made = merge_readme(card(), "\ufeff---\nlicense: mit\n---\n# Mine\n")
    assert metadata_of(made)["license"] == "mit"
    assert "\ufeff" not in made
    assert made.count("license") == 1


def test_a_card_cannot_hold_the_marks() -> None:
    made = merge_readme(card(f"x\n{END}\n{BEGIN}\nx"))
    again = merge_readme(card("new"), f"{made}\nmine", OURS)
    assert again == merge_readme(card("new")) + "\nmine"


@pytest.mark.parametrize("front", ["a: [", "- a", "text", "a: b: c"])
def test_metadata_that_are_none_are_refused(front: str) -> None:
    with pytest.raises(UnreadableReadmeError):
        merge_readme(card(), f"---\n{front}\n---\n# Mine\n")


@given(
    st.text(st.sampled_from("a#-`~> \n<!:"), max_size=60),
    st.text(st.sampled_from("b#`\n "), max_size=60),
)
def test_no_text_around_the_marks_is_ever_changed(before: str, after: str) -> None:
    existing = f"---\nlicense: mit\n---\n{before}\n{BEGIN}\nold\n{END}\n{after}"
    made = merge_readme(card(), existing)
    assert made.split("---\n", 2)[2].startswith(f"{before}\n{BEGIN}\n")
    assert made.endswith(f"\n{END}\n{after}")
    assert metadata_of(made)["license"] == "mit"
