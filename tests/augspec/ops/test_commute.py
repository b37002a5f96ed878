"""Which ops commute: what is said of every pair, seen in pixels."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor

from augspec.language.document import loads_model
from augspec.language.values import Value
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.commute import Clashes, keeps, rule
from augspec.ops.contract import Op, Parameters
from augspec.ops.effect import Keeps

B = 6
SIZE = (18, 18)  # no multiple of 16, where JPEG's blocks would be turned along with a flip


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """On images this small, threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def kinds() -> list[Op]:
    """Each op that can stand in a random order, once for each way in which it may act."""
    found: dict[str, Op] = {}
    for tag, cls in OPS.items():
        for fields in ({}, *cls.examples):
            op = loads_model(cls, json.dumps({"op": tag, **fields}))
            if isinstance(op, Combinator) or not (op.keeps_size and op.parameters() and op.can_act):
                continue
            how = {
                f: getattr(op, f) for f in type(op).model_fields if f not in ("p", "id", "share")
            }
            key = [tag, *(f"{f}={v}" for f, v in how.items() if not isinstance(v, Value))]
            found.setdefault(str(key), op if op.gate == 1 else op.model_copy(update={"p": 1.0}))
    return list(found.values())


def make(tag: str, **fields: object) -> Op:
    return loads_model(OPS[tag], json.dumps({"op": tag, **fields}))


def draw(op: Op, seed: int, batch: int = B) -> dict[str, Tensor]:
    """What a pipeline renders: the decoded float32 code of a draw."""
    generator = torch.Generator().manual_seed(seed)
    uniforms = [
        torch.rand(batch, stream.count, generator=generator, dtype=torch.float64)
        for stream in op.streams()
    ]
    raw = op.canonical(op.draw(uniforms, SIZE))
    return {**op.decode(op.encode(raw).float()), **{name: raw[name] for name in op.seeds}}


@cache
def images() -> Tensor:
    """Noise; half of it well beyond [0, 1] on both sides, as after a bicubic crop, but more."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(B, 3, *SIZE, generator=generator, dtype=torch.float64)
    return torch.cat([noise[::2], noise[1::2] * 2.5 - 0.6])


def said(a: Op, b: Op, own: Parameters, its: Parameters) -> Tensor:
    """Which samples commute, as `rule` says."""
    found, turned = rule(a, b)
    if isinstance(found, bool):
        return torch.full((B,), found)
    first, second = ((b, its), (a, own)) if turned else ((a, own), (b, its))
    if isinstance(found, Keeps):
        kept = [keeps(*second, value) for value in found.values]
        return torch.stack(kept).all(dim=0)
    return found(first[1], second[1])


def apart(a: Op, b: Op, own: Parameters, its: Parameters) -> Tensor:
    """How far the views of both orders are apart, `(B,)`."""
    x = images()
    one, other = b.apply(a.apply(x, own), its), a.apply(b.apply(x, its), own)
    return (one - other).abs().flatten(1).amax(dim=1)


KINDS = kinds()
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))


def label(op: Op) -> str:
    return json.dumps(op.model_dump(mode="json", exclude_defaults=True))


def test_what_is_said_to_commute_does() -> None:
    """Sound: the order of two ops that commute cannot be seen in any pixel."""
    checked = 0
    for a, b in PAIRS:
        if rule(a, b)[0] is False:
            continue
        own, its = draw(a, 1), draw(b, 2)
        commutes = said(a, b, own, its)
        wrong = commutes & (apart(a, b, own, its) > 1e-6)
        assert not wrong.any(), (label(a), label(b), own, its, wrong)
        checked += int((commutes & a.active(own) & b.active(its)).sum())
    assert checked > 2000


# of `nearest` maps: which of two equally near pixels is picked is not turned along, which shows
# in few images, and of two shears the same way, none brings back what the other pushed out
RARE = {
    ("rotate", "rotate90"),
    ("rotate90", "scale"),
    ("rotate90", "shear"),
    ("affine", "rotate90"),
}
RARE |= {("shear", "shear")}


def test_what_is_said_not_to_commute_does_not() -> None:
    """Complete: where no draw of two ops shows their order, they are said to commute."""
    for a, b in PAIRS:
        if rule(a, b)[0] is False and (a.tag(), b.tag()) not in RARE:
            assert any(can_be_seen(a, b, seed) for seed in range(1, 30, 2)), (label(a), label(b))


def can_be_seen(a: Op, b: Op, seed: int) -> bool:
    """Whether a few draws of two ops show which came first."""
    own, its = draw(a, seed), draw(b, seed + 1)
    if a == b and same(own, its).all():
        return True  # nothing tells one from the other
    both = a.active(own) & b.active(its)
    return bool((both & (apart(a, b, own, its) > 1e-7)).any())


def same(own: Parameters, its: Parameters) -> Tensor:
    """Whether two draws of one op are alike: then there is no order to be seen."""
    return torch.stack([own[name] == its[name] for name in own]).all(dim=0)


def clash(a: Op, b: Op, own: Parameters, its: Parameters) -> Tensor:
    params = {f"a.{k}": v for k, v in own.items()} | {f"b.{k}": v for k, v in its.items()}
    return Clashes([("a.", a), ("b.", b)])(params)[:, 0, 1]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            make("one_of", ops=[{"op": "horizontal_flip"}, {"op": "translate"}]),
            make("vertical_flip"),
        ),
        (
            make("sequence", ops=[{"op": "gamma", "p": 0.5}, {"op": "erase", "p": 0.5}]),
            make("some_of", n=1, ops=[{"op": "grayscale"}, {"op": "vertical_flip"}]),
        ),
        (
            make("repeat", times=[0, 2], ops=[{"op": "erase", "fill": 0.5, "p": 0.5}]),
            make("one_of", ops=[{"op": "invert"}, {"op": "grayscale"}, {"op": "posterize"}]),
        ),
        (
            make("mix", ops=[{"op": "gaussian_blur"}, {"op": "solarize", "p": 0.5}]),
            make("one_of", ops=[{"op": "horizontal_flip"}, {"op": "gamma"}, {"op": "grayscale"}]),
        ),
        (
            make("mix", ops=[{"op": "gaussian_blur"}]),
            make("mix", ops=[{"op": "horizontal_flip"}, {"op": "box_blur", "p": 0.5}]),
        ),
        (
            make("mix", ops=[{"op": "horizontal_flip", "p": 0.5}, {"op": "gaussian_blur"}]),
            make("one_of", ops=[{"op": "brightness"}, {"op": "grayscale"}]),
        ),
    ],
    ids=lambda op: op.tag(),
)
def test_combinators_commute_where_all_that_acts_inside_does(a: Op, b: Op) -> None:
    clashes = idle = 0
    for seed in range(12):
        own, its = draw(a, seed), draw(b, seed + 100)
        found, both = clash(a, b, own, its), a.active(own) & b.active(its)
        assert not (found & ~both).any()
        assert (apart(a, b, own, its)[~found] < 1e-6).all()
        clashes, idle = clashes + int(found.sum()), idle + int((both & ~found).sum())
    assert idle > 5, "nothing that commutes was drawn"
    assert clashes > 0 or a.tag() == b.tag() == "mix"


def test_a_mean_of_images_does_not_commute_with_what_is_no_mean() -> None:
    """A flip and a power commute; the mean of an image and its mirror, and a power, do not."""
    mix, gamma = make("mix", strength=0.5, ops=[{"op": "horizontal_flip"}]), make("gamma", gamma=2)
    own, its = draw(mix, 0), draw(gamma, 0)
    assert clash(mix, gamma, own, its).all()
    assert (apart(mix, gamma, own, its) > 1e-3).all()
    gray = make("grayscale")
    assert not clash(mix, gray, own, draw(gray, 0)).any()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # the constant that an op paints stays, or not
        (make("erase"), make("grayscale"), True),
        (make("erase", fill=0.5), make("grayscale"), False),
        (make("erase", fill=0.25), make("solarize", threshold=0.6), True),
        (make("erase", fill=0.25), make("solarize", threshold=0.2), False),
        (make("rotate", interpolation="nearest"), make("saturation"), True),
        (make("rotate"), make("saturation"), False),
        (make("rotate"), make("grayscale"), True),
        (make("channel_drop", fill=1.0), make("gamma"), True),
        (make("channel_drop", fill=0.5), make("gamma"), False),
        # a shift across a flip's axis, and along it
        (make("translate", x=0, y=0.2), make("horizontal_flip"), True),
        (make("translate", x=0.2, y=0), make("horizontal_flip"), False),
        (make("translate", x=0.2, y=0, interpolation="nearest"), make("vertical_flip"), True),
        (make("translate", x=0.2, y=0), make("translate", x=0, y=0.1), True),
        (make("translate", x=0.2, y=0), make("translate", x=0.1, y=0), False),
        (make("translate", x=0.2, y=0, fill=1), make("translate", x=0, y=0.1, fill=1), False),
        (make("rotate90", quarters=[2]), make("horizontal_flip"), True),
        (make("rotate90", quarters=[1]), make("horizontal_flip"), False),
        (make("rotate90", quarters=[1]), make("rotate", degrees=20), True),
        (make("motion_blur", angle=0), make("vertical_flip"), True),
        (make("motion_blur", angle=0), make("horizontal_flip"), False),
        (make("motion_blur", angle=90, direction=0), make("vertical_flip"), True),
        # what only grows is clamped once or twice
        (make("brightness", factor=[1.2, 1.2]), make("brightness", factor=[1.5, 1.5]), True),
        (make("brightness", factor=[0.8, 0.8]), make("brightness", factor=[1.5, 1.5]), False),
        (make("gamma", gamma=0.6), make("gamma", gamma=1.7), True),
    ],
    ids=lambda value: value if isinstance(value, bool) else label(value),
)
def test_what_is_drawn_decides(a: Op, b: Op, expected: bool) -> None:
    own, its = draw(a, 3), draw(b, 4)
    assert (said(a, b, own, its) == expected).all()
    assert (said(b, a, its, own) == expected).all()
    views = apart(a, b, own, its)
    assert (views < 1e-6).all() if expected else (views > 1e-6).all()


@pytest.mark.parametrize(("tag", "expected"), [("grayscale", True), ("solarize", False)])
def test_an_op_that_can_do_one_thing_only_commutes_with_its_like(tag: str, expected: bool) -> None:
    assert (rule(make(tag, p=0.5), make(tag, p=0.9))[0] is True) is expected
