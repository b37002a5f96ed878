"""What an editor shows while a spec is written: the real yaml-language-server, over its protocol.

VS Code's YAML extension, Neovim and others run this server. It is found in `tests/editors` (install
it there with `npm install`), or where AUGSPEC_YAML_LANGUAGE_SERVER says.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import augspec
from augspec.language.schema import spec_schema
from augspec.language.schema_shape import for_editors
from augspec.ops import OPS

sys.path.insert(0, str(Path(__file__).parents[1] / "editors"))
from editor import Editor, running_server
from language_server import LanguageServer, extent

SPECS = sorted((Path(__file__).parents[2] / "specs" / "augmentations").glob("*.yaml"))
HEAD = "# yaml-language-server: $schema=augspec.schema.json\n"
SPEC = HEAD + "version: 1\nname: t\nviews:\n  original: {ops: []}\n  first:\n    ops:\n      - "
"""A good spec up to its first op."""
NUMBERS = count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("specs")
    (found / "augspec.schema.json").write_text(json.dumps(for_editors(spec_schema())))
    return found


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LanguageServer]:
    with running_server(folder) as running:
        yield running


@pytest.fixture
def edit(server: LanguageServer, folder: Path) -> Callable[[str], Editor]:
    """Opens a text as a document that the server has not seen yet."""
    return lambda text: Editor(server, folder / f"{next(NUMBERS)}.yaml", text)


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_the_published_specs_have_no_squiggle(edit: Callable[[str], Editor], path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first, rest = text.split("\n", 1)
    assert first.startswith("# yaml-language-server: $schema=")
    # a view may extend a file that is not beside it here; the schema does not follow it
    assert edit(HEAD + rest).marked() == []


def test_every_way_to_write_every_op_has_no_squiggle(edit: Callable[[str], Editor]) -> None:
    ways = [{"op": tag, **way} for tag, op in OPS.items() for way in ({}, *op.examples)]
    lines = [json.dumps(way) for way in ways]
    text = SPEC + "\n      - ".join(lines) + "\n"
    assert edit(text).marked() == []


def test_extends_and_names_have_no_squiggle(edit: Callable[[str], Editor]) -> None:
    text = HEAD + (
        "version: 1\nextends: base.yaml\nlet: {strength: 0.4, flip: {op: horizontal_flip}}\n"
        "views:\n  first:\n    ops: {color_jitter: {brightness: $strength}, grayscale: null}\n"
        "  second:\n    ops: [$flip, {op: solarize, threshold: $strength}]\n"
    )
    assert edit(text).marked() == []


BROKEN = [
    # the text around the mark is the document from its first op on; the mark is the squiggle
    ("{op: «gausian_blur», sigma: 1}", "unknown op; known are", "gaussian_blur"),
    ("{op: color_jitter, «brigtness»: 0.4, p: 0.8}", "fields here:", "brightness"),
    ("{op: grayscale, p: «1.5»}", "maximum of 1"),
    ("{op: grayscale, p: «-0.1»}", "minimum of 0"),
    ("{op: grayscale, p: «true»}", "number"),
    ('{op: grayscale, p: «"0.5"»}', "number"),
    ("{op: resized_crop, size: «0»}", "minimum of 1"),
    ("{op: resized_crop, size: [32, «0»]}", "minimum of 1"),
    ("{op: resized_crop, size: «[32, 32, 32]»}", "2 or fewer"),
    ("{op: resized_crop, interpolation: «bicubc»}", "bicubic"),
    ("{op: resized_crop, «scale»: [0.2, 1.0]}", "fields here:", "area"),
    ("{op: solarize, threshold: «128»}", "maximum of 1"),
    ("{op: solarize, threshold: [0.5, «128»]}", "maximum of 1"),
    ("{op: solarize, threshold: {«unifrm»: [0, 1]}}", "must have one of the fields", "log_uniform"),
    ("{op: solarize, threshold: {choice: [0.1, «3»]}}", "maximum of 1"),
    ("{op: solarize, threshold: «high»}", "number | array"),
    ("«{»p: 0.5}", "must be a mapping with 'op'"),
    ("«grayscale»", "must be a mapping with 'op'"),
    ("{op: one_of, ops: [{op: grayscale, «px»: 1}, {op: solarize}]}", "fields here:", "share"),
    ("{op: one_of, ops: [{op: «grayscal»}, {op: solarize}]}", "unknown op", "grayscale"),
    ("{op: maybe, ops: [{op: repeat, times: «17», ops: []}]}", "maximum of 16"),
    ("{op: grayscale, id: «a b»}", "pattern"),
    ("op: color_jitter\n        «brigtness»: 0.4\n        hue: 0.1", "brightness"),
    ("op: color_jitter\n        hue: «0.9»", "maximum of 0.5"),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case[0])
def test_a_squiggle_stands_under_what_is_wrong(
    edit: Callable[[str], Editor], case: tuple[str, ...]
) -> None:
    written, *words = case
    marked = written[written.index("«") + 1 : written.index("»")]
    text = SPEC + written.replace("«", "").replace("»", "") + "\n"
    ((found, message),) = (editor := edit(text)).marked()
    assert found == marked
    for word in words:
        assert word in message
    # its place, not only its text: the same word may stand elsewhere
    before = SPEC + written[: written.index("«")]
    line, column, _, _ = extent(editor.diagnostics[0])
    assert (line, column) == (before.count("\n"), len(before) - before.rfind("\n") - 1)


TOP = "version: 1\nname: t\nviews: {first: {ops: []}}\n"


@pytest.mark.parametrize(
    ("old", "new", "marked", "word"),
    [
        ("version: 1", "version: 2", "2", "1"),
        ("name: t", "nme: t\nname: t", "nme", "not allowed"),
        ("name: t\n", "", "v", "name"),
        ("name: t", "name: a b", "a b", "pattern"),
        ("first:", "1st:", "1st", "must match"),
        ("ops:", "op:", "op", "fields here: ops"),
        ("views: {first: {ops: []}}", "views: {}", "{}", "fewer properties"),
        ("name: t", "name: t\nimage: {channels: 4}", "4", "1, 3"),
    ],
)
def test_squiggles_outside_of_ops(
    edit: Callable[[str], Editor], old: str, new: str, marked: str, word: str
) -> None:
    assert old in TOP
    ((found, message),) = edit(HEAD + TOP.replace(old, new)).marked()
    assert found == marked
    assert word in message


def test_every_mistake_has_a_squiggle_of_its_own(edit: Callable[[str], Editor]) -> None:
    text = SPEC + "{op: grayscal, p: 1}\n      - {op: solarize, p: 7, thresold: 0.5}\n"
    assert [found for found, _ in edit(text).marked()] == ["7", "grayscal", "thresold"]


def test_the_editor_and_augspec_mark_the_same_place(edit: Callable[[str], Editor]) -> None:
    for written, *_ in BROKEN:
        text = SPEC + written.replace("«", "").replace("»", "") + "\n"
        line, column, _, _ = extent(edit(text).diagnostics[0])
        with pytest.raises(augspec.SpecError) as error:
            augspec.loads(text)
        places = [d.position for d in error.value.diagnostics]
        # the editor looks into a pair or a choice, of which augspec marks the whole
        assert any(p and p.line == line + 1 and p.column <= column + 1 for p in places)


@pytest.mark.parametrize(
    "written",
    [
        "{op: |}",
        "op: |",
        "{op: one_of, ops: [{op: |}]}",
        "op: maybe\n        ops:\n          - op: |",
    ],
)
def test_after_op_all_ops_are_offered_with_what_they_do(
    edit: Callable[[str], Editor], written: str
) -> None:
    offered = edit(SPEC + written + "\n").completions()
    assert set(offered) == set(OPS)
    assert "Gaussian" in str(offered["gaussian_blur"]["documentation"])


@pytest.mark.parametrize("tag", OPS)
def test_within_an_op_its_fields_are_offered_and_no_others(
    edit: Callable[[str], Editor], tag: str
) -> None:
    editor = edit(f"{SPEC}op: {tag}\n        |\n")
    assert set(editor.completions()) == set(OPS[tag].model_fields) - {"op"}


def test_fields_that_are_there_are_not_offered_again(edit: Callable[[str], Editor]) -> None:
    editor = edit(SPEC + "op: color_jitter\n        p: 0.5\n        hu|\n")
    assert set(editor.completions()) == {
        *("id", "share", "brightness", "contrast", "saturation", "hue", "order")
    }


def test_what_is_offered_for_a_field_is_a_good_value(edit: Callable[[str], Editor]) -> None:
    offered = edit(SPEC + "op: color_jitter\n        |\n").completions()
    assert offered["p"]["insertText"] == "p: ${1:1}"
    assert "low" not in offered["hue"]["insertText"]  # a range is not written as a mapping
    choices = edit(SPEC + "{op: resized_crop, interpolation: |}\n").completions()
    assert set(choices) == {"nearest", "bilinear", "bicubic"}


def words(text: str) -> str:
    """A text without its punctuation, some of which Markdown escapes."""
    return " ".join(re.findall(r"\w+", text))


def test_hovering_over_a_field_shows_its_documentation(edit: Callable[[str], Editor]) -> None:
    for tag, op in OPS.items():
        for name, field in op.model_fields.items():
            if name in ("op", "id", "share") or not field.description:
                continue
            value = json.dumps(op().model_dump(mode="json")[name])
            shown = edit(f"{SPEC}{{op: {tag}, {name[0]}|{name[1:]}: {value}}}\n").hover()
            assert words(field.description)[:60] in words(shown), f"{tag}.{name}"


def test_hovering_over_an_op_shows_what_it_does(edit: Callable[[str], Editor]) -> None:
    shown = edit(SPEC + "{op: gaussian|_blur, kernel: 3}\n").hover()
    assert "Convolve with a Gaussian" in shown


def test_the_other_comment_works_too(edit: Callable[[str], Editor]) -> None:
    text = "# $schema: augspec.schema.json\n" + TOP.replace("name: t", "nme: t\nname: t")
    assert [found for found, _ in edit(text).marked()] == ["nme"]


def test_without_the_comment_nothing_is_checked(edit: Callable[[str], Editor]) -> None:
    assert edit(TOP.replace("name: t", "nme: t")).marked() == []
