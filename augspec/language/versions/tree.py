"""A document as a tree that knows the exact extent of each value, for changing its text in place.

Loading into ruamel.yaml's round-trip objects and writing them out again drops comments inside
flow collections, unused anchors and line breaks, and rewrites `~` and indents. So a migration reads
the positions only, and changes the few characters that it is about: whatever it does not mention
is kept byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.tokens import BlockEntryToken, FlowEntryToken

from augspec.language.diagnostics import SpecError
from augspec.language.source import parse_source
from augspec.language.text import Text

_PROPERTIES = re.compile(r"(?:[&!][^\s]*\s+)*")


@dataclass(frozen=True)
class Edit:
    """`text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass
class Node:
    """A value where it is written.

    Attributes:
        start: its first character; an anchor or tag counts as a part of it.
        end: the character after its last; for block collections, the next thing's first.
        value: the text of a scalar, the items of a list, or the entries of a mapping.
        mapping: whether it is a mapping.
        flow: whether it is a collection in brackets.
    """

    start: int
    end: int = 0
    value: str | list[Use] | list[tuple[Node, Use]] = ""
    mapping: bool = False
    flow: bool = False

    @property
    def entries(self) -> list[tuple[Node, Use]]:
        """The keys and values of a mapping; none of anything else."""
        return self.value if self.mapping else []  # type: ignore[return-value]

    @property
    def items(self) -> list[Use]:
        """The items of a list; none of anything else."""
        return [] if self.mapping or isinstance(self.value, str) else self.value  # type: ignore[return-value]

    @property
    def word(self) -> str | None:
        """The text of a scalar."""
        return self.value if isinstance(self.value, str) else None

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key."""
        return next((use.node for name, use in self.entries if name.word == key), None)


@dataclass
class Use:
    """A place where a value stands: the one where it is written, or an alias of it.

    Attributes:
        start: its first character.
        node: the value.
        alias_end: the character after an alias; None where the value itself stands.
    """

    start: int
    node: Node
    alias_end: int | None = None

    @property
    def end(self) -> int:
        """The character after its last."""
        return self.node.end if self.alias_end is None else self.alias_end


@dataclass
class Tree:
    """A document's text and the values in it.

    Attributes:
        name: of the file, for messages.
        text: all of it, without a byte order mark.
        root: the document.
        dashes: where the `-` of every block list's entries stand.
        commas: where the commas of flow collections stand.
    """

    name: str
    text: str
    root: Node
    dashes: list[int] = field(default_factory=list)
    commas: list[int] = field(default_factory=list)

    @property
    def line_break(self) -> str:
        """How lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def fail(self, node: Node, message: str) -> SpecError:
        """The error of a mistake at a value."""
        text = Text(self.name, self.text)
        return SpecError(text.diagnostic(text.span(node.start, max(node.end, node.start)), message))

    def column(self, index: int) -> int:
        """How many characters stand before this one on its line."""
        return index - (max(self.text.rfind("\n", 0, index), self.text.rfind("\r", 0, index)) + 1)

    def reworded(self, node: Node, word: str) -> Edit:
        """A scalar with another word, in the quotes that it had."""
        match = _PROPERTIES.match(self.text, node.start, node.end)
        start = match.end() if match is not None else node.start
        quote = self.text[start] if self.text[start] in "'\"" else ""
        return Edit(start, node.end, f"{quote}{word}{quote}")


def read_tree(text: str, name: str) -> Tree:
    """The tree of a document.

    Raises:
        SpecError: the text is not a document (see `parse_source`).
    """
    parse_source(text, name)  # names every mistake, and bounds what aliases can do
    tree = Tree(name, text, _root(YAML(typ="safe", pure=True).parse(text)))
    for token in YAML(typ="safe", pure=True).scan(text):
        if isinstance(token, BlockEntryToken):
            tree.dashes.append(token.start_mark.index)
        elif isinstance(token, FlowEntryToken):
            tree.commas.append(token.start_mark.index)
    return tree


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; none may overlap, except that the same one may come twice."""
    last = len(text)
    for edit in sorted(set(edits), key=lambda e: (e.start, e.end), reverse=True):
        if edit.end > last:
            raise ValueError(f"edits overlap at {edit}")
        text = text[: edit.start] + edit.text + text[edit.end :]
        last = edit.start
    return text


def _root(events: Iterable[Any]) -> Node:
    """The root of a document that `parse_source` has read without a mistake."""
    root = Node(0, mapping=False, value=[])
    open_nodes = [root]
    keys: list[Node | None] = [None]
    anchors: dict[str, Node] = {}
    for event in events:
        start = event.start_mark.index
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_nodes.pop().end = event.end_mark.index
            keys.pop()
            continue
        if isinstance(event, AliasEvent):
            node = anchors[event.anchor]
        elif isinstance(event, ScalarEvent):
            node = Node(start, event.end_mark.index, event.value)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            mapping = isinstance(event, MappingStartEvent)
            node = Node(start, value=[], mapping=mapping, flow=bool(event.flow_style))
        else:
            continue
        if not isinstance(event, AliasEvent) and event.anchor is not None:
            anchors[event.anchor] = node
        parent, key = open_nodes[-1], keys[-1]
        use = Use(start, node, event.end_mark.index if isinstance(event, AliasEvent) else None)
        if not parent.mapping:
            parent.items.append(use)
        elif key is None:
            keys[-1] = node
        else:
            parent.entries.append((key, use))
            keys[-1] = None
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            open_nodes.append(node)
            keys.append(None)
    return root.items[0].node
