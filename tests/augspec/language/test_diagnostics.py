import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augspec.language.diagnostics import Diagnostic, Position, SpecError, nearest


def rendered(line: str, column: int, span: int = 1) -> list[str]:
    return Diagnostic(Position("f", 7, column), "wrong", line, span).render().split("\n")


def test_shows_place_message_line_and_carets() -> None:
    line = "      - {op: color_jitter, brigtness: 0.4}"
    text = Diagnostic(Position("specs/x.yaml", 12, 28), "unknown field", line, 9).render()
    assert text == (
        "specs/x.yaml:12:28: error: unknown field\n"
        "  12 |       - {op: color_jitter, brigtness: 0.4}\n"
        "     |                            ^^^^^^^^^"
    )


def test_without_a_place_only_the_message() -> None:
    assert Diagnostic(None, "no such file: x").render() == "error: no such file: x"


def test_tabs_and_wide_and_combining_characters_keep_the_caret_under_its_character() -> None:
    assert rendered("\ta: x", 5) == ["f:7:5: error: wrong", "  7 |     a: x", "    |        ^"]
    assert rendered("名前: x", 5)[1:] == ["  7 | 名前: x", "    |       ^"]
    assert rendered("e\u0301: x", 5)[1:] == ["  7 | e\u0301: x", "    |    ^"]
    assert rendered("a: 名前", 4, 2)[2] == "    |    ^^^^"


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert "\x1b" not in "".join(rendered("a: \x1b[2J", 4))


@given(
    line=st.text("ab 名\t\u0301", min_size=1, max_size=400),
    start=st.integers(0, 399),
    span=st.integers(1, 400),
)
def test_the_caret_stands_under_the_marked_character_in_a_bounded_window(
    line: str, start: int, span: int
) -> None:
    start = start % len(line)
    marked = "Q"
    line = line[:start] + marked + line[start + 1 :]
    _, shown, carets = rendered(line, start + 1, span)
    shown, carets = shown.removeprefix("  7 | "), carets.removeprefix("    | ")

    def width(text: str) -> int:
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
        return len(text) + wide - text.count("\u0301")

    assert width(shown) <= 100
    before = shown[: shown.index(marked)]
    assert width(before) == carets.index("^")
    assert set(carets) <= {" ", "^"}


def test_an_error_lists_its_mistakes_in_the_order_of_the_file() -> None:
    places = [Position("b", 1, 1), Position("a", 10, 1), Position("a", 2, 9), Position("a", 2, 3)]
    error = SpecError(*(Diagnostic(place, "wrong") for place in places))
    assert str(error).split("\n") == [
        "a:2:3: error: wrong",
        "a:2:9: error: wrong",
        "a:10:1: error: wrong",
        "b:1:1: error: wrong",
    ]


def test_an_error_survives_a_trip_between_processes() -> None:
    error = SpecError(Diagnostic(Position("a", 1, 2), "wrong", "abc", 2), Diagnostic(None, "more"))
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, SpecError)
    assert copy.diagnostics == error.diagnostics


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("colorjitter", "color_jitter"),
        ("Color-Jitter", "color_jitter"),
        ("RandomResizedCrop", "resized_crop"),
        ("GaussianBlur", "gaussian_blur"),
        ("gausian_blur", "gaussian_blur"),
        ("rotate", None),
    ],
)
def test_nearest_name(name: str, expected: str | None) -> None:
    assert nearest(name, ["color_jitter", "gaussian_blur", "resized_crop"]) == expected
