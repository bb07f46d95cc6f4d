"""Drive Chromium: a page's console, network requests and content."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium for a while."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """An open page, with its console and network requests."""

    page: Page
    console: list[str] = field(default_factory=list)
    """Warnings, errors and refusals."""
    requests: list[str] = field(default_factory=list)
    """Requests to other addresses than the page's own, all of which are blocked."""

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong with the page's accessibility."""
        found = Axe().run(self.page)
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]

    def overflows(self) -> bool:
        """Return whether the page is wider than its window."""
        return bool(
            self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


@contextmanager
def watched(
    browser: Browser, address: str, *, width: int = 1000, dark: bool = False
) -> Iterator[Watched]:
    """Open `address` in a window of its own, with no way out to other hosts."""
    page = browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )
    seen = Watched(page)
    origin = address.split("?")[0]
    host = "/".join(address.split("/")[:3]) if address.startswith("http") else origin

    def pass_on(route: Route) -> None:
        if route.request.url.startswith((host, "data:")):
            route.continue_()
        else:
            seen.requests.append(route.request.url)
            route.abort()

    page.route("**/*", pass_on)
    page.on(
        "console",
        lambda message: (
            seen.console.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    page.goto(address)
    yield seen
    page.close()
