"""Reads the HTML pages that the project writes, strictly."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from html.parser import HTMLParser

from PIL import Image

ALONE = ("img", "meta", "wbr")
"""Tags that nothing closes."""


class Element:
    """One element of a page, with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parts: list[Element | str] = []

    @property
    def kinds(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    @property
    def text(self) -> str:
        texts = (part if isinstance(part, str) else part.text for part in self.parts)
        return "".join(texts)

    def all(self, tag: str, kind: str | None = None) -> list[Element]:
        """The elements of this tag and class in it, in the order of the page."""
        return [e for e in self._inside() if e.tag == tag and (kind is None or kind in e.kinds)]

    def _inside(self) -> Iterator[Element]:
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part._inside()


class Page(HTMLParser):
    """An HTML page: its tags must close, and it may hold nothing from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]
        self.images: list[str] = []
        self.titles: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert tag not in ("script", "link", "iframe", "object", "embed")
        assert not any(name.startswith("on") for name in found)
        if tag == "img":
            assert found["src"].startswith("data:image/png;base64,")
            self.images.append(found["src"])
        if found.get("title"):
            self.titles.append(found["title"])
        element = Element(tag, found)
        self.open[-1].parts.append(element)
        if tag not in ALONE:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        assert self.open[-1].tag != "style" or ("@import" not in data and "url(" not in data)
        self.open[-1].parts.append(data)
        self.words.append(data.strip())


def decoded(source: str) -> Image.Image:
    """The image that an address holds."""
    return Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1])))
