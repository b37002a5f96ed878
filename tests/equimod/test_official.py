"""`equimod: official` against the released heads and loss, written out in float64 number by number.

Nothing of the package is used for the expected values but the weights and the inputs.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

import augspec
from equimod import EquiModConfig
from equimod.code_columns import CodesConfig
from equimod.config import RunDocument

N, F, E, H, D = 5, 6, 15, 7, 4
TAU, EPS = 0.2, 1e-5


def linear(x: list[list[Tensor]], weight: Tensor) -> list[list[Tensor]]:
    return [
        [sum(w * v for w, v in zip(out, row, strict=True)) for out in weight.unbind()] for row in x
    ]


def norm(
    x: list[list[Tensor]], scale: Tensor | None = None, shift: Tensor | None = None
) -> list[list[Tensor]]:
    """Batch norm by the statistics of these rows, the biased variance as in training."""
    columns = []
    for j, column in enumerate(zip(*x, strict=True)):
        mean = sum(column) / len(column)
        variance = sum((v - mean) ** 2 for v in column) / len(column)
        made = [(v - mean) / (variance + EPS) ** 0.5 for v in column]
        if scale is not None and shift is not None:
            made = [v * scale[j] + shift[j] for v in made]
        columns.append(made)
    return [[*row] for row in zip(*columns, strict=True)]


def relu(x: list[list[Tensor]]) -> list[list[Tensor]]:
    return [[v if v.item() > 0 else 0 * v for v in row] for row in x]


def contrastive(targets: list[list[Tensor]], predictions: list[list[Tensor]]) -> Tensor:
    """NT-Xent of the 2M rows; a row's positive is the row M further on."""
    rows = targets + predictions
    lengths = [sum(v * v for v in row) ** 0.5 for row in rows]
    count, total = len(rows), torch.zeros((), dtype=torch.float64)
    for i in range(count):
        similarity = [
            sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
            / (lengths[i] * lengths[j] * TAU)
            for j in range(count)
        ]
        others = [similarity[j].exp() for j in range(count) if j != i]
        total = total + sum(others).log() - similarity[(i + count // 2) % count]
    return total / count


def released(weights: dict[str, Tensor], h: list[Tensor], codes: list[Tensor]) -> Tensor:
    """The loss of the released code from its weights."""
    x = [[*row.unbind()] for features in h for row in features]
    for layer in ("0", "3"):
        x = linear(x, weights[f"projector.{layer}.weight"])
        following = str(int(layer) + 1)
        scale, shift = (weights[f"projector.{following}.{k}"] for k in ("weight", "bias"))
        x = relu(norm(x, scale, shift))
    y = norm(linear(x, weights["projector.6.weight"]))
    y0, targets = y[:N], y[N:]
    c = [[*row.unbind()] for code in codes for row in code]
    c = [
        [(v - m) / s for v, m, s in zip(row, weights["shift"], weights["scale"], strict=True)]
        for row in c
    ]
    c = linear(c, weights["predictor.parameter_projector.0.weight"])
    names = [f"predictor.parameter_projector.1.{k}" for k in ("weight", "bias")]
    c = norm(c, *(weights[name] for name in names))
    joined = [a + b for a, b in zip([*y0, *y0], c, strict=True)]
    predictions = norm(linear(joined, weights["predictor.predictor.0.weight"]))
    return contrastive(targets, predictions)


def test_value_and_gradients_are_those_of_the_released_heads_and_loss() -> None:
    config = EquiModConfig.model_validate({"preset": "official", "hidden": H, "dim": D})
    torch.manual_seed(0)
    equimod = config.build(F, E).double()
    g = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    with torch.no_grad():
        for p in equimod.parameters():
            p += 0.3 * random(*p.shape)
    assert equimod.scaling is not None
    equimod.scaling.set(random(E), random(E).abs() + 0.5)
    h = [random(N, F).requires_grad_() for _ in range(3)]
    codes = [random(N, E) for _ in range(2)]
    weights = dict(equimod.named_parameters())
    ours = equimod(h[0], h[1:], codes).loss
    scales = {"shift": equimod.scaling.shift, "scale": equimod.scaling.scale}
    theirs = released({**weights, **scales}, h, codes)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    inputs = [*h, *weights.values()]
    found = torch.autograd.grad(ours, inputs)
    expected = torch.autograd.grad(theirs, inputs)
    names = ["h0", "h1", "h2", *weights]
    for name, mine, reference in zip(names, found, expected, strict=True):
        # the norm that follows takes an offset of the projected codes away
        still = name == "predictor.parameter_projector.1.bias"
        assert (reference.abs().max() < 1e-12) == still, name
        torch.testing.assert_close(mine, reference, rtol=1e-8, atol=1e-11)


def test_the_preset_is_the_published_setting_and_may_be_changed_field_by_field() -> None:
    config = EquiModConfig.model_validate("official")
    assert config == EquiModConfig(preset="official")
    assert config.model_dump(exclude={"codes", "preset"}) == EquiModConfig().model_dump(
        exclude={"codes", "preset"}
    )
    assert config.codes == CodesConfig(encoding="equimod", standardise="spec")
    assert (config.hidden, config.dim, config.temperature) == (2048, 128, 0.2)
    changed = EquiModConfig.model_validate(
        {"preset": "official", "weight": 0.5, "codes": {"ops": ["crop"]}}
    )
    assert changed.weight == 0.5
    assert changed.codes == CodesConfig(encoding="equimod", standardise="spec", ops=("crop",))
    # what a checkpoint or a record has of it reads as itself
    assert EquiModConfig.model_validate(json.loads(changed.model_dump_json())) == changed
    for wrong in ("offical", {"preset": "offical"}):
        with pytest.raises(ValueError, match=r"preset|EquiModConfig"):
            EquiModConfig.model_validate(wrong)


@pytest.mark.parametrize("written", ["official", "{preset: official, dim: 8}"])
def test_a_run_may_ask_for_it_in_one_word(written: str) -> None:
    text = (
        "version: 1\nname: t\naugmentations: a\ndata: {source: shapes}\nencoder: {name: small}\n"
        "method: {name: simclr}\ntraining: {epochs: 1, batch_size: 4, optimizer: {name: sgd}}\n"
    )
    document: Any = augspec.loads_model(RunDocument, f"{text}equimod: {written}\n")
    assert document.equimod.codes.encoding == "equimod"
    assert document.equimod.dim == (128 if written == "official" else 8)
