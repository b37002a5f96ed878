"""Text to a tree of plain data with places: YAML 1.2, of which JSON is a part, event by event.

ruamel.yaml splits the text into events; the tree is built here, because only so every key and
value keeps its exact place, all duplicate keys are reported at once, and no tag, alias or depth of
nesting can make a document construct more than plain data of bounded size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from augspec.language.diagnostics import Diagnostic, SpecError, nearest
from augspec.language.scalars import Scalar, is_core_tag, tag_name, tagged_scalar
from augspec.language.text import Span, Text

MAX_NODES = 100_000
"""How many values a document may hold, aliases written out."""

MAX_DEPTH = 100
"""How deeply lists and mappings may nest, aliases written out."""


@dataclass
class Node:
    """One value of a document and where it stands.

    Attributes:
        span: where its text stands.
        value: a scalar; the items of a list; or the values of a mapping by key.
        keys: for a mapping, where each key stands.
        size: how many values it holds, itself and written-out aliases included.
        height: how many levels of lists and mappings it has, aliases written out.
        open: whether its end has not been read yet.
    """

    span: Span
    value: Scalar | list[Node] | dict[str, Node]
    keys: dict[str, Span] = field(default_factory=dict)
    size: int = 1
    height: int = 0
    open: bool = False


@dataclass
class _Frame:
    """A list or mapping whose end has not been read yet, and the key that awaits its value."""

    node: Node
    start: int
    flow: bool
    nodes_before: int
    key: str | None = None

    @property
    def expects_key(self) -> bool:
        return isinstance(self.node.value, dict) and self.key is None


def parse(text: Text) -> Node:
    """The one document in the text.

    Raises:
        SpecError: the text is not YAML 1.2, holds no document or several, repeats a key, or holds
            something other than plain data with string keys.
    """
    builder = _Builder(text)
    for event in _events(text):
        builder.take(event)
    return builder.finish()


def _events(text: Text) -> Iterator[Any]:
    """The parser's events, its errors turned into ours."""
    try:
        yield from YAML(typ="safe", pure=True).parse(text.part)
    except ReaderError as error:
        message = f"the character U+{error.character:04X} is not allowed; write it as an escape"
        raise SpecError(text.diagnostic(error.position, message)) from None
    except MarkedYAMLError as error:
        raise SpecError(_broken(text, error)) from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise SpecError(text.diagnostic(0, f"not valid YAML: {error}")) from None


def _broken(text: Text, error: MarkedYAMLError) -> Diagnostic:
    """What the parser could not read, in plain words, at the place where it gave up."""
    problem = str(error.problem or error.context)
    start = re.search("found character '(.)' that cannot start any token", problem)
    if "'\\t'" in problem:
        problem = "a tab cannot indent or separate here, use spaces"
    elif "mapping values are not allowed" in problem:
        problem = "a ':' cannot stand here; if it belongs to the value, put the value in quotes"
        problem += "; or a space is missing after a ':' before it"
    elif "quoted scalar" in str(error.context) and "unexpected end of stream" in problem:
        opening = error.context_mark.index
        return text.diagnostic(opening, "not valid YAML: this quote is never closed")
    elif "expected <block end>" in problem:
        problem = "the indentation fits nothing that came before"
    elif start is not None:
        problem = f"a value cannot begin with {start[1]!r} unless it stands in quotes"
    message = f"not valid YAML: {problem}"
    if error.problem and error.context and error.context_mark is not None:
        message += f" ({error.context} from line {text.position(error.context_mark.index).line} on)"
    mark = error.problem_mark or error.context_mark
    return text.diagnostic(mark.index if mark is not None else 0, message)


class _Builder:
    """Builds the tree of nodes from events, and gathers every mistake that need not end it."""

    def __init__(self, text: Text) -> None:
        self.text = text
        self.root: Node | None = None
        self.nodes = 0
        self.frames: list[_Frame] = []
        self.anchors: dict[str, Node] = {}
        self.mistakes: list[Diagnostic] = []

    def finish(self) -> Node:
        """The finished tree."""
        if self.mistakes:
            raise SpecError(*self.mistakes)
        if self.root is None:
            raise SpecError(self.text.diagnostic(0, "the document is empty"))
        return self.root

    def take(self, event: Any) -> None:
        """Handles the next event."""
        match event:
            case DocumentStartEvent():
                self._start_document(event)
            case ScalarEvent() if self.frames and self.frames[-1].expects_key:
                self._key(event)
            case ScalarEvent():
                self._scalar(event)
            case SequenceStartEvent() | MappingStartEvent():
                self._start(event)
            case SequenceEndEvent() | MappingEndEvent():
                self._end(event)
            case AliasEvent():
                self._alias(event)

    def _start_document(self, event: Any) -> None:
        if self.root is not None:
            self._fail(event, "a second document starts here: a file holds one")
        if event.version not in (None, (1, 2)):
            version = ".".join(map(str, event.version))
            self._fail(event, f"YAML {version} is not supported: documents are YAML 1.2")

    def _key(self, event: Any) -> None:
        read = self._read(event)
        key = read if isinstance(read, str) else str(event.value)
        if event.style is None and key == "<<":
            self._mistake(event, "merge keys (<<) are not supported: write the fields out")
        elif not isinstance(read, str):
            self._mistake(event, f"a key must be a string: put {key or 'it'} in quotes")
        frame = self.frames[-1]
        if key in frame.node.keys:
            line = frame.node.keys[key].position.line
            self._mistake(event, f"duplicate key {key!r}: first given at line {line}")
        frame.node.keys.setdefault(key, self._span(event))
        frame.key = key

    def _scalar(self, event: Any) -> None:
        span = self._span(event)
        if event.start_mark.index == event.end_mark.index and self.frames:
            # nothing is written: the parser's place may be lines further on
            frame = self.frames[-1]
            span = frame.node.keys[frame.key] if frame.key is not None else span
        self._add(Node(span, self._read(event)), event)

    def _read(self, event: Any) -> Scalar:
        try:
            # JSON writes characters beyond U+FFFF as two escapes, a surrogate pair
            word = event.value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._mistake(event, "half of a surrogate pair is no character")
            return str(event.value)
        try:
            return tagged_scalar(event.tag, word, event.style is None)
        except ValueError as error:
            self._mistake(event, str(error))
            return str(event.value)

    def _start(self, event: Any) -> None:
        kind = "map" if isinstance(event, MappingStartEvent) else "seq"
        if not is_core_tag(event.tag, kind):
            name = tag_name(event.tag)
            self._mistake(event, f"the tag {name} is not supported: documents hold plain data")
        node = Node(self._span(event), {} if kind == "map" else [], open=True)
        frame = _Frame(node, event.start_mark.index, bool(event.flow_style), self.nodes)
        self._add(node, event, height=1)
        self.frames.append(frame)

    def _end(self, event: Any) -> None:
        frame = self.frames.pop()
        node = frame.node
        node.open = False
        node.size = self.nodes - frame.nodes_before
        node.height += 1
        end = event.end_mark.index if frame.flow else frame.start + 1
        node.span = self.text.span(frame.start, end)
        self._raise_height(node.height)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        target = self.anchors.get(name)
        if target is None:
            guess = nearest(name, self.anchors)
            hint = f"; did you mean *{guess}?" if guess else ""
            self._fail(event, f"no anchor &{name} comes before this alias{hint}")
        if target.open:
            self._fail(event, f"the alias *{name} stands inside its own anchor")
        copy = Node(self._span(event), target.value, target.keys, target.size, target.height)
        self._add(copy, event, height=target.height)
        self._raise_height(target.height)

    def _add(self, node: Node, event: Any, height: int = 0) -> None:
        """Puts a value where it belongs: the root, the list's end, or under the awaiting key."""
        self.nodes += node.size
        if self.nodes > MAX_NODES:
            self._fail(event, f"the document holds more than {MAX_NODES} values")
        if len(self.frames) + height > MAX_DEPTH:
            self._fail(event, f"nested more than {MAX_DEPTH} deep")
        frame = self.frames[-1] if self.frames else None
        if frame is None:
            self.root = node
        elif isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif isinstance(frame.node.value, dict):
            if frame.key is None:
                self._fail(event, "a key must be a string")
            frame.node.value[frame.key] = node
            frame.key = None
        if event.anchor is not None and not isinstance(event, AliasEvent):
            self.anchors[event.anchor] = node

    def _raise_height(self, height: int) -> None:
        if self.frames:
            self.frames[-1].node.height = max(self.frames[-1].node.height, height)

    def _span(self, event: Any) -> Span:
        return self.text.span(event.start_mark.index, event.end_mark.index)

    def _mistake(self, event: Any, message: str) -> None:
        self.mistakes.append(self.text.diagnostic(self._span(event), message))

    def _fail(self, event: Any, message: str) -> NoReturn:
        raise SpecError(*self.mistakes, self.text.diagnostic(self._span(event), message))
