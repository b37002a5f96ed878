"""The random specs are valid, all of them, and have everything in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_specs import Case, Kind, cases, ops

from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Op


@pytest.mark.parametrize("cls", OPS.values(), ids=lambda cls: cls.tag())
def test_every_op_is_drawn(cls: type[Op]) -> None:
    found: list[dict[str, Any] | None] = []

    @settings(max_examples=12)
    @given(document=ops(cls))
    def collect(document: dict[str, Any] | None) -> None:
        found.append(document)

    collect()
    made = [document for document in found if document is not None]
    assert len(made) > len(found) / 2
    assert all(document["op"] == cls.tag() for document in made)
    assert len({str(document) for document in made}) > 1  # not always the same


def inside(document: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, document
    for op in document.get("ops", ()):
        yield from inside(op, depth + 1)


def test_specs_are_valid_and_have_everything_in_them() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=150)
    @given(case=cases())
    def collect(case: Case) -> None:
        seen["specs"] += 1
        assert case.spec.renderings  # it is read without a mistake
        seen.update(list(case.document))
        for view in case.document["views"].values():
            seen.update(list(view))
            for op in view.get("ops", ()):
                for depth, found in inside(op):
                    seen.update({f"depth {depth}": 1, **dict.fromkeys(found, 1)})
                    forms = [v for k, v in found.items() if isinstance(v, dict) and k != "share"]
                    seen.update(key for form in forms for key in form)

    collect()
    assert seen["specs"] >= 150
    assert {"image", "normalize", "ops", "like", "redraw", "count", "size"} <= set(seen)
    assert {"id", "share", "p", "depth 1", "depth 2"} <= set(seen)
    assert {"choice", "log_uniform", "normal", "beta", "linspace", "weights"} <= set(seen)


@settings(max_examples=30)
@given(
    case=cases(Kind(allow=lambda op: op.keeps_size and not op.needs_colour, usual=True, views=1))
)
def test_only_what_is_allowed_is_drawn(case: Case) -> None:
    assert len(case.document["views"]) == 1
    for op in case.spec.views["first"].ops:
        for _, leaf in op.leaves():
            assert leaf.keeps_size and not leaf.needs_colour


@given(case=cases(Kind(depth=0, ops=1)), seed=st.integers(0, 9))
def test_flat_specs_on_their_images(case: Case, seed: int) -> None:
    x = case.images(2, seed)
    assert x.shape == (2, case.spec.image.channels, *case.size)
    for view in case.spec.views.values():
        assert len(view.ops) <= 1
        assert not any(isinstance(op, Combinator) for op in view.ops)
