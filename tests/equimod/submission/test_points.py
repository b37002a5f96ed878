"""Seeds and sweeps: what they become, and one message for what cannot be spelled out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import augspec
from equimod.config import load_run
from equimod.submission.points import Point, PointsError, expand, read_points, write_points

VALUES = st.one_of(
    st.integers(-5, 5),
    st.floats(allow_nan=False, width=16),
    st.sampled_from(["5", "1e-3", "small", "{name: small}", "[0.2, 1.0]", "'a,b'", '"]"', "null"]),
    st.text("ab{}[],:'\"-/\\ é#&*.", min_size=1, max_size=9).map(json.dumps),
    st.text("ab", min_size=40, max_size=90),
).map(str)


def test_seeds_are_numbers_and_ranges_with_both_ends() -> None:
    points = expand("0-2, 9", [])
    assert [point.name for point in points] == ["seed=0", "seed=1", "seed=2", "seed=9"]
    assert points[3] == Point("seed=9", ("seed=9",), {"seed": 9})


def test_several_sweeps_are_their_product_with_the_seeds_innermost() -> None:
    points = expand("0-1", ["training.epochs=5,10", "method.dim=8"])
    assert [point.name for point in points] == [
        "training.epochs=5,method.dim=8,seed=0",
        "training.epochs=5,method.dim=8,seed=1",
        "training.epochs=10,method.dim=8,seed=0",
        "training.epochs=10,method.dim=8,seed=1",
    ]
    assert points[2].overrides == ("training.epochs=10", "method.dim=8", "seed=0")
    assert points[2].values == {"training.epochs": 10, "method.dim": 8, "seed": 0}


def test_without_seeds_and_sweeps_there_is_one_point_without_a_name() -> None:
    assert expand(None, []) == (Point("", (), {}),)


def test_commas_within_brackets_and_quotes_do_not_separate() -> None:
    text = "x= {name: small, stem: cifar} , [1, 2],'a,b', don't,\"c\\\",d\""
    written = ["{name: small, stem: cifar}", "[1, 2]", "'a,b'", "don't", '"c\\",d"']
    points = expand(None, [text])
    assert [point.overrides for point in points] == [(f"x={value}",) for value in written]
    values = [{"name": "small", "stem": "cifar"}, [1, 2], "a,b", "don't", 'c",d']
    assert [point.values["x"] for point in points] == values


@given(values=st.lists(VALUES, min_size=1, max_size=6, unique=True), seeds=st.sampled_from([1, 3]))
def test_names_are_folders_of_their_own_and_overrides_give_the_values(
    values: list[str], seeds: int
) -> None:
    try:
        points = expand(f"0-{seeds}", [f"a.b={','.join(values)}"])
    except PointsError as error:  # such as '5' and '5.0'
        assert "there twice" in str(error)
        return
    assert len(points) == len(values) * (seeds + 1)
    assert len({point.name.casefold() for point in points}) == len(points)
    for point in points:
        assert not set(point.name) & set(" /\\\"'{}[]:") and len(point.name.encode()) < 200
        set_ = augspec.override(augspec.parse_source("{}"), point.overrides).data
        assert set_ == {"a": {"b": point.values["a.b"]}, "seed": point.values["seed"]}


def test_values_that_differ_in_what_a_name_cannot_hold_have_names_of_their_own() -> None:
    points = expand(None, ["data.path=a/b,a b,a-b", "x=A,a", f"y={'z' * 150}1,{'z' * 150}2"])
    assert len({point.name.casefold() for point in points}) == 12
    assert all(len(point.name) < 200 for point in points)


def test_the_overrides_make_the_run(tiny: Path) -> None:
    sweep = "training.optimizer={name: sgd, lr: 0.1},{name: adamw, lr: 1e-3}"
    runs = [load_run(tiny, point.overrides).shared for point in expand("0-1", [sweep])]
    found = [(run.seed, run.training.optimizer.name, run.training.optimizer.lr) for run in runs]
    assert found == [(0, "sgd", 0.1), (1, "sgd", 0.1), (0, "adamw", 0.001), (1, "adamw", 0.001)]


@pytest.mark.parametrize(
    ("seeds", "sweeps", "words"),
    [
        ("", [], "--seeds : must be numbers and ranges such as 0,3,7-9, but one is empty"),
        ("0,,1", [], "but one is empty"),
        ("-1", [], "not '-1'"),
        ("a", [], "not 'a'"),
        ("4-0", [], "the range '4-0' is backwards; did you mean '0-4'?"),
        ("0-3,2", [], "seed 2 stands there twice"),
        ("4294967296", [], "a seed is at most 4294967295"),
        ("0-4294967295", [], "more than 10,000 seeds"),
        ("0-9999", ["x=1,2"], "2 x 10000 values make 20,000 points, more than 10,000"),
        ("0", ["seed=1,2"], "seeds are given twice"),
        (None, ["training.epochs"], "must have the form path=value,value"),
        (None, ["=5"], "must have the form path=value,value"),
        (None, ["x="], "no value follows the '='"),
        (None, ["x=1,"], "no value follows the last comma"),
        (None, ["x=1,2,1"], "1 stands there twice"),
        (None, ["x=1,1.0"], "1.0 stands there twice (as 1 and 1.0)"),
        (None, ["x=1", "x=2"], "--sweep x=... is given twice"),
        (None, ["x.y=1", "x={y: 2}"], "--sweep x=... would overwrite what --sweep x.y=... sets"),
    ],
)
def test_what_cannot_be_spelled_out_is_said(
    seeds: str | None, sweeps: list[str], words: str
) -> None:
    with pytest.raises(PointsError) as caught:
        expand(seeds, sweeps)
    assert words in str(caught.value)


def test_truth_is_not_one() -> None:
    assert [point.name for point in expand(None, ["x=1,true,0,false"])] == [
        *("x=1", "x=true", "x=0", "x=false")
    ]


@pytest.mark.parametrize("values", ["1,,2", "[1,2", "5],[6", "a: b: c", "'a"])
def test_values_that_are_no_yaml_are_shown_in_their_place(values: str) -> None:
    with pytest.raises(augspec.SpecError, match=r"--sweep:1:\d+: error: not valid YAML"):
        expand(None, [f"x={values}"])


def test_a_list_of_points_is_read_back(tmp_path: Path) -> None:
    points = expand("0-4", ["a={b: [1, null]},text,1e-3,.inf", 'c."d.e"=true,5'])
    write_points(tmp_path, points)
    assert read_points(tmp_path) == points
    assert math.isinf(read_points(tmp_path)[-1].values["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["points.json"]
    write_points(tmp_path, expand(None, []))
    assert read_points(tmp_path) == (Point("", (), {}),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"version": 1, "points": [', "is damaged: the document: Invalid JSON"),
        ('{"version": 2, "points": []}', "is damaged: version"),
        ('{"version": 1, "points": [{"name": "a"}]}', "is damaged: points.0.overrides"),
        *(
            (json.dumps({"version": 1, "points": [point]}), "is damaged: points.0.name")
            for name in ("../a", "/a", "..", "a/b")
            for point in [{"name": name, "overrides": [], "values": {}}]
        ),
        (
            json.dumps(
                {"version": 1, "points": [{"name": "a", "overrides": [], "values": {}}] * 2}
            ),
            "two points have the same name",
        ),
    ],
)
def test_a_damaged_list_of_points_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "points.json").write_text(text)
    with pytest.raises(PointsError) as caught:
        read_points(tmp_path)
    assert str(tmp_path / "points.json") in str(caught.value) and words in str(caught.value)


def test_a_folder_without_points_is_said(tmp_path: Path) -> None:
    with pytest.raises(PointsError, match=r"it has no points\.json"):
        read_points(tmp_path)
