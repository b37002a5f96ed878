"""Optimisers: one step by hand, the groups, what is left out, and resuming."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from timm.optim import Lars
from torch import nn

from equimod.lars import LARS
from equimod.optim import AdamWConfig, LARSConfig, OptimizerConfig, SGDConfig, set_rate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2)
    ).double()


def loss(model: nn.Module, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return model(torch.randn(8, 3, 5, 5, generator=g, dtype=torch.float64)).pow(2).sum()


def test_lars_steps_are_those_of_the_formula() -> None:
    model = network()
    config = LARSConfig(lr=2.0, momentum=0.9, weight_decay=0.01, trust_coefficient=0.003)
    optimizer = config.build(model)
    expected = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    momenta = {name: np.zeros_like(w) for name, w in expected.items()}
    for step, lr in enumerate([2.0, 0.5, 1.0]):  # a rate that changes, as under a schedule
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        loss(model, seed=step).backward()
        for name, p in model.named_parameters():
            w, d, trust = expected[name], p.grad.numpy(), 1.0
            if w.ndim > 1:
                d = d + 0.01 * w
                trust = 0.003 * np.sqrt((w**2).sum()) / np.sqrt((d**2).sum())
            momenta[name] = 0.9 * momenta[name] + lr * trust * d
            expected[name] = w - momenta[name]
        optimizer.step()
        for name, p in model.named_parameters():
            np.testing.assert_allclose(p.detach().numpy(), expected[name], rtol=1e-12, atol=1e-14)


def test_lars_is_timms_where_neither_rate_nor_decay_tell_them_apart() -> None:
    ours, theirs = network(), network()
    weights = [[p for p in m.parameters() if p.ndim > 1] for m in (ours, theirs)]
    optimizers = [
        LARS(weights[0], lr=1.5, momentum=0.9),
        Lars(weights[1], lr=1.5, momentum=0.9, always_adapt=True, eps=0.0),
    ]
    for step in range(4):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            model.zero_grad()
            loss(model, seed=step).backward()
            optimizer.step()
    for a, b in zip(*weights, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=0)


def test_lars_takes_a_finite_step_where_a_norm_is_zero() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    still = nn.Parameter(torch.ones(2, 2))
    unused = nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([weight, still, unused], lr=0.1)
    (weight.sum() + 0 * still.sum()).backward()
    optimizer.step()
    assert torch.allclose(weight, torch.full((2, 2), -0.1))
    assert torch.equal(still, torch.ones(2, 2))
    assert torch.equal(unused, torch.ones(2, 2))


def test_lars_resumes_from_its_state() -> None:
    model = network()
    optimizer = LARSConfig().build(model)
    loss(model, seed=0).backward()
    optimizer.step()
    other = copy.deepcopy(model)
    resumed = LARSConfig().build(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for m, o in ((model, optimizer), (other, resumed)):
        m.zero_grad()
        loss(m, seed=1).backward()
        o.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("config", [LARSConfig(), SGDConfig(nesterov=True), AdamWConfig()])
def test_biases_and_norms_are_not_decayed_and_frozen_weights_left_out(
    config: LARSConfig | SGDConfig | AdamWConfig,
) -> None:
    model = nn.Sequential(network(), nn.Linear(2, 2).double())
    model[1].requires_grad_(False)
    decayed, undecayed = config.build(model).param_groups
    assert [p.ndim for p in decayed["params"]] == [4, 2]
    assert [p.ndim for p in undecayed["params"]] == [1, 1, 1]
    assert decayed["weight_decay"] == config.weight_decay
    assert undecayed["weight_decay"] == 0
    assert decayed["lr"] == undecayed["lr"] == config.lr


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_decay_where_they_are_told_to_as_torch_has_it(name: str) -> None:
    ours, theirs = network(), network()
    given = {"name": name, "lr": 0.1, "weight_decay": 0.2, "decay_biases": True}
    config = TypeAdapter(OptimizerConfig).validate_python(given)
    if name == "sgd":
        plain = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.2)
    else:
        plain = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.2)
    for model, optimizer in ((ours, config.build(ours)), (theirs, plain)):
        for step in range(3):
            optimizer.zero_grad()
            loss(model, seed=step).backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("config", [LARSConfig(), SGDConfig(decay_biases=True), AdamWConfig()])
def test_a_fixed_rate_stays_and_all_else_is_as_without(
    config: LARSConfig | SGDConfig | AdamWConfig,
) -> None:
    model, plain = network(), network()
    fixed, former = model[3], [*plain.parameters()][:-2]
    optimizers = config.build(model, fixed.parameters()), config.build(plain)
    for optimizer in optimizers:
        set_rate(optimizer, config.lr / 10)
    groups = optimizers[0].param_groups
    assert [group["lr"] for group in groups] == [config.lr / 10] * 2 + [config.lr] * 2
    assert [p for group in groups[2:] for p in group["params"]] == [*fixed.parameters()]
    decays = [group["weight_decay"] for group in groups]
    assert decays[:2] == decays[2:] == [g["weight_decay"] for g in optimizers[1].param_groups]
    for optimizer, net in zip(optimizers, (model, plain), strict=True):
        loss(net, seed=0).backward()
        optimizer.step()
    for a, b in zip(model.parameters(), former, strict=False):
        assert torch.equal(a, b)
    assert not torch.equal(fixed.weight, plain[3].weight)


def test_one_step_of_sgd_and_adamw_uses_the_configured_numbers() -> None:
    for config in (SGDConfig(lr=0.1, weight_decay=0.5), AdamWConfig(lr=0.1, weight_decay=0.5)):
        layer = nn.Linear(1, 1).double()
        nn.init.constant_(layer.weight, 2.0)
        optimizer = config.build(layer)
        layer(torch.ones(1, 1, dtype=torch.float64)).sum().backward()
        optimizer.step()
        expected = 2 - 0.1 * (1 + 0.5 * 2) if config.name == "sgd" else 2 * (1 - 0.05) - 0.1
        assert layer.weight.item() == pytest.approx(expected, abs=1e-7)


def test_a_module_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="ReLU has no trainable parameter"):
        SGDConfig().build(nn.ReLU())


def test_the_name_chooses_the_optimiser_and_its_fields() -> None:
    adapter: TypeAdapter[OptimizerConfig] = TypeAdapter(OptimizerConfig)
    chosen = adapter.validate_python({"name": "lars", "lr": 2.0})
    assert chosen == LARSConfig(lr=2.0)
    with pytest.raises(ValidationError, match="nesterov"):
        adapter.validate_python({"name": "adamw", "nesterov": True})
    with pytest.raises(ValidationError, match="'lars', 'sgd', 'adamw'"):
        adapter.validate_python({"name": "lamb"})
