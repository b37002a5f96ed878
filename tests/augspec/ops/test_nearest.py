"""The nearest possible parameters, where they bound one another."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.language.document import loads_model
from augspec.ops import OPS

BRANCHES = [{"op": "hue"}, {"op": "brightness"}, {"op": "grayscale"}]


@given(st.lists(st.floats(-2, 3), min_size=3, max_size=3), st.integers(0, 2**31))
def test_no_possible_weights_are_nearer(weights: list[float], seed: int) -> None:
    mix = loads_model(OPS["mix"], json.dumps({"op": "mix", "ops": BRANCHES}))
    params = mix.decode(torch.zeros(1, 8))
    own = torch.tensor(weights, dtype=torch.float64)
    params |= {f"weight_{k}": own[k - 1 : k] for k in (1, 2, 3)}
    found = mix.nearest(params)
    nearest = torch.cat([found[f"weight_{k}"] for k in (1, 2, 3)])
    assert (nearest >= 0).all() and nearest.sum() <= 1 + 1e-12
    raw = torch.rand(500, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    raw = -raw.log()
    others = (raw / raw.sum(dim=1, keepdim=True))[:, :3]  # uniform on what is possible
    others = torch.cat([others, torch.eye(3, dtype=torch.float64), torch.zeros_like(others[:1])])
    assert (own - nearest).norm() <= (own - others).norm(dim=1).min() + 1e-12


@given(st.floats(-2, 3), st.floats(-3, 1.5), st.sampled_from(["resized_crop", "erase"]))
def test_a_box_moves_no_further_than_it_must(centre: float, length: float, tag: str) -> None:
    """One that fits keeps its size; what was moved touches the edge that it had crossed."""
    params = {
        "center_y": torch.tensor([centre], dtype=torch.float64),
        "height": torch.tensor([length], dtype=torch.float64),
        "center_x": torch.full((1,), 0.5, dtype=torch.float64),
        "width": torch.ones(1, dtype=torch.float64),
    }
    found = OPS[tag]().nearest(params)
    y, h = found["center_y"].item(), found["height"].item()
    if 1e-5 <= length <= 1:
        assert h == length
    assert (1e-5 if tag == "resized_crop" else 0) <= h <= 1
    assert y - h / 2 >= -1e-12 and y + h / 2 <= 1 + 1e-12
    if y != centre:
        edge = y - h / 2 if centre < y else 1 - (y + h / 2)
        assert edge == pytest.approx(0, abs=1e-12)
