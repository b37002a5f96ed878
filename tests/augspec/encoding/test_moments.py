"""Exact moments of ops and combinators, against draws, for every op that the registry finds."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from augspec.encoding.codecs import Codec, Linear
from augspec.encoding.moments import Moments, together
from augspec.language.codes import Code
from augspec.language.document import loads_model
from augspec.ops import OPS
from augspec.ops.combinator import Combinator
from augspec.ops.contract import Incoming, Op

N = 20_000
UNKNOWN = {"resized_crop", "erase", "planckian", "repeat", "mix"}
"""Ops with columns whose exact moments nobody knows, whatever the fields."""

JITTER = {"op": "color_jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
CORNERS: tuple[dict[str, Any], ...] = (
    {**JITTER, "p": 0.8},
    {**JITTER, "hue": 0, "p": 0.5},
    {**JITTER, "order": ["hue", "contrast", "brightness", "saturation"], "p": 0.5},
    {**JITTER, "contrast": {"choice": [1, 1.5]}},
    {"op": "brightness", "factor": {"beta": {"alpha": 0.4, "beta": 0.6, "low": 0.5, "high": 2}}},
    {"op": "contrast", "factor": {"normal": {"mean": 1, "std": 0.3, "low": 0.2, "high": 2}}},
    {"op": "hue", "shift": {"linspace": [-0.5, 0.5, 11]}, "p": 0.6},
    {"op": "scale", "factor": {"log_uniform": [0.2, 3]}, "p": 0.7},
    {"op": "shear", "x": [-70, 80], "y": {"choice": [0, 10]}},
    {"op": "random_crop", "size": 8, "padding": 4},
    {"op": "jpeg", "quality": {"linspace": [10, 20, 3]}},
    {"op": "salt_and_pepper", "amount": [0, 0.2], "salt": {"linspace": [0, 1, 3]}},
    {
        "op": "some_of",
        "n": [1, 3],
        "ops": [{"op": "solarize", "p": 0.5}, {**JITTER, "p": 0.8}, {"op": "rotate"}],
    },
    {
        "op": "maybe",
        "p": 0.4,
        "ops": [
            {"op": "one_of", "weights": [1, 2, 0], "ops": [{"op": "hue"}, JITTER, JITTER]},
            {"op": "sequence", "ops": [{"op": "gamma", "p": 0.5}, {"op": "horizontal_flip"}]},
        ],
    },
)


def every_op() -> list[Op]:
    documents = [{"op": tag, **fields} for tag, c in OPS.items() for fields in ({}, *c.examples)]
    documents += CORNERS
    return [loads_model(OPS[d["op"]], json.dumps(d)) for d in documents]


def size_for(op: Op) -> tuple[int, int]:
    square = any(fault.code == Code.IMAGE_SIZE for fault in op.faults(Incoming((20, 24))))
    return (20, 20) if square else (20, 24)


def drawn(op: Op) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return op.draw(
        [torch.rand(N, s.count, generator=generator, dtype=torch.float64) for s in op.streams()],
        size_for(op),
    )


def errors(known: Moments, columns: Tensor) -> float:
    """By how many standard errors the draws are off, at most; columns that are not known aside."""
    off = []
    pairs = columns[:, :, None] * columns[:, None, :] if columns.shape[1] < 60 else columns.square()
    second = known.second if pairs.ndim == 3 else known.second.diagonal()
    for sample, exact in ((columns, known.mean), (pairs, second)):
        stderr = sample.std(dim=0) / N**0.5 + 1e-9 * (1 + exact.abs())
        off.append((((sample.mean(dim=0) - exact) / stderr).nan_to_num(0)).abs().max().item())
    return max(off)


@pytest.mark.parametrize(
    "op",
    [op for op in every_op() if op.parameters()],
    ids=lambda op: json.dumps(op.model_dump(mode="json", exclude_defaults=True))[:90],
)
def test_exact_moments_are_those_of_draws(op: Op) -> None:
    known, code = op.moments(size_for(op)), op.encode(drawn(op))
    assert known.mean.shape == code.shape[1:]
    assert known.second.shape == (code.shape[1], code.shape[1])
    # one in a million for each of a few hundred columns
    assert errors(known, code) < 5.5
    assert torch.equal(known.second.nan_to_num(0), known.second.mT.nan_to_num(0))


def test_almost_every_op_has_exact_moments_by_default() -> None:
    for tag, cls in OPS.items():
        op = cls()
        if tag in UNKNOWN or not op.parameters():
            continue
        assert not op.moments((24, 24)).second.isnan().any(), tag


def test_where_no_exact_value_is_known_nothing_is_claimed() -> None:
    for document in (
        {"op": "color_jitter", "brightness": {"choice": [0, 1]}, "hue": 0.1},
        {"op": "affine", "degrees": [-9, 9], "shear_x": [-20, 20], "shear_y": [-20, 20]},
        {"op": "motion_blur", "angle": [-180, 180]},
        {"op": "one_of", "ops": [{"op": "hue"}, {"op": "hue", "id": "again"}]},
        {"op": "repeat", "ops": [{"op": "hue", "p": 0.5}]},
    ):
        op = loads_model(OPS[str(document["op"])], json.dumps(document))
        assert op.moments((24, 24)).second.isnan().any(), document


def test_a_crop_of_an_unknown_image_has_no_exact_blur_in_front() -> None:
    assert OPS["gaussian_blur"]().moments(None).mean.isnan().all()


class _Double(Linear):
    """A codec that nobody uses, to see that it is used."""

    def encode(self, value: Tensor) -> Tensor:
        return 2 * super().encode(value)


def test_moments_of_a_parameter_in_another_codec() -> None:
    op = loads_model(OPS["color_jitter"], json.dumps({**JITTER, "p": 0.8}))
    plain, other = op.moments(), op.moments(codecs={"brightness": _Double(1.0), "hue": Linear()})
    assert other.mean.shape == (len(plain.mean) - 1,)
    assert other.second[0, 0].item() == pytest.approx(4 * plain.second[0, 0].item())
    # hue in turns, uniform in [-0.1, 0.1], on with p 0.8
    assert other.second[3, 3].item() == pytest.approx(0.8 * 0.01 / 3)
    assert other.second[3, 0].item() == pytest.approx(0)


class _Ids(Codec):
    """Which step comes k-th, less k."""

    columns = ("1", "2", "3", "4")

    def encode(self, value: Tensor) -> Tensor:
        from augspec.encoding.codecs import Order

        return (Order().permutation(value) - torch.arange(4)).double()

    def decode(self, code: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize("corner", CORNERS[:4], ids=str)
def test_moments_of_an_order_in_another_codec(corner: dict[str, Any]) -> None:
    op = loads_model(OPS["color_jitter"], json.dumps(corner))
    known = op.moments(codecs={"order": _Ids()})
    decoded = op.decode(op.encode(drawn(op)))
    parameters = {p.name: p.codec for p in op.parameters()} | {"order": _Ids()}
    columns = torch.cat([codec.encode(decoded[name]) for name, codec in parameters.items()], dim=1)
    assert errors(known, columns) < 5.5
    seen = not any(isinstance(v, dict) for v in corner.values())
    assert known.mean[-4:].isnan().any().item() is not seen


@pytest.mark.parametrize(
    ("document", "probability"),
    [
        ({"op": "horizontal_flip", "p": 0.3}, 0.3),
        ({**JITTER, "p": 0.8}, 0.8),
        ({"op": "color_jitter", "brightness": {"choice": [1, 2]}, "p": 0.5}, 0.25),
        ({"op": "rotate90", "p": 0.5}, 0.375),
        ({"op": "gaussian_blur", "p": 0.1}, 0.1),
        ({"op": "erase"}, None),
    ],
    ids=str,
)
def test_how_likely_an_op_acts(document: dict[str, Any], probability: float | None) -> None:
    op = loads_model(OPS[document["op"]], json.dumps(document))
    known = op.acting_probability((20, 20))
    if probability is None:
        assert known is None
        return
    assert known == pytest.approx(probability)
    acts = op.active(op.canonical(drawn(op))).double().mean().item()
    assert acts == pytest.approx(probability, abs=5.5 * 0.5 / N**0.5)


def test_what_never_acts_is_zero_even_if_it_is_not_known() -> None:
    nan = Moments(torch.tensor([torch.nan]).double(), torch.tensor([[torch.nan]]).double())
    one = Moments(torch.ones(1).double(), torch.ones(1, 1).double())
    known = together([nan, one], [0.0, 0.5], lambda k, m: 0.0)
    assert torch.equal(known.mean, torch.tensor([0.0, 0.5]).double())
    assert torch.equal(known.second, torch.tensor([[0.0, 0.0], [0.0, 0.5]]).double())


def test_combinators_without_a_mixture_say_so() -> None:
    assert OPS["mix"]().odds() is None  # type: ignore[attr-defined]
    assert issubclass(OPS["mix"], Combinator)
