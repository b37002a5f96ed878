"""Each neighbour's loss, derived again in plain loops; what it reaches; where it is least."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import augspec
from equimod.baselines import (
    SEN,
    AugSelfConfig,
    CAREConfig,
    CassleConfig,
    ESSLConfig,
    Given,
    Neighbour,
    NeighbourOptions,
    Pair,
    SENConfig,
    SeqJEPAConfig,
    SIEConfig,
    STLConfig,
    given,
    vectors,
)
from equimod.baselines.care import orthogonal_equivariance, uniformity
from equimod.baselines.hyper import HyperLinear
from equimod.baselines.sen import moved_by
from equimod.redundancy import covariance_loss, variance_loss

N, F = 8, 6
SPEC = """\
version: 1
name: views
views:
  first: &view
    ops:
      - {op: resized_crop, size: 16, area: [0.4, 1.0]}
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}
      - {op: rotate90, quarters: [0, 1, 2, 3]}
      - {op: solarize, p: 0.5, threshold: [0.2, 0.8]}
      - {op: gaussian_blur, p: 0.5, kernel: 3, sigma: [0.1, 2.0]}
  second: *view
"""
VIEWS = ("first", "second")
PLAN = augspec.make_plan(augspec.loads(SPEC))
RELATIVE = given("relative", PLAN, VIEWS)
assert RELATIVE.relative is not None
LAYOUT = RELATIVE.relative
AUGSELF = given("augself", PLAN, VIEWS)
CODES = given("codes", PLAN, VIEWS)
TASKS = dict.fromkeys(("crop", "color", "flip", "blur", "rot", "sol"), 0.7)

CASES: dict[str, tuple[NeighbourOptions, Given, int]] = {
    "augself": (AugSelfConfig(hidden=5, **TASKS), AUGSELF, 0),
    "essl": (ESSLConfig(hidden=5), Given(()), 4),
    "care": (CAREConfig(hidden=5, dim=4, chunk=4, equivariance=0.3), Given(()), 2),
    "sie": (SIEConfig(hidden=6, dim=8), RELATIVE, 0),
    "sen": (SENConfig(hidden=5, points=3), RELATIVE, 0),
    "stl": (STLConfig(hidden=24, dim=4, code_dim=12), Given(()), 0),
    "stl of its own views": (STLConfig(hidden=24, dim=4, code_dim=12, views=VIEWS), Given(()), 2),
    "seq-jepa": (SeqJEPAConfig(hidden=5, width=3), CODES, 0),
}


def drawn(config: NeighbourOptions) -> tuple[Tensor, Tensor]:
    """What a neighbour reads of N draws, in float64."""
    pipeline = augspec.Pipeline(PLAN, seed=1)
    params = pipeline.decode(pipeline.draw(torch.arange(N), 0, (16, 16)), strict=None)
    images = torch.rand(N, 3, 16, 16)
    a, b = vectors(config.reads, pipeline, params, (16, 16), VIEWS, images)
    return a.double(), b.double()


def setting(case: str) -> tuple[Neighbour, Pair]:
    config, known, extra = CASES[case]
    torch.manual_seed(0)
    neighbour = config.build(F, known).double()
    h = [torch.randn(N, F, dtype=torch.float64, requires_grad=True) for _ in range(2 + extra)]
    images = torch.zeros(N, 3, 16, 16)
    return neighbour, Pair((images, images), (h[0], h[1]), drawn(config), tuple(h[2:]))


def unit(x: Tensor) -> Tensor:
    return x / x.norm()


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    rows = [unit(x) for x in (*a, *b)]
    total = torch.zeros((), dtype=torch.float64)
    for i, row in enumerate(rows):
        logits = [row @ other / temperature for j, other in enumerate(rows) if j != i]
        positive = row @ rows[(i + len(a)) % len(rows)] / temperature
        total += torch.stack(logits).logsumexp(0) - positive
    return total / len(rows)


def augself(neighbour: Any, pair: Pair) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    where = {"crop": [0, 1, 2, 3], "color": [4, 5, 6, 7], "flip": [8], "blur": [9]}
    where |= {"rot": [10], "sol": [11]}
    orders = [(*pair.features, pair.codes[0]), (*pair.features[::-1], pair.codes[1])]
    for task, columns in where.items():
        joint = torch.cat([torch.cat([a, b], 1) for a, b, _ in orders])
        wanted = torch.cat([d for *_, d in orders])[:, columns]
        predicted = neighbour.heads[task](joint)
        for p, d in zip(predicted, wanted, strict=True):
            if task == "flip":
                chance = 1 / (1 + (-p[0]).exp())
                one = -(chance if d[0] == 1 else 1 - chance).log()
            elif task == "rot":
                one = p.exp().sum().log() - p[int(d[0])]
            else:
                one = sum((p[k].tanh() - d[k]) ** 2 for k in range(len(columns))) / len(columns)
            total = total + 0.7 * one / (2 * N)
    return total


def essl(neighbour: Any, pair: Pair) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for turn, features in enumerate(pair.extra):
        for logits in neighbour.head(features):
            total += logits.exp().sum().log() - logits[turn]
    return total / (4 * N)


def care(neighbour: Any, pair: Pair) -> Tensor:
    z = neighbour.projector(torch.cat([*pair.features, *pair.extra])).chunk(4)
    z1, z2, s1, s2 = ([unit(x) for x in y] for y in z)
    turned = torch.zeros((), dtype=torch.float64)
    spread = torch.zeros((), dtype=torch.float64)
    for i in range(N):
        for j in range(N):
            if i != j and i // 4 == j // 4:
                turned += 2 * (s1[i] @ s1[j] - s2[i] @ s2[j]) ** 2 / N
        for own in (z1[i], z2[i]):
            others = [own @ o[j] / 0.5 for j in range(N) if j != i for o in (z1, z2)]
            spread += torch.stack(others).exp().sum().log() / (2 * N)
    return 0.3 * turned + spread


def sie(neighbour: Any, pair: Pair) -> Tensor:
    a, b = neighbour.projector(torch.cat([h[:, :3] for h in pair.features])).chunk(2)
    c, d = neighbour.equivariant_projector(torch.cat([h[:, 3:] for h in pair.features])).chunk(2)
    weight, constant = neighbour.predictor.weight, neighbour.predictor.constant
    moved = []
    for x, code in zip(c, pair.codes[0], strict=True):
        matrix = constant + sum(code[k] * weight[k] for k in range(len(code)))
        moved.append(matrix @ x)
    predicted = torch.stack(moved)
    loss = 10 * (a - b).square().mean() + 4.5 * (predicted - d).square().mean()
    for x in (torch.cat([a, c], 1), torch.cat([b, d], 1), predicted):
        loss = loss + 10 * hinge(x) / 2
    for x in (torch.cat([a, c], 1), torch.cat([b, d], 1)):
        centred = x - x.mean(0)
        for i in range(8):
            for j in range(8):
                if i != j:
                    loss = loss + ((centred[:, i] @ centred[:, j]) / (N - 1)) ** 2 / 8
    return loss


def hinge(x: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for column in x.T:
        deviation = ((column - column.mean()).square().sum() / (N - 1) + 1e-4).sqrt()
        total = total + (1 - deviation).clamp_min(0) / x.shape[1]
    return total


def sen(neighbour: Any, pair: Pair) -> Tensor:
    states, seen = neighbour.embed(torch.cat(pair.features)).view(2 * N, 3, 2).chunk(2)
    maps = augspec.element(pair.codes[0], LAYOUT)

    def energy(p: Tensor, q: Tensor) -> Tensor:
        apart = torch.stack([(p[k] - q[k]) @ (p[k] - q[k]) for k in range(3)])
        return apart.sum() / 3 / (2 * 0.25)

    total = torch.zeros((), dtype=torch.float64)
    for i in range(N):
        moved = torch.stack([maps[i, :2, :2] @ p + maps[i, :2, 2] for p in states[i]])
        total += energy(moved, seen[i]) / N
        for j in range(N):
            if j != i:
                far = (1 - energy(states[i], states[j])).clamp_min(0)
                total += far / (N * (N - 1))
    return total


def stl(neighbour: Any, pair: Pair) -> Tensor:
    h1, h2 = pair.extra or pair.features
    joint = torch.cat([torch.cat([h1, h2], 1), torch.cat([h2, h1], 1)])
    r = neighbour.read(joint)
    moved = []
    for own, back in ((h2, r[N:]), (h1, r[:N])):
        for i in range(N):
            code = back[i + 1 if i % 2 == 0 else i - 1]
            matrix = sum(code[k] * neighbour.move.weight[k] for k in range(12))
            moved.append(matrix @ own[i])
    seen, predicted = neighbour.projector(torch.cat([h1, h2, torch.stack(moved)])).chunk(2)
    even, odd = [i for i in range(2 * N) if i % 2 == 0], [i for i in range(2 * N) if i % 2]
    one, other = neighbour.code_projector(torch.cat([r[even], r[odd]])).chunk(2)
    return nt_xent(seen, predicted, 0.2) + 0.1 * nt_xent(one, other, 0.2)


def seq_jepa(neighbour: Any, pair: Pair) -> Tensor:
    (h1, h2), (c1, c2) = pair.features, pair.codes
    steps = neighbour.embed(torch.cat([c2 - c1, c1 - c2]))
    predicted = neighbour.predictor(torch.cat([torch.cat([h1, h2]), steps], 1))
    targets = torch.cat([h2, h1]).detach()
    each = [1 - unit(p) @ unit(t) for p, t in zip(predicted, targets, strict=True)]
    return torch.stack(each).sum() / (2 * N)


DERIVED: dict[str, Callable[[Any, Pair], Tensor]] = {
    "augself": augself,
    "essl": essl,
    "care": care,
    "sie": sie,
    "sen": sen,
    "stl": stl,
    "stl of its own views": stl,
    "seq-jepa": seq_jepa,
}


@pytest.mark.parametrize("case", CASES)
def test_the_loss_and_its_gradients_are_those_of_plain_loops(case: str) -> None:
    neighbour, pair = setting(case)
    inputs = [*pair.features, *pair.extra, *neighbour.parameters()]
    mine, theirs = neighbour(pair), DERIVED[case](neighbour, pair)
    assert mine is not None
    torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad(mine, inputs, allow_unused=True),
        torch.autograd.grad(theirs, inputs, allow_unused=True),
        strict=True,
    ):
        if a is None or b is None:
            assert a is b
        else:
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_gradients_reach_the_features_and_every_head(case: str) -> None:
    neighbour, pair = setting(case)
    loss = neighbour(pair)
    assert loss is not None
    loss.backward()
    for name, parameter in neighbour.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    read = pair.extra if case in ("essl", "stl of its own views") else pair.features + pair.extra
    assert all(h.grad is not None and h.grad.abs().max() > 0 for h in read)


@pytest.mark.parametrize("case", CASES)
def test_training_the_heads_lowers_the_loss(case: str) -> None:
    neighbour, pair = setting(case)
    optimizer = torch.optim.Adam([*neighbour.parameters(), *pair.features, *pair.extra], lr=3e-3)
    losses = []
    for _ in range(40):
        loss = neighbour(pair)
        assert loss is not None
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_cassle_shows_features_beside_an_embedding_of_their_views_parameters() -> None:
    known = given("cassle", augspec.make_plan(augspec.loads(SPEC)), VIEWS)
    config = CassleConfig(width=5, depth=2)
    cassle = config.build(F, known).double()
    torch.manual_seed(0)
    features = [torch.randn(N, F, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    codes = drawn(config)
    shown = cassle.shown(features, codes)
    embedded = cassle.embed(torch.cat(codes))
    for k, (view, h) in enumerate(zip(shown, features, strict=True)):
        assert view.shape == (N, config.shown_dim(F))
        assert torch.equal(view[:, :F], h)
        assert torch.equal(view[:, F:], embedded[k * N : (k + 1) * N])
    assert torch.cat(shown).std(0).min() > 0
    torch.cat(shown).square().sum().backward()
    assert all(p.grad is not None for p in cassle.parameters())


def test_care_is_least_where_one_orthogonal_map_turns_a_chunk() -> None:
    torch.manual_seed(0)
    a = torch.nn.functional.normalize(torch.randn(N, 5, dtype=torch.float64), dim=1)
    turns = [torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0] for _ in range(2)]
    b = torch.cat([a[:4] @ turns[0], a[4:] @ turns[1]])
    assert orthogonal_equivariance(a, b, 4) < 1e-20
    assert orthogonal_equivariance(a, b, 8) > 1e-3  # two maps are not one
    one = a[:1].expand(N, 5)
    assert orthogonal_equivariance(one, one, 4) == 0  # a collapse: uniformity is worst there
    assert uniformity(one, one, 0.5) > uniformity(a, b, 0.5) + 0.5
    assert uniformity(one, one, 0.5).item() == pytest.approx(2 + math.log(2 * N - 2))


def test_sie_punishes_collapse_and_repetition() -> None:
    torch.manual_seed(0)
    x = torch.randn(4096, 3, dtype=torch.float64) * 2
    assert variance_loss(x) == 0 and covariance_loss(x) < 0.2
    assert variance_loss(x[:1].expand(64, 3)).item() == pytest.approx(0.99)
    assert covariance_loss(x[:, :1].expand(-1, 3)) > 20


def test_sens_points_that_move_as_the_view_does_have_no_energy() -> None:
    neighbour, pair = setting("sen")
    assert isinstance(neighbour, SEN)
    maps = augspec.element(pair.codes[0], LAYOUT)
    points = torch.rand(N, 3, 2, dtype=torch.float64)
    there = moved_by(maps, points)
    back = moved_by(augspec.element(pair.codes[1], LAYOUT), there)
    torch.testing.assert_close(back, points, rtol=0, atol=1e-5)
    neighbour.hinge = 0.0  # the near part alone
    neighbour.embed = torch.nn.Sequential()
    h = (points.flatten(1), there.flatten(1))
    assert neighbour(Pair(pair.images, h, pair.codes)) < 1e-12
    assert neighbour(Pair(pair.images, h[::-1], pair.codes)) > 1e-2


def test_turning_crops_by_quarters() -> None:
    essl = ESSLConfig(hidden=4).build(F, Given(()))
    view = torch.arange(4.0).reshape(1, 1, 2, 2)
    turned = essl.encoded([view])
    assert [t.flatten().tolist() for t in turned] == [
        [0, 1, 2, 3],
        [1, 3, 0, 2],  # the right column has become the top row
        [3, 2, 1, 0],
        [2, 0, 3, 1],
    ]
    with pytest.raises(ValueError, match="must be square, not 2x3"):
        essl.encoded([torch.zeros(1, 3, 2, 3)])


def test_a_hyper_network_that_starts_at_identity_leaves_equal_views_alone() -> None:
    layer = HyperLinear(4, 3, start_at_identity=True)
    x = torch.randn(5, 4)
    assert torch.equal(layer(x, torch.zeros(5, 3)), x)
    assert not torch.allclose(layer(x, torch.ones(5, 3)), x, atol=0.1)
    assert HyperLinear(4, 3)(x, torch.zeros(5, 3)).abs().max() == 0


def test_what_does_not_fit_is_refused() -> None:
    flip_only = given("augself", PLAN, VIEWS).columns[:9]
    with pytest.raises(ValueError, match=r"nothing to predict for 'blur'.*crop, color, flip\)"):
        AugSelfConfig(blur=1.0).build(F, Given(flip_only))
    with pytest.raises(ValueError, match="all weights are 0"):
        AugSelfConfig(crop=0, color=0).build(F, AUGSELF)
    bare = augspec.make_plan(
        augspec.loads(
            "version: 1\nname: bare\nviews:\n  first: &view {ops: [{op: grayscale, p: 0.5}]}\n"
            "  second: *view"
        )
    )
    with pytest.raises(ValueError, match="have no geometric op"):
        SENConfig().build(F, given("relative", bare, VIEWS))
    for config, rows in ((CAREConfig(chunk=4), 6), (STLConfig(), 3)):
        neighbour = config.build(F, Given(()))
        h = torch.randn(rows, F)
        with pytest.raises(ValueError, match=f"but this process has {rows}"):
            neighbour(Pair((h, h), (h, h), (h, h), (h, h)))
