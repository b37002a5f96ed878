"""The kernels for CPUs against the reference kernels, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augspec.kernels import blur, colour
from augspec.kernels.channels import gain
from augspec.kernels.opcodes import Filter, Opcode
from augspec.kernels.resample import axis_weights
from augspec.native.chain import PIECE, chained
from augspec.native.taps import count_taps, find_taps

MODES = {"nearest": Filter.NEAREST, "bilinear": Filter.BILINEAR, "bicubic": Filter.BICUBIC}


def dense_weights(
    mode: str, antialias: bool, low: float, high: float, side: int, out: int
) -> torch.Tensor:
    """The matrix whose rows the taps are, `(out, side)`."""
    taps = count_taps(MODES[mode], antialias, high - low, side, out)
    start, weights = np.empty(out, np.int32), np.empty((taps, out), np.float32)
    find_taps(MODES[mode], antialias, low, high, side, out, 0, 0, start, weights)
    dense = np.zeros((out, side))
    for k, place in itertools.product(range(taps), range(out)):
        dense[place, start[place] + k] += weights[k, place]
    return torch.from_numpy(dense)


@given(st.data())
def test_the_taps_are_the_rows_of_the_weight_matrices(data: st.DataObject) -> None:
    side = data.draw(st.integers(1, 40))
    out = data.draw(st.integers(1, 40))
    whole = data.draw(st.booleans())
    edges = st.integers(0, side) if whole else st.floats(0, side)
    low, high = sorted(float(data.draw(edges)) for _ in range(2))
    if high - low < 0.05:
        low, high = max(high - 1.0, 0.0), min(max(high - 1.0, 0.0) + 1.0, side)
    mode = data.draw(st.sampled_from(sorted(MODES)))
    antialias = data.draw(st.booleans())
    box = torch.tensor([low]).double(), torch.tensor([high]).double()
    expected = axis_weights(*box, side, out, mode, antialias)[0]
    found = dense_weights(mode, antialias, low, high, side, out)
    torch.testing.assert_close(found, expected, atol=5e-7, rtol=0)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_no_number_makes_an_index_out_of_bounds(mode: str) -> None:
    strange = [float("nan"), float("inf"), -float("inf"), -1e9, 1e9, 3.0]
    for low, high in itertools.product(strange, repeat=2):
        taps = count_taps(MODES[mode], False, high - low, 7, 5)
        for antialias in (False, True):
            taps = count_taps(MODES[mode], antialias, high - low, 7, 5)
            assert 1 <= taps <= 7
            start, weights = np.empty(5, np.int32), np.empty((taps, 5), np.float32)
            find_taps(MODES[mode], antialias, low, high, 7, 5, 0, 0, start, weights)
            assert (start >= 0).all() and (start + taps <= 7).all()


def test_a_window_is_a_part_of_what_is_resampled_and_black_around_it() -> None:
    taps = count_taps(Filter.BICUBIC, True, 9.0, 12, 20)
    start, weights = np.empty(20, np.int32), np.empty((taps, 20), np.float32)
    find_taps(Filter.BICUBIC, True, 2.0, 11.0, 12, 20, 0, 0, start, weights)
    part, some = np.empty(8, np.int32), np.empty((taps, 8), np.float32)
    find_taps(Filter.BICUBIC, True, 2.0, 11.0, 12, 20, 15, 0, part, some)
    assert (part[:5] == start[15:]).all() and (some[:, :5] == weights[:, 15:]).all()
    assert (some[:, 5:] == 0).all()
    find_taps(Filter.BICUBIC, True, 2.0, 11.0, 12, 20, 15, 1, part, some)
    assert (part[:2:-1] == start[15:]).all() and (some[:, :3] == 0).all()


def run_chain(
    x: torch.Tensor, codes: list[int], arguments: list[tuple[float, float]]
) -> torch.Tensor:
    """One image `(C, H, W)` through a chain."""
    channels, height, width = x.shape
    image, out = x.numpy().reshape(-1).copy(), np.empty(x.numel(), np.float32)
    chained(
        image, height, width, channels,
        np.array(codes, np.int32), np.array(arguments, np.float32).reshape(-1, 2),
        np.zeros(channels, np.float32), np.ones(channels, np.float32),
        out, 0, np.array([height * width, width, 1]),
        np.empty(height * width + 3 * width, np.float32),
    )  # fmt: skip
    return torch.from_numpy(out).reshape(x.shape)


def reference(x: torch.Tensor, code: int, first: float, second: float) -> torch.Tensor:
    """One step, by the reference kernels."""
    batch, one = x[None], torch.tensor([first])
    steps = {
        Opcode.NOTHING: lambda: batch,
        Opcode.BRIGHTNESS: lambda: colour.brightness(batch, one),
        Opcode.CONTRAST: lambda: colour.contrast(batch, one),
        Opcode.SATURATION: lambda: colour.saturation(batch, one),
        Opcode.HUE: lambda: colour.hue(batch, one),
        Opcode.GRAYSCALE: lambda: colour.grayscale(batch),
        Opcode.SOLARIZE: lambda: colour.solarize(batch, one),
        Opcode.INVERT: lambda: 1 - batch,
        Opcode.GAIN: lambda: gain(batch, one, torch.tensor([second])),
        Opcode.GAUSSIAN_BLUR: lambda: blur.gaussian_blur(batch, one, int(second)),
    }
    return steps[Opcode(code)]()[0]


ARGUMENTS = {Opcode.HUE: (0.3, 0.0), Opcode.GAIN: (1.3, 0.6), Opcode.GAUSSIAN_BLUR: (1.4, 9.0)}
SHAPES = [(3, 16, 16), (1, 16, 21), (3, 49, 83)]
assert PIECE < 49 * 83  # so that an image of several pieces, the last a smaller one, is among them


def picture(channels: int, height: int, width: int) -> torch.Tensor:
    """Noise, with some equal channels, black, white and values outside [0, 1], as bicubic gives."""
    x = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(3))
    x = x * 1.2 - 0.1
    x[:, 2:5] = x[:1, 2:5]
    x[:, 6], x[:, 7] = 0.0, 1.0
    return x


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("code", list(Opcode))
def test_each_step_is_the_reference_kernels(code: Opcode, shape: tuple[int, int, int]) -> None:
    x = picture(*shape)
    arguments = ARGUMENTS.get(code, (0.7, 0.0))
    expected = reference(x, code, *arguments)
    torch.testing.assert_close(run_chain(x, [code], [arguments]), expected, atol=2e-6, rtol=0)
    if shape[0] == 3 and code is not Opcode.NOTHING:
        assert (expected - x).abs().max() > 0.01


@given(st.lists(st.sampled_from(list(Opcode)), max_size=7), st.sampled_from(SHAPES))
def test_chains_are_their_steps_one_after_the_other(
    codes: list[Opcode], shape: tuple[int, int, int]
) -> None:
    # a threshold turns rounding into a jump: solarize is tested by itself
    codes = [code for code in codes if code is not Opcode.SOLARIZE]
    x = expected = picture(*shape)
    arguments = [ARGUMENTS.get(code, (0.7, 0.0)) for code in codes]
    for code, (first, second) in zip(codes, arguments, strict=True):
        expected = reference(expected, code, first, second)
    found = run_chain(x, list(codes), arguments)
    # where channels are nearly equal, rounding may turn the hue of a pixel that has little of it
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
