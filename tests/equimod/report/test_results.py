from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from equimod.report.results import ArmResult, RunSummary, read_summary, write_summary

numbers = st.floats(allow_nan=False, allow_infinity=False)
metrics = st.dictionaries(st.text(min_size=1), numbers, max_size=4)
histories = st.lists(
    st.tuples(metrics, st.integers(0, 900)).map(lambda pair: {**pair[0], "epoch": float(pair[1])}),
    max_size=3,
).map(tuple)
arms = st.builds(
    ArmResult,
    name=st.text(min_size=1),
    seed=st.none() | st.integers(0, 2**32 - 1),
    metrics=metrics,
    history=histories,
    per_augmentation=st.dictionaries(st.text(min_size=1), metrics, max_size=2),
)
summaries = st.builds(
    RunSummary,
    title=st.text(min_size=1),
    data=st.text(min_size=1),
    labels=st.lists(st.text(), max_size=2).map(tuple),
    arms=st.lists(arms, max_size=3).map(tuple),
    baselines=st.lists(arms, max_size=2).map(tuple),
)


@given(summary=summaries)
def test_written_and_read_back_is_the_same(tmp_path: Path, summary: RunSummary) -> None:
    path = write_summary(tmp_path / "runs" / "summary.json", summary)
    assert read_summary(path) == summary
    assert [p.name for p in path.parent.iterdir()] == ["summary.json"]  # no temporary file stays


def test_rows_are_named_apart() -> None:
    summary = RunSummary(
        title="t",
        data="d",
        labels=(),
        baselines=(ArmResult(name="raw pixels"),),
        arms=(
            ArmResult(name="simclr", seed=0),
            ArmResult(name="simclr", seed=1),
            ArmResult(name="byol", seed=0),
        ),
    )
    assert summary.row_names == ("raw pixels", "simclr, seed 0", "simclr, seed 1", "byol")


def test_a_file_that_is_no_summary_is_named_with_its_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text('{"title": "t", "data": "d", "labels": [], "arms": [{"nme": "a"}]}')
    with pytest.raises(ValueError, match="is not a run summary") as caught:
        read_summary(path)
    text = str(caught.value)
    assert str(path) in text and "arms.0.name" in text and "arms.0.nme" in text
    path.write_text('{"title": ')
    with pytest.raises(ValueError, match="document: Invalid JSON"):
        read_summary(path)
    with pytest.raises(FileNotFoundError):
        read_summary(tmp_path / "absent.json")


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        ArmResult(name="a", metrics={"linear/class": float("nan")})
    with pytest.raises(ValidationError, match="entry 1 has no 'epoch'; it has: loss/total"):
        ArmResult(name="a", history=({"epoch": 1}, {"loss/total": 2.0}))
