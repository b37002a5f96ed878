"""`let`: what `$name` becomes, what is left alone, and what is refused."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import augspec
from augspec import SpecError
from augspec.language.let import substituted
from augspec.language.source import parse_source, paths

SPEC = """\
version: 1
name: t
let:
  strength: 0.4
  band: [0.1, $top]
  top: 2.0
  flip: {op: horizontal_flip, p: $half}
  half: 0.5
  common: [$flip, {op: color_jitter, brightness: $strength}]
  view: {ops: $common}
views:
  a: $view
  b: {ops: [$flip, {op: gaussian_blur, kernel: 5, sigma: $band}]}
  c: {ops: [{op: gaussian_blur, sigma: [0.1, $top]}]}
"""


def data(text: str) -> Any:
    return substituted(parse_source(text, "f")).data


def mistakes(text: str, *overrides: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as error:
        augspec.loads(text, "f", overrides)
    return [(str(d.position), d.message) for d in error.value.diagnostics]


def test_names_stand_for_values_of_every_kind() -> None:
    spec = augspec.loads(SPEC)
    assert spec.document()["views"] == {
        "a": {
            "ops": [
                {"op": "horizontal_flip", "p": 0.5},
                {"op": "color_jitter", "brightness": [0.6, 1.4]},
            ]
        },
        "b": {
            "ops": [
                {"op": "horizontal_flip", "p": 0.5},
                {"op": "gaussian_blur", "kernel": 5},
            ]
        },
        "c": {"ops": [{"op": "gaussian_blur"}]},
    }


def test_assignments_change_names_first() -> None:
    spec = augspec.loads(SPEC, overrides=["let.half=0.25", "views.d={ops: [$flip]}"])
    assert [spec.views[v].ops[0].p for v in "abd"] == [0.25, 0.25, 0.25]
    assert (
        augspec.loads("{version: 1, name: t, views: {a: $v}}", overrides=["let.v={}"])
        .views["a"]
        .ops
        == ()
    )


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("$x", 1),
        ('"$x"', 1),
        ("$$x", "$x"),
        ("$$$x", "$$x"),
        ("$$", "$"),
        ("$", "$"),
        ("$1", "$1"),
        ("$x y", "$x y"),
        ("a$x", "a$x"),
        ("$x-y", "$x-y"),
        ("$é", "$é"),
        ("{$x: $x}", {"$x": 1}),
        ("[$x, [$x]]", [1, [1]]),
    ],
)
def test_only_whole_names_are_replaced(written: str, becomes: Any) -> None:
    assert data(f"let: {{x: 1}}\na: {written}") == {"a": becomes}
    if "$x" not in written.replace("$$x", ""):
        assert data(f"a: {written}") == {"a": becomes}
    assert data(f"let: {{x: 1, y: {written}}}\na: $y") == {"a": becomes}


def test_free_text_is_left_alone() -> None:
    text = "{version: 1, name: t, description: $x, meta: {a: $x, b: $$y}, views: {v: {}}}"
    spec = augspec.loads(text)
    assert (spec.description, spec.meta) == ("$x", {"a": "$x", "b": "$$y"})
    assert "pattern" in mistakes("{version: 1, name: $n, let: {n: t}, views: {v: {}}}")[0][1]


def test_unused_names_are_allowed_but_must_be_right() -> None:
    assert data("let: {a: 1, b: $a}\nx: 2") == {"x": 2}
    assert mistakes("{version: 1, name: t, let: {a: $b}, views: {v: {}}}")[0][0] == "f:1:32"


def test_mistakes_of_names() -> None:
    text = """\
version: 1
name: t
let:
  strength: 1
  2b: 1
  a: $b
  b: [$c]
  c: {x: $a}
  d: $a
views: {v: {ops: [{op: gaussian_blur, p: $strenght, sigma: $zzz}, $d]}}
"""
    known = "(names: strength, 2b, a, b, c, d; "
    assert mistakes(text) == [
        ("f:5:3", "a name has letters, digits and _, and no digit first: not '2b'"),
        ("f:8:10", "names stand for one another in a circle: a -> b -> c -> a"),
        (
            "f:10:42",
            f"unknown name $strenght; did you mean $strength? {known}$$strenght is the text "
            "$strenght)",
        ),
        ("f:10:60", f"unknown name $zzz {known}$$zzz is the text $zzz)"),
    ]
    alone = "{version: 1, name: t, views: {v: {ops: $x}}}"
    assert mistakes(alone) == [
        ("f:1:40", "unknown name $x (there is no `let`; $$x is the text $x)")
    ]
    assert mistakes("{version: 1, name: t, let: [1], views: {v: {}}}") == [
        ("f:1:28", "`let` is a mapping of names to values")
    ]


def test_a_wrong_value_is_shown_where_it_is_used_and_where_it_is_from() -> None:
    text = """\
version: 1
name: t
let:
  p: 2
  deep: {op: gaussian_blur, sgima: 1, p: $p}
views:
  a: {ops: [{op: grayscale, p: $p}, $deep, {op: solarize, threshold: $range}]}
  b: {ops: [{op: resize, size: $p}]}
""".replace("  p: 2\n", "  p: 2\n  range: [0.1, 3]\n")
    found = mistakes(text)
    assert [place for place, _ in found] == ["f:8:32", "f:8:37", "f:8:37", "f:8:70"]
    ends = [message[message.rindex(" (from ") :] for _, message in found]
    assert ends[0] == " (from let.p, f:4:6)"
    assert sorted(ends[1:3]) == [" (from let.deep, f:6:29)", " (from let.p, f:4:6)"]
    assert ends[3] == " (from let.range, f:5:10)"
    assert "unknown field 'sgima'" in found[1][1] + found[2][1]


def test_a_field_that_takes_a_wrong_name_is_its_own_mistake() -> None:
    """The key of a field that a name fills was written in the document, not in the `let`."""
    text = "{version: 1, name: t, let: {x: 1}, views: {v: {opps: $x}}}"
    ((place, message),) = mistakes(text)
    assert place == "f:1:48"
    assert "from let" not in message


@pytest.mark.parametrize("shape", ["lists", "wide", "nested", "chain", "chain upwards", "hidden"])
def test_no_document_grows_without_bound(shape: str) -> None:
    ten = ", ".join(["{}"] * 10)
    lets = {
        "lists": [
            "l0: [1]",
            *(f"l{k}: [{ten.format(*[f'$l{k - 1}'] * 10)}]" for k in range(1, 30)),
        ],
        "wide": [f"l0: [{', '.join('1' * 1000)}]", f"l29: [{', '.join(['$l0'] * 2000)}]"],
        "nested": ["l0: [1]", *(f"l{k}: [[[[[$l{k - 1}]]]]]" for k in range(1, 30))],
        "chain": [*(f"l{k}: $l{k + 1}" for k in range(5000)), "l5000: 1"],
        "chain upwards": ["l0: 1", *(f"l{k}: $l{k - 1}" for k in range(1, 5000)), "x: 1"],
        "hidden": [
            "l0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]",
            *(f"l{k}: [{ten.format(*[f'$l{k - 1}'] * 10)}]" for k in range(1, 4)),
            *(f"m{k}: [$l3, $l3]" for k in range(500)),
            f"l29: [{', '.join(f'$m{k}' for k in range(500))}]",
        ],
    }[shape]
    last = {"chain": "$l0", "chain upwards": "$l4999"}.get(shape, "$l29")
    text = "version: 1\nname: t\nlet:\n  " + "\n  ".join(lets) + f"\nviews: {last}\n"
    source = parse_source(text, "f")
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(SpecError, match=r"more than 100000 values|more than 100 deep"):
        substituted(source)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 200e6


def test_uses_count_together() -> None:
    names = ", ".join(["$l"] * 150)
    text = f"{{let: {{l: [{', '.join('1' * 999)}]}}, a: [{names}]}}"
    with pytest.raises(SpecError, match="more than 100000 values"):
        data(text)
    assert len(data(text.replace(names, ", ".join(["$l"] * 90)))["a"]) == 90


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy"), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "_c1"]), PLAIN), st.data())
def test_substituting_is_what_it_says(lets: dict[str, Any], draw: st.DataObject) -> None:
    names = st.sampled_from([f"${name}" for name in lets]) if lets else st.nothing()
    document = draw.draw(st.dictionaries(st.sampled_from("rst"), st.lists(PLAIN | names)))
    expected = {
        key: [lets[v[1:]] if isinstance(v, str) and v.startswith("$") else v for v in values]
        for key, values in document.items()
    }
    source = parse_source(json.dumps({"let": lets, **document}), "f")
    result = substituted(source)
    assert result.data == expected
    assert set(result.marks) == set(paths(result.data, ()))
