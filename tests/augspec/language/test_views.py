"""Views: copies, views derived from one another, and the sizes in which they end."""

from __future__ import annotations

import pytest

import augspec
from augspec import SpecError

MULTI = """
version: 1
name: multi
views:
  original: {ops: [{op: resize, size: [32, 32]}]}
  global:
    count: 2
    ops: &ops
      - {op: resized_crop, size: 32, area: [0.3, 1.0]}
      - {op: color_jitter, p: 0.8, brightness: 0.4}
  local:
    count: 3
    size: 12
    ops:
      - {op: resized_crop, size: 12, area: [0.05, 0.3]}
      - {op: color_jitter, p: 0.8, brightness: 0.4}
  twin: {like: global_1, redraw: [color_jitter]}
"""


def mistakes(text: str) -> list[tuple[str | None, str, int]]:
    with pytest.raises(SpecError) as caught:
        augspec.loads(text)
    return [
        (d.code and d.code.value, d.message, d.position.line if d.position else 0)
        for d in caught.value.diagnostics
    ]


def test_a_count_makes_numbered_views() -> None:
    plan = augspec.make_plan(augspec.loads(MULTI))
    assert [view.name for view in plan.views] == [
        *("original", "global_1", "global_2", "local_1", "local_2", "local_3", "twin")
    ]


def test_a_view_like_another_has_its_ops_and_its_draws() -> None:
    views = augspec.loads(MULTI).renderings
    assert views["twin"].ops == views["global_1"].ops
    assert dict(views["twin"].draws_as) == {"resized_crop": "global_1", "color_jitter": "twin"}
    chain = augspec.loads(MULTI + "  third: {like: twin}\n").renderings["third"]
    assert dict(chain.draws_as) == {"resized_crop": "global_1", "color_jitter": "twin"}


def test_the_spec_round_trips() -> None:
    spec = augspec.loads(MULTI)
    assert augspec.Spec.model_validate(spec.document()) == spec


def test_views_of_other_sizes_must_say_so() -> None:
    ((code, message, line),) = mistakes(MULTI.replace("    size: 12\n", ""))
    assert (code, line) == ("AS101", 14)
    assert "this view ends in 12x12 pixels, and view 'original' in 32x32" in message
    assert "`size: 12`" in message
    ((code, message, line),) = mistakes(MULTI.replace("size: 12\n", "size: 14\n"))
    assert (code, line) == ("AS101", 13)
    assert "not in 14x14 pixels as it says" in message


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("like: global_1", "like: globl_1", "AS112", "did you mean 'global_1'?"),
        ("like: global_1", "like: global", "AS112", "name one of global_1, global_2"),
        ("like: global_1", "like: twin", "AS112", "twin -> twin"),
        ("[color_jitter]}", "[colour_jitter]}", "AS112", "did you mean 'color_jitter'?"),
        ("like: global_1, ", "", "AS112", "goes with `like`"),
        ("  twin:", "  local_2:", "AS111", "already a rendering of view 'local'"),
        ("count: 3", "count: 0", None, ">= 1"),
    ],
)
def test_mistakes(old: str, new: str, code: str | None, words: str) -> None:
    found = mistakes(MULTI.replace(old, new))
    assert any(c == code and words in message for c, message, _ in found), found


def test_normalize_is_no_op() -> None:
    text = """
version: 1
name: t
views:
  v:
    ops:
      - {op: normalize, mean: [0.5], std: [0.5]}
      - {op: sequence, ops: [{op: normalize}]}
      - {op: grayscale}
"""
    found = mistakes(text)
    assert [(code, line) for code, _, line in found] == [("AS102", 7), ("AS102", 8)]
    assert "here, sequence would get values outside [0, 1]" in found[0][1]


def test_where_the_spec_asks_for_gradients_every_op_must_let_them_through() -> None:
    text = """{version: 1, name: t, differentiable: true, views: {v: {ops: [
        {op: grayscale}, {op: one_of, ops: [{op: posterize, bits: 4}, {op: solarize}]}]}}}"""
    ((code, message, _),) = mistakes(text)
    assert code == "AS106"
    assert message.startswith("posterize lets no gradient through (")
    augspec.loads(text.replace("{op: posterize, bits: 4}, ", ""))
