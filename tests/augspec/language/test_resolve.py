import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augspec.language.diagnostics import SpecError
from augspec.language.names import find_entry
from augspec.language.resolve import override
from augspec.language.source import Source, parse_source

TEXT = """\
name: byol
training: {epochs: 800, warmup: null}
views:
  first:
    ops:
      - {op: crop, size: 32}
      - {op: blur, p: 0.5}
      - {op: jitter, id: weak}
      - {op: jitter, id: strong}
      - {op: flip}
      - {op: flip}
"""


def source() -> Source:
    return parse_source(TEXT, "f")


def ops(*assignments: str) -> Any:
    return override(source(), assignments).data["views"]["first"]["ops"]


def error_of(*assignments: str) -> str:
    with pytest.raises(SpecError) as info:
        override(source(), assignments)
    return str(info.value)


@pytest.mark.parametrize(
    ("right", "value"),
    [
        ("5", 5),
        ("1e-3", 0.001),
        ("null", None),
        ("true", True),
        ("NO", "NO"),
        ('""', ""),
        ("a=b", "a=b"),
        ("[0.1, 2]", [0.1, 2]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        (" a b ", "a b"),
    ],
)
def test_the_right_side_is_a_yaml_value(right: str, value: Any) -> None:
    assert override(source(), [f"training.epochs={right}"]).data["training"]["epochs"] == value
    assert override(source(), [f"new={right}"]).data["new"] == value


def test_elements_go_by_index_id_or_op() -> None:
    assert ops("views.first.ops.0.size=64")[0] == {"op": "crop", "size": 64}
    assert ops("views.first.ops.blur.p=0")[1] == {"op": "blur", "p": 0}
    assert ops("views.first.ops.strong.p=0")[3] == {"op": "jitter", "id": "strong", "p": 0}
    assert ops("views.first.ops.blur={op: solarize}")[1] == {"op": "solarize"}


def test_elements_of_one_op_go_by_their_number_among_those_without_an_id() -> None:
    assert ops("views.first.ops.flip_2.p=0")[5] == {"op": "flip", "p": 0}
    assert ops("views.first.ops.flip_1.p=0")[4] == {"op": "flip", "p": 0}
    assert ops("views.first.ops.blur_1.p=0")[1] == {"op": "blur", "p": 0}
    text = "ops: [{op: a}, {op: a, id: x}, {op: a}, {op: a_2}, {op: b}, {op: c, id: b}]"
    named = parse_source(text, "f")
    for name, index in {"a_1": 0, "x": 1, "a_2": 3, "b": 5, "5": 5}.items():
        assert override(named, [f"ops.{name}.hit=1"]).data["ops"][index]["hit"] == 1, name
    for name in ("a_3", "a_0", "a_02", "x_1", "a_99999999999", "jitter_2"):
        with pytest.raises(SpecError, match=f"no entry '{name}'"):
            override(named, [f"ops.{name}.p=0"])


def test_the_numbers_are_those_of_the_ids_that_layouts_show() -> None:
    from augspec.ops import OPS
    from augspec.ops.contract import identified

    tags = ["grayscale", "solarize", "grayscale", "solarize", "solarize"]
    data = [{"op": tag, "id": "own" if k == 3 else None} for k, tag in enumerate(tags)]
    for index, (name, _) in enumerate(identified([OPS[d["op"]](**d) for d in data])):
        if "_" in name:
            assert find_entry(data, name, "ops") == index


def test_inside_combinators_every_step_is_written_out() -> None:
    text = "ops: [{op: maybe, ops: [{op: one_of, ops: [{op: rotate}, {op: rotate}]}]}, {op: flip}]"
    nested = parse_source(text, "f")
    data = override(nested, ["ops.maybe.ops.one_of.ops.rotate_2.degrees=10"]).data
    assert data["ops"][0]["ops"][0]["ops"] == [{"op": "rotate"}, {"op": "rotate", "degrees": 10}]
    with pytest.raises(SpecError, match=r"ops has no entry 'rotate_2' .entries: maybe, flip"):
        override(nested, ["ops.rotate_2.degrees=10"])


def test_missing_mappings_are_made_and_keys_may_be_quoted() -> None:
    data = override(source(), ["a.b.c=1", 'views."x.y".ops=[]', '"p q"=2']).data
    assert data["a"] == {"b": {"c": 1}}
    assert data["views"]["x.y"] == {"ops": []}
    assert data["p q"] == 2


def test_assignments_act_in_order() -> None:
    data = override(
        source(), ["name=a", "training={epochs: 1}", "training.epochs=2", "name=b"]
    ).data
    assert data["name"] == "b"
    assert data["training"] == {"epochs": 2}


def test_the_document_itself_stays_as_it_was() -> None:
    before = source()
    override(before, ["training.epochs=1", "views.first.ops.0.size=1"])
    assert before == source()


def test_places_point_into_the_assignments() -> None:
    result = override(source(), ["name=x", "views.first.ops.blur.p=[0, 9]", "a.b=1"])
    blur = ("views", "first", "ops", 1)
    assert str(result.at((*blur, "p", 1))) == "--set:2:28"
    assert str(result.at((*blur, "p"), key=True)) == "--set:2:22"
    assert str(result.at(("a",))) == "--set:3:1"
    assert str(result.at(("a", "b"))) == "--set:3:5"
    assert str(result.at((*blur, "op"))) == "f:7:14"
    assert result.diagnostic(("a", "b"), "wrong").source_line == "a.b=1"


def test_a_second_round_of_assignments_keeps_the_places_of_the_first() -> None:
    result = override(override(source(), ["name=x", "a=1"]), ["b: c=2", "training.epochs=3"])
    assert str(result.at(("a",))) == "--set:2:3"
    assert str(result.at(("training", "epochs"))) == "--set:4:17"
    assert result.lines["--set"] == ("name=x", "a=1", "b: c=2", "training.epochs=3")


def test_a_replaced_value_leaves_no_marks_behind() -> None:
    result = override(source(), ["views.first=1"])
    assert set(result.marks) == {
        (),
        ("name",),
        ("training",),
        ("training", "epochs"),
        ("training", "warmup"),
        ("views",),
        ("views", "first"),
    }


def test_every_mistake_of_the_assignments_at_once() -> None:
    wrong = [
        "views.first.ops.blurr.p=0",
        "views.first.ops.flip.p=0",
        "views.first.ops.6.p=0",
        "name.x=1",
        "training.warmup.x=1",
        "training.epochs",
        "a..b=1",
        "=1",
        "",
        "a=",
        "a=[1",
        "a={b: 1, b: 2}",
    ]
    assert error_of(*wrong) == (
        "--set:1:17: error: views.first.ops has no entry 'blurr'; did you mean 'blur'? (entries: "
        "crop, blur, weak, strong, flip_1, flip_2)\n"
        "  1 | views.first.ops.blurr.p=0\n"
        "    |                 ^^^^^\n"
        "--set:2:17: error: entries 4 and 5 of views.first.ops are all 'flip': say 'flip_1' or "
        "'flip_2', or use an index or an id\n"
        "  2 | views.first.ops.flip.p=0\n"
        "    |                 ^^^^\n"
        "--set:3:17: error: views.first.ops has 6 entries, counted from 0: no entry 6\n"
        "  3 | views.first.ops.6.p=0\n"
        "    |                 ^\n"
        "--set:4:6: error: name is 'byol', not a mapping or list: it has no 'x'\n"
        "  4 | name.x=1\n"
        "    |      ^\n"
        "--set:5:17: error: training.warmup is null, not a mapping or list: it has no 'x'\n"
        "  5 | training.warmup.x=1\n"
        "    |                 ^\n"
        "--set:6:10: error: an assignment has the form path=value, such as training.epochs=5\n"
        "  6 | training.epochs\n"
        "    |          ^\n"
        "--set:7:3: error: an assignment has the form path=value, such as training.epochs=5\n"
        "  7 | a..b=1\n"
        "    |   ^\n"
        "--set:8:1: error: an assignment has the form path=value, such as training.epochs=5\n"
        "  8 | =1\n"
        "    | ^\n"
        "--set:9:1: error: an assignment has the form path=value, such as training.epochs=5\n"
        "  9 | \n"
        "    | ^\n"
        "--set:10:2: error: a value must follow the '='; null for nothing, \"\" for an empty "
        "string\n"
        "  10 | a=\n"
        "     |  ^\n"
        "--set:11:5: error: not valid YAML: expected ',' or ']', but got '<stream end>' (while "
        "parsing a flow sequence from line 11 on)\n"
        "  11 | a=[1\n"
        "     |     ^\n"
        "--set:12:10: error: duplicate key 'b': first given at line 12\n"
        "  12 | a={b: 1, b: 2}\n"
        "     |          ^"
    )


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters='"\n\r'), max_size=5), min_size=1
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_what_is_assigned_is_found_there(path: list[str], value: Any) -> None:
    left = ".".join(f'"{segment}"' for segment in path)
    data = override(parse_source("{}"), [f"{left}={json.dumps(value)}"]).data
    for segment in path:
        data = data[segment]
    assert data == value
