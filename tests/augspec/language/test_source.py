import json
import math
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from augspec.language.diagnostics import Position, SpecError
from augspec.language.source import (
    Source,
    overlay,
    parse_source,
    read_source,
    subtree,
    without,
)

_ANY_CHARACTER = st.characters(codec="utf-8")
_PRINTABLE = st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"])


def plain_data(characters: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    text = st.text(characters, max_size=20)
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | text
        | st.sampled_from(["NO", "1_000", "1e-3", "0x1f", "null", "~", "<<", "2024-01-01", ""])
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=20,
    )


def assert_same(read: Any, written: Any) -> None:
    """Equal, types included (1, 1.0 and True are three different things)."""
    assert repr(read) == repr(written)


def character_at(text: str, position: Position) -> str:
    lines = re.split(r"\r\n|\r|\n", text)
    return lines[position.line - 1][position.column - 1 :]


def assert_marks_point_at_values(source: Source, text: str, ensure_ascii: bool) -> None:
    for path, mark in source.marks.items():
        value = subtree(source, path).data
        written = json.dumps(value, ensure_ascii=ensure_ascii)
        first = written[0] if isinstance(value, dict | list) else written
        assert character_at(text, mark.value.position).startswith(first)
        if mark.key is not None:
            key = json.dumps(path[-1], ensure_ascii=ensure_ascii)
            assert character_at(text, mark.key.position).startswith(key)
            assert mark.key.length == len(key)


@settings(max_examples=200)
@given(plain_data(_ANY_CHARACTER), st.sampled_from([None, 2, "\t"]), st.sampled_from("\n\r"))
def test_json_reads_back_identical_with_every_mark_on_its_value(
    data: Any, indent: int | str | None, line_break: str
) -> None:
    text = json.dumps(data, indent=indent).replace("\n", line_break)
    source = parse_source(text)
    assert_same(source.data, data)
    assert_marks_point_at_values(source, text, ensure_ascii=True)


@given(plain_data(_PRINTABLE))
def test_json_in_unicode_reads_back_identical(data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False)
    source = parse_source(text)
    assert_same(source.data, data)
    assert_marks_point_at_values(source, text, ensure_ascii=False)


@given(plain_data(st.characters(codec="ascii", exclude_categories=["C"])))
def test_block_yaml_reads_back_identical(data: Any) -> None:
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(data, stream)
    assert_same(parse_source(stream.getvalue()).data, data)


@settings(max_examples=300)
@given(st.text(st.sampled_from("ab:{}[],&*!|>-?'\"#%@`\\x0U\n\t \ufeffé\x85"), max_size=40))
@example('"\\UFFFFFFFF"')
@example('"\\ud800"')
@example("%TAG ! tag:yaml.org,2002:\n---\na: !python/name:os.system x")
@example("a: " + "9" * 5000)
def test_any_text_is_a_document_or_one_clear_error(text: str) -> None:
    try:
        source = parse_source(text)
    except SpecError as error:
        assert all(d.position is not None and d.message for d in error.diagnostics)
        assert "\n\n" not in str(error)
    else:
        assert () in source.marks


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("+12", 12),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        (".nan", math.nan),
        ("NO", "NO"),
        ("off", "off"),
        ("True", True),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
    ],
)
def test_scalars_follow_the_core_schema(word: str, value: Any) -> None:
    assert_same(parse_source(f"a: {word}").data, {"a": value})


def test_json_escapes() -> None:
    text = r'{"a\/b": "\u00e9\ud83d\ude00\t\"", "\ud83d\ude00": 1}'
    assert parse_source(text).data == json.loads(text)


def test_positions_in_block_style() -> None:
    source = parse_source("a:\n  - x\n  - b: 1\nempty:\nlast: 2\n", "f")
    assert str(source.at(("a", 0))) == "f:2:5"
    assert str(source.at(("a", 1, "b"))) == "f:3:8"
    assert str(source.at(("a", 1, "b"), key=True)) == "f:3:5"
    assert str(source.at(("empty",))) == "f:4:1", "an unwritten value stands at its key"


def test_a_place_that_does_not_exist_is_its_nearest_ancestor() -> None:
    source = parse_source("a: {b: 1}", "f")
    assert str(source.at(("a", "c", 3), key=True)) == "f:1:4"
    assert str(source.at(("x",))) == "f:1:1"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_breaks_and_byte_order_mark(tmp_path: Path, line_break: str, mark: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_bytes((mark + line_break.join(["a: 1", "b:", "  - c", ""])).encode())
    source = read_source(file)
    assert source.data == {"a": 1, "b": ["c"]}
    assert source.at(("a",)) == Position(str(file), 1, 4)
    assert source.at(("b", 0)) == Position(str(file), 3, 5)


def error_of(text: str, name: str = "f") -> str:
    with pytest.raises(SpecError) as info:
        parse_source(text, name)
    return str(info.value)


def test_all_duplicate_and_unsuitable_keys_are_reported_at_once() -> None:
    assert error_of("a: 1\na: 2\nb: {c: 1, c: 2}\n1: x\n<<: {}\n? \n: 3") == (
        "f:2:1: error: duplicate key 'a': first given at line 1\n"
        "  2 | a: 2\n"
        "    | ^\n"
        "f:3:11: error: duplicate key 'c': first given at line 3\n"
        "  3 | b: {c: 1, c: 2}\n"
        "    |           ^\n"
        "f:4:1: error: a key must be a string: put 1 in quotes\n"
        "  4 | 1: x\n"
        "    | ^\n"
        "f:5:1: error: merge keys (<<) are not supported: write the fields out\n"
        "  5 | <<: {}\n"
        "    | ^^\n"
        "f:6:2: error: a key must be a string: put it in quotes\n"
        "  6 | ? \n"
        "    |  ^"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f:1:1: error: the document is empty"),
        ("# only a comment\n", "f:1:1: error: the document is empty"),
        ("a: 1\n---\nb: 2", "f:2:1: error: a second document starts here: a file holds one"),
        ("a: 1\n...\nb: 2", "f:3:1: error: a second document starts here: a file holds one"),
        (
            "%YAML 1.1\n---\na: NO",
            "f:2:1: error: YAML 1.1 is not supported: documents are YAML 1.2",
        ),
        ("[1]: 2", "f:1:1: error: a key must be a string"),
        ("a: *b", "f:1:4: error: no anchor &b comes before this alias"),
        (
            "a: &base 1\nb: *bas",
            "f:2:4: error: no anchor &bas comes before this alias; did you mean *base?",
        ),
        ("a: &a [*a]", "f:1:8: error: the alias *a stands inside its own anchor"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "f:1:4: error: the tag !!python/object/apply:os.system is not supported: documents "
            "hold plain data",
        ),
        ("a: !!int x", "f:1:4: error: 'x' does not suit the tag !!int"),
        ("a: !mine x", "f:1:4: error: the tag !mine is not supported: documents hold plain data"),
        ("a: \x07", "f:1:4: error: the character U+0007 is not allowed; write it as an escape"),
        ("a:\n\tb: 1", "f:2:1: error: not valid YAML: a tab cannot indent or separate here"),
        ("a: b: c", "f:1:5: error: not valid YAML: a ':' cannot stand here"),
        (
            "a: [1\nb: 2",
            "f:2:2: error: not valid YAML: expected ',' or ']', but got ':' (while parsing a flow "
            "sequence from line 1 on)",
        ),
        ("[" * 101, "f:1:101: error: nested more than 100 deep"),
        ("a: " + "9" * 500, "f:1:4: error: an integer of 500 digits is too long"),
        ('"\\ud83d"', "f:1:1: error: half of a surrogate pair is no character"),
    ],
)
def test_unreadable_text(text: str, message: str) -> None:
    assert error_of(text).startswith(message)


def test_a_hundred_levels_are_allowed() -> None:
    assert parse_source("[" * 100 + "]" * 100).data


def test_aliases_are_copies() -> None:
    source = parse_source("a: &x {b: [1]}\nc: *x\n", "f")
    assert source.data == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert source.data["a"]["b"] is not source.data["c"]["b"]
    assert str(source.at(("c",))) == "f:2:4"
    assert str(source.at(("c", "b", 0))) == "f:1:12"


def test_aliases_cannot_blow_up_size_or_depth() -> None:
    wide = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
    )
    assert "the document holds more than 100000 values" in error_of(wide)
    deep = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200))
    assert "nested more than 100 deep" in error_of(deep)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def error(path: Path) -> str:
        with pytest.raises(SpecError) as info:
            read_source(path)
        return str(info.value)

    (tmp_path / "byol-cifar10.yaml").write_text("a: 1")
    wanted = tmp_path / "byol_cifar.yaml"
    assert error(wanted) == (
        f"error: no such file: {wanted}; did you mean {tmp_path / 'byol-cifar10.yaml'}?"
    )
    assert error(tmp_path) == f"error: cannot read {tmp_path}: Is a directory"
    assert "no such file" in error(tmp_path / "nowhere" / "x.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert error(latin) == f"{latin}:2:7: error: not UTF-8: the byte 0xe9 cannot be read"
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 10_000_001)
    assert error(large) == f"error: {large} is larger than 10 MB: not a document"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    with pytest.raises(SpecError, match="Permission denied"):
        read_source(file)


def test_overlay_merges_mappings_and_replaces_the_rest() -> None:
    base = parse_source("a: {b: 1, c: [1, 2]}\nd: 2\ne: {f: 1}\n", "base")
    top = parse_source("a:\n  c: [3]\n  g: 4\ne: null\nh: {i: 5}\n", "top")
    both = overlay(base, top)
    assert both.data == {"a": {"b": 1, "c": [3], "g": 4}, "d": 2, "e": None, "h": {"i": 5}}
    places = {path: str(mark.value.position) for path, mark in both.marks.items()}
    assert places == {
        (): "top:1:1",
        ("a",): "top:2:3",
        ("a", "b"): "base:1:8",
        ("a", "c"): "top:2:6",
        ("a", "c", 0): "top:2:7",
        ("a", "g"): "top:3:6",
        ("d",): "base:2:4",
        ("e",): "top:4:4",
        ("h",): "top:5:4",
        ("h", "i"): "top:5:8",
    }
    assert both.diagnostic(("a", "b"), "wrong").source_line == "a: {b: 1, c: [1, 2]}"


@given(plain_data(_PRINTABLE), plain_data(_PRINTABLE))
def test_overlay_laws(one: Any, two: Any) -> None:
    base = parse_source(json.dumps(one), "base")
    top = parse_source(json.dumps(two), "top")
    both = overlay(base, top)
    assert_same(overlay(base, base).data, base.data)
    assert repr(overlay(both, top).data) == repr(both.data)
    assert set(both.marks) == set(parse_source(json.dumps(both.data)).marks)


def test_subtree_and_without() -> None:
    source = parse_source("a: {b: [1, 2]}\nc: 3\n", "f")
    inner = subtree(source, ("a", "b"))
    assert inner.data == [1, 2]
    assert str(inner.at((1,))) == "f:1:12"
    rest = without(source, "a")
    assert rest.data == {"c": 3}
    assert set(rest.marks) == {(), ("c",)}
    assert without(rest, "a").data == rest.data
