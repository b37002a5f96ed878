"""What ops keep: found once, never another's, and no part of what they are."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from augspec.ops import OPS
from augspec.ops.contract import Op, Size
from augspec.ops.horizontal_flip import HorizontalFlip
from augspec.ops.parameter import Parameter


def op(tag: str, **fields: object) -> Op:
    return OPS[tag].model_validate({"op": tag, **fields})


def test_parameters_and_streams_are_found_once_for_each_size() -> None:
    blur = op("gaussian_blur", sigma=[0.5, 1.0])
    assert blur.parameters() is blur.parameters()
    assert blur.streams() is blur.streams()
    assert blur.parameters((10, 20)) is blur.parameters((10, 20))
    assert [blur.parameters((side, 90))[0].high for side in (10, 20)] == [0.1, 0.05]
    assert blur.parameters()[0].high is None


@pytest.mark.parametrize("tag", sorted(OPS))
def test_what_is_kept_is_no_part_of_an_op(tag: str) -> None:
    for fields in ({}, *OPS[tag].examples):
        asked, fresh = op(tag, **fields), op(tag, **fields)
        asked.parameters()
        asked.parameters((32, 48))
        asked.streams()
        assert asked == fresh and hash(asked) == hash(fresh)
        assert asked.model_dump() == fresh.model_dump()
        assert repr(asked) == repr(fresh)
        # pickled, it is as new: functions among what is kept could not be
        again = pickle.loads(pickle.dumps(asked))
        assert again == asked
        assert set(vars(again)) <= set(OPS[tag].model_fields)
        assert again.parameters((32, 48)) == asked.parameters((32, 48))


class Renamed(HorizontalFlip):
    """A flip whose parameter is called otherwise; it asks its parent."""

    def parameters(self, size: Size | None = None) -> tuple[Parameter, ...]:
        (flip,) = super().parameters(size)
        return (replace(flip, name="turned"),)


def test_a_subclass_may_ask_its_parent() -> None:
    renamed = Renamed()
    for _ in range(2):
        assert [p.name for p in renamed.parameters()] == ["turned"]
        assert [p.name for p in HorizontalFlip.parameters(renamed)] == ["flip"]
