"""The page as people use it, in a real browser: typed, pressed, read, heard, and with no network.

Skipped, with a word, where Chromium is not installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.servers import Served, serving, watched

from gluetune.core.runs import Run
from gluetune.inference.predictor import Predictor, load
from gluetune.serving.page import Example, find_examples
from gluetune.serving.settings import Limits

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HOSTILE = (
    "<img src=x onerror=\"document.title='broken in'\"> </textarea><script>1</script> & 'quoted'"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield started
        started.close()


class Opened:
    """A page with all that went wrong on it, and all that it asked for."""

    def __init__(self, browser: Browser, served: Served, **settings: Any) -> None:
        self.page: Page = browser.new_page(**settings)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.origin = served.url
        self.page.goto(served.url)

    def prediction(self) -> str:
        """Wait for a prediction, and return the status text of screen readers."""
        expect(self.page.locator("#prediction")).to_be_visible()
        return self.page.locator("#status").inner_text()

    def bars(self) -> dict[str, str]:
        """Return the bars as they stand, label by label."""
        rows = self.page.locator("#bars li").all()
        return {
            row.locator("span").first.inner_text(): row.locator(".share").inner_text()
            for row in rows
        }

    def close(self) -> None:
        """Close it. Fails where anything went wrong or left this server."""
        self.page.close()
        assert self.problems == []
        assert self.asked
        assert all(url.startswith(self.origin) for url in self.asked)


def bars_of(predictor: Predictor, *texts: str) -> dict[str, str]:
    shares = predictor(*texts).probabilities
    ordered = sorted(shares.items(), key=lambda each: -each[1])
    return {label: f"{100 * share:.1f}%" for label, share in ordered}


@pytest.fixture(scope="module")
def pair_predictor(pairs: Run) -> Predictor:
    return load(pairs.path)


@pytest.fixture(scope="module")
def pair_server(pair_predictor: Predictor) -> Iterator[Served]:
    examples, note = find_examples(pair_predictor.opened)
    hostile = Example((HOSTILE, "line one\nline two"), HOSTILE)
    with serving(pair_predictor, examples=[*examples, hostile], note=note) as served:
        yield served


@pytest.fixture
def page(browser: Browser, pair_server: Served) -> Iterator[Opened]:
    opened = Opened(browser, pair_server)
    yield opened
    opened.close()


def test_typed_texts_give_the_bars_that_predict_gives(
    page: Opened, pair_predictor: Predictor
) -> None:
    expect(page.page.get_by_label("Sentence 1")).to_be_focused()
    page.page.keyboard.type("rain walks")
    page.page.keyboard.press("Tab")
    page.page.keyboard.type("quietly blue")
    page.page.keyboard.press("Control+Enter")
    said = page.prediction()
    expected = bars_of(pair_predictor, "rain walks", "quietly blue")
    assert page.bars() == expected
    assert list(page.bars()) == list(expected)
    first = next(iter(expected))
    assert said == f"Prediction: {first}, {expected[first]}"
    assert "ms" in page.page.locator("#time").inner_text()
    width = page.page.locator(".bar span").first.evaluate("bar => bar.style.width")
    assert width == expected[first]


def test_an_example_fills_the_fields_and_says_its_label(
    page: Opened, pair_predictor: Predictor
) -> None:
    example = find_examples(pair_predictor.opened)[0][1]
    page.page.locator(".example").nth(1).click()
    page.prediction()
    assert page.page.get_by_label("Sentence 1").input_value() == example.texts[0]
    assert page.page.get_by_label("Sentence 2").input_value() == example.texts[1]
    assert page.bars() == bars_of(pair_predictor, *example.texts)
    expect(page.page.locator("#gold")).to_have_text(f"Gold label: {example.label}")
    page.page.get_by_label("Sentence 2").type("more")
    expect(page.page.locator("#gold")).to_be_hidden()
    page.page.get_by_role("button", name="Clear").click()
    expect(page.page.locator("#prediction")).to_be_hidden()
    expect(page.page.get_by_label("Sentence 1")).to_be_focused()


def test_hostile_text_stays_text(page: Opened, pair_predictor: Predictor) -> None:
    page.page.locator(".example").last.click()
    page.prediction()
    assert page.page.get_by_label("Sentence 1").input_value() == HOSTILE
    assert page.page.get_by_label("Sentence 2").input_value() == "line one\nline two"
    expect(page.page.locator("#gold")).to_have_text(f"Gold label: {HOSTILE}")
    assert page.page.locator("img").count() == 0
    assert page.page.locator("script").count() == 1
    assert "broken in" not in page.page.title()
    page.page.locator("summary").click()
    assert "'\\''quoted'\\''" in page.page.locator("#command").inner_text()


def test_problems_are_told_and_the_page_goes_on(page: Opened) -> None:
    page.page.get_by_label("Sentence 1").fill("   ")
    page.page.get_by_label("Sentence 2").fill("b")
    page.page.keyboard.press("Control+Enter")
    expect(page.page.get_by_role("alert")).to_have_text("`inputs` cannot be empty")
    page.page.get_by_label("Sentence 1").fill("a")
    page.page.keyboard.press("Control+Enter")
    page.prediction()
    expect(page.page.locator("#error")).to_be_hidden()
    page.problems.clear()  # the browser logs every response of 400 on the console


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_it_is_accessible_and_fits(
    browser: Browser, pair_server: Served, scheme: Any, width: int
) -> None:
    opened = Opened(
        browser, pair_server, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    opened.page.locator(".example").first.click()
    opened.prediction()
    opened.page.locator("summary").click()
    found = Axe().run(opened.page)
    assert [violation["id"] for violation in found["violations"]] == []
    assert len(found["passes"]) > 20
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.goto(f"{pair_server.url}/docs")
    assert [violation["id"] for violation in Axe().run(opened.page)["violations"]] == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.close()


def test_a_number_is_shown_on_a_dial(browser: Browser, numbers: Run) -> None:
    predictor = load(numbers.path)
    with serving(predictor) as served:
        opened = Opened(browser, served)
        opened.page.get_by_label("Sentence 1").fill("a b")
        opened.page.get_by_label("Sentence 2").fill("c d")
        opened.page.keyboard.press("Control+Enter")
        value = predictor("a b", "c d").score
        assert opened.prediction() == f"Prediction: {value:.2f}"
        expect(opened.page.locator("#number")).to_have_text(f"{value:.2f}")
        arc = str(opened.page.locator("#arc").get_attribute("stroke-dasharray"))
        assert float(arc.split()[0]) == pytest.approx(100 * value / 5, rel=1e-6)
        opened.close()


def test_a_model_of_one_text_or_two_and_no_examples(browser: Browser, emotions: Predictor) -> None:
    note = "No examples are shown: the data are gone."
    with serving(emotions, note=note) as served:
        opened = Opened(browser, served)
        expect(opened.page.get_by_text(note)).to_be_visible()
        opened.page.get_by_label("Text", exact=True).fill("a quick fox " * 40)
        opened.page.keyboard.press("Control+Enter")
        opened.prediction()
        assert opened.bars() == bars_of(emotions, "a quick fox " * 40)
        assert "truncated to the model" in opened.page.locator("#time").inner_text()
        opened.page.get_by_label("Second text").fill("over it")
        opened.page.get_by_label("Text", exact=True).fill("a quick fox")
        opened.page.get_by_role("button", name="Predict").click()
        expect(opened.page.locator(".share").first).to_have_text(
            next(iter(bars_of(emotions, "a quick fox", "over it").values()))
        )
        opened.close()


def test_the_page_asks_for_the_key_and_stores_it_nowhere(
    browser: Browser, emotions: Predictor
) -> None:
    key = "-".join(("a", "key"))
    with serving(emotions, api_key=key) as served:
        opened = Opened(browser, served)
        field = opened.page.get_by_label("API key")
        expect(field).to_be_focused()
        opened.page.get_by_label("Text", exact=True).fill("a quick fox")
        opened.page.keyboard.press("Control+Enter")
        expect(opened.page.get_by_role("alert")).to_contain_text("API key")
        expect(field).to_be_focused()
        opened.page.keyboard.type("wrong")
        opened.page.keyboard.press("Enter")
        opened.page.keyboard.press("Control+Enter")
        expect(opened.page.get_by_role("alert")).to_contain_text("does not accept this API key")
        field.fill(key)
        opened.page.get_by_role("button", name="Predict").click()
        opened.prediction()
        assert opened.bars() == bars_of(emotions, "a quick fox")
        opened.page.locator("summary").click()
        assert "$API_KEY" in opened.page.locator("#command").inner_text()
        assert key not in opened.page.locator("#command").inner_text()
        stored = "[document.cookie, localStorage.length, sessionStorage.length, location.href]"
        assert opened.page.evaluate(stored) == ["", 0, 0, f"{served.url}/"]
        found = Axe().run(opened.page)
        assert [violation["id"] for violation in found["violations"]] == []
        opened.problems.clear()  # the browser logs every response of 401 on the console
        opened.close()


def test_a_server_that_is_gone_is_said(browser: Browser, emotions: Predictor) -> None:
    def fail() -> None:
        raise RuntimeError

    with serving(watched(emotions, fail), Limits()) as served:
        opened = Opened(browser, served)
        opened.page.get_by_label("Text", exact=True).fill("a")
        opened.page.keyboard.press("Control+Enter")
        expect(opened.page.get_by_role("alert")).to_contain_text("inference failed (RuntimeError)")
        served.stop()
        opened.page.keyboard.press("Control+Enter")
        expect(opened.page.get_by_role("alert")).to_contain_text("No response from the server")
        opened.page.close()


def test_labels_that_are_predicted_are_marked(browser: Browser, several: Run) -> None:
    predictor = load(several.path)
    examples, note = find_examples(predictor.opened)
    with serving(predictor, examples=examples, note=note) as served:
        opened = Opened(browser, served)
        for number, example in enumerate(examples):
            prediction = predictor(*example.texts)
            assert prediction.labels is not None
            named = ", ".join(
                sorted(prediction.labels, key=lambda name: -prediction.probabilities[name])
            )
            # The previous prediction stays until the next one, and may have the same text.
            opened.page.get_by_role("button", name="Clear").click()
            expect(opened.page.locator("#prediction")).to_be_hidden()
            opened.page.locator(".example").nth(number).click()
            expect(opened.page.locator("#predicted")).to_have_text(
                f"Predicted: {named or 'none of the labels'}"
            )
            assert opened.prediction() == f"Prediction: {named or 'none of the labels'}"
            marked = opened.page.locator("#bars li.predicted span:first-child").all_inner_texts()
            assert [text for text in marked if text] == named.split(", ") * bool(named)
            assert opened.bars() == bars_of(predictor, *example.texts)
            expect(opened.page.locator("#gold")).to_have_text(f"Gold label: {example.label}")
        found = Axe().run(opened.page)
        assert [violation["id"] for violation in found["violations"]] == []
        opened.close()
