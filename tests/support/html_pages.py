"""HTML parsed as by a browser, and text that contains markup."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script></svg>\"'&\x00\x1b\u202e שלום"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
