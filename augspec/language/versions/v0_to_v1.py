"""From version 0, the draft syntax before the first release, to version 1.

`type` became `op`, `transforms` became `ops`, `prob` became `p`, `scale` and `ratio` of a
resized_crop became `area` and `aspect`, British spellings became American ones, and the views went
from a list of mappings with a `name` to a mapping.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from augspec.language.versions.tree import Edit, Node, Tree, Use

_VIEW = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def refuse_ambiguous(tree: Tree) -> Iterator[Edit]:
    """Nothing changes where a field has both names, or a view no name of its own.

    This comes first, so that places are those of the text that the person has.
    """
    seen: set[str] = set()
    views = tree.root.get("views")
    for use in views.items if views is not None else ():
        key, name = _view_name(tree, use)
        if name.strip("'\"") in seen:
            raise tree.fail(key, f"two views are called {name}")
        seen.add(name.strip("'\""))
    _refuse_both(tree, tree.root, "normalise", "normalize")
    for view in _views(tree):
        _refuse_both(tree, view, "transforms", "ops")
    for op in _ops(tree):
        for old, new in (("type", "op"), ("prob", "p"), ("transforms", "ops")):
            _refuse_both(tree, op, old, new)
        if _is_crop(op):
            _refuse_both(tree, op, "scale", "area")
            _refuse_both(tree, op, "ratio", "aspect")
    yield from ()


def rename_normalise(tree: Tree) -> Iterator[Edit]:
    """`normalise:` is `normalize:`."""
    yield from _renamed(tree, tree.root, "normalise", "normalize")


def rename_transforms(tree: Tree) -> Iterator[Edit]:
    """`transforms:` of views, and of ops made of ops, is `ops:`."""
    for view in _views(tree):
        yield from _renamed(tree, view, "transforms", "ops")
    for op in _ops(tree):
        yield from _renamed(tree, op, "transforms", "ops")


def rename_type(tree: Tree) -> Iterator[Edit]:
    """`type:` of an op is `op:`."""
    for op in _ops(tree):
        yield from _renamed(tree, op, "type", "op")


def rename_prob(tree: Tree) -> Iterator[Edit]:
    """`prob:` of an op is `p:`."""
    for op in _ops(tree):
        yield from _renamed(tree, op, "prob", "p")


def rename_colour_jitter(tree: Tree) -> Iterator[Edit]:
    """The op `colour_jitter` is `color_jitter`."""
    for op in _ops(tree):
        for field in ("op", "type"):
            name = op.get(field)
            if name is not None and name.word == "colour_jitter":
                yield tree.reworded(name, "color_jitter")


def rename_scale_and_ratio(tree: Tree) -> Iterator[Edit]:
    """`scale:` and `ratio:` of a resized_crop are `area:` and `aspect:`."""
    for op in _ops(tree):
        if _is_crop(op):
            yield from _renamed(tree, op, "scale", "area")
            yield from _renamed(tree, op, "ratio", "aspect")


def indent_views(tree: Tree) -> Iterator[Edit]:
    """The entries of a list may stand in the column of `views:`; those of a mapping may not."""
    views = tree.root.get("views")
    if views is None or views.flow or not views.items:
        return
    key = next(key for key, use in tree.root.entries if use.node is views)
    first = _dash(tree, views.items[0])
    if tree.column(first) > tree.column(key.start):
        return
    at, last = _line_start(tree, first), max(_last(use) for use in views.items)
    while at <= last and at < len(tree.text):
        end = _line_end(tree, at)
        if tree.text[at:end].strip():
            yield Edit(at, at, "  ")
        at = _next_line(tree, end)


def name_views_by_key(tree: Tree) -> Iterator[Edit]:
    """The list of views, each with a `name`, is a mapping by name."""
    views = tree.root.get("views")
    if views is None or views.mapping or views.word is not None:
        return
    for view in views.items:
        key, name = _view_name(tree, view)
        if views.flow:
            yield Edit(view.start, view.start, f"{name}: ")
        else:
            yield from _keyed(tree, view, name)
        yield from _less(tree, view.node, key)
    if views.flow:
        opening = tree.text.index("[", views.start)
        yield Edit(opening, opening + 1, "{")
        yield Edit(views.end - 1, views.end, "}")


STEPS = (
    refuse_ambiguous,
    rename_normalise,
    rename_transforms,
    rename_type,
    rename_colour_jitter,
    rename_prob,
    rename_scale_and_ratio,
    indent_views,
    name_views_by_key,
)
"""The changes in order; the text is read anew for each."""


def _views(tree: Tree) -> Iterator[Node]:
    """Every view, be the views a list or a mapping; one that an alias repeats comes once."""
    views = tree.root.get("views")
    if views is not None:
        found = [use.node for use in views.items] + [use.node for _, use in views.entries]
        yield from {id(view): view for view in found}.values()


def _ops(tree: Tree) -> Iterator[Node]:
    """Every op of every view, those inside ops included; one that an alias repeats comes once."""
    seen: set[int] = set()
    rest = list(_views(tree))
    while rest:
        holder = rest.pop()
        for field in ("transforms", "ops"):
            listed = holder.get(field)
            for use in listed.items if listed is not None else ():
                if use.node.mapping and id(use.node) not in seen:
                    seen.add(id(use.node))
                    rest.append(use.node)
                    yield use.node


def _renamed(tree: Tree, mapping: Node, old: str, new: str) -> Iterator[Edit]:
    for key, _ in mapping.entries:
        if key.word == old:
            yield tree.reworded(key, new)


def _refuse_both(tree: Tree, mapping: Node, old: str, new: str) -> None:
    for key, _ in mapping.entries:
        if key.word == old and mapping.get(new) is not None:
            raise tree.fail(key, f"both {old!r} and {new!r} are given, which are one field")


def _is_crop(op: Node) -> bool:
    name = op.get("op") or op.get("type")
    return name is not None and name.word == "resized_crop"


def _view_name(tree: Tree, view: Use) -> tuple[Node, str]:
    """The key of a view's `name`, and the name as it is written, in its quotes if it has some."""
    for key, use in view.node.entries:
        if key.word == "name":
            if _VIEW.fullmatch(use.node.word or "") is None:
                raise tree.fail(key, "the name of a view must be a word")
            return key, tree.reworded(use.node, str(use.node.word)).text
    raise tree.fail(view.node, "a view in a list needs a `name`")


def _keyed(tree: Tree, view: Use, name: str) -> Iterator[Edit]:
    """`name:` in place of the dash of a block list's entry."""
    dash, entries = _dash(tree, view), view.node.entries
    yield Edit(dash, dash + 1, f"{name}:")
    first = entries[0][0]
    if view.node.flow or view.start != first.start:
        return  # braces, an anchor, or an alias: they can stand behind a key as they are
    if not tree.text[dash + 1 : first.start].strip(" \t"):
        # the first field stands behind the dash: it needs a line of its own, unless it is the name
        if first.word != "name":
            column = " " * tree.column(first.start)
            yield Edit(dash + 1, first.start, tree.line_break + column)
        elif len(entries) > 1:
            yield Edit(dash + 1, first.start, "")


def _less(tree: Tree, view: Node, key: Node) -> Iterator[Edit]:
    """A view without its `name`, whose key is given."""
    place = next(i for i, (own, _) in enumerate(view.entries) if own is key)
    end = view.entries[place][1].end
    if view.flow:
        yield from _less_in_flow(tree, view, place)
    elif len(view.entries) == 1:
        yield Edit(key.start, end, "{}")
    elif tree.text[_line_start(tree, key.start) : key.start].strip():
        yield Edit(key.start, end, "")  # behind a dash, whose line stays
    else:
        line_end = _line_end(tree, end)
        rest = tree.text[end:line_end]
        if rest.strip():  # a comment, which keeps the line
            yield Edit(key.start, line_end - len(rest.lstrip()), "")
        else:
            yield Edit(_line_start(tree, key.start), _next_line(tree, line_end), "")


def _less_in_flow(tree: Tree, view: Node, place: int) -> Iterator[Edit]:
    """A flow mapping without the entry at this place, nor a comma too many."""
    text, (key, use) = tree.text, view.entries[place]
    start, end = key.start, use.end
    if "{" not in text[view.start : view.entries[0][0].start]:
        yield Edit(start, end, "{}")  # `[name: first]`: a mapping of one pair needs no braces
        return
    if place + 1 < len(view.entries):
        end = tree.commas[bisect_left(tree.commas, end)] + 1
        blank = len(text[end:]) - len(text[end:].lstrip(" \t"))
        # a comment must keep its distance
        end += 0 if text[end + blank] == "#" else blank
    elif place > 0:
        comma = tree.commas[bisect_left(tree.commas, start) - 1]
        start = comma if not text[comma + 1 : start].strip(" \t") else start
    yield Edit(start, end, "")


def _last(use: Use) -> int:
    """Where the last thing that is written in a value stands."""
    node = use.node
    if use.start != node.start or node.flow or node.word is not None:
        return max(use.start, use.end - 1)
    # of a field without a value, the parser does not know the place: its key's will do
    fields = (max(k.start, _last(v) if v.node.end > v.node.start else 0) for k, v in node.entries)
    items = (_last(item) for item in node.items if item.node.end > item.node.start)
    return max([node.start, *fields, *items])


def _dash(tree: Tree, item: Use) -> int:
    return tree.dashes[bisect_left(tree.dashes, item.start) - 1]


def _line_start(tree: Tree, index: int) -> int:
    return index - tree.column(index)


def _line_end(tree: Tree, index: int) -> int:
    ends = [end for end in (tree.text.find(b, index) for b in "\r\n") if end >= 0]
    return min(ends, default=len(tree.text))


def _next_line(tree: Tree, end: int) -> int:
    return end + 2 if tree.text[end : end + 2] == "\r\n" else min(end + 1, len(tree.text))
