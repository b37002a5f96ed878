"""Invariance methods: their losses, target network, place among parameters, and heads."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from equimod.encoders import Encoder
from equimod.losses import byol_loss, nt_xent
from equimod.ssl import (
    BYOL,
    BarlowTwinsConfig,
    BYOLConfig,
    DINOConfig,
    Method,
    MethodConfig,
    MoCoV3Config,
    SimCLR,
    SimCLRConfig,
    SimSiamConfig,
    VICRegConfig,
)
from equimod.ssl.target import momentum


def encoder() -> Encoder:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 8, 3, stride=2)
    network = nn.Sequential(
        convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return Encoder(network, 8)


def views(n: int = 16, seed: int = 0) -> list[Tensor]:
    """Two noisy renderings of images that differ in colour."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, 1, 1, generator=g).expand(n, 3, 8, 8)
    return [x + 0.1 * torch.randn(x.shape, generator=g) for _ in range(2)]


class Learner(nn.Module):
    """Encoder and method in one module, as a trainer holds them."""

    def __init__(self, config: MethodConfig) -> None:
        super().__init__()
        self.encoder = encoder()
        self.method: Method = config.build(self.encoder)

    def forward(self, images: list[Tensor]) -> Tensor:
        loss: Tensor = self.method(images, [self.encoder(x) for x in images])
        return loss


CONFIGS = [
    SimCLRConfig(temperature=0.2, hidden=32, dim=16),
    BYOLConfig(hidden=32, dim=16, ema_start=0.9),
    BarlowTwinsConfig(hidden=32, dim=16, scale=1.0),
    VICRegConfig(hidden=32, dim=16),
    SimSiamConfig(dim=32, hidden=8),
    MoCoV3Config(hidden=32, dim=16, ema_start=0.9),
    DINOConfig(hidden=32, bottleneck=8, prototypes=24, ema_start=0.9, freeze=0),
]


# DINO's loss first rises, while its centre settles
@pytest.mark.parametrize("config", [c for c in CONFIGS if c.name != "dino"], ids=lambda c: c.name)
def test_training_lowers_the_loss(config: MethodConfig) -> None:
    learner = Learner(config)
    optimizer = torch.optim.Adam([p for p in learner.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for step in range(30):
        loss = learner(views(seed=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        learner.method.after_step((step + 1) / 30)
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_the_online_encoder_is_registered_once_and_all_trainable_parameters_get_gradients(
    config: MethodConfig,
) -> None:
    learner = Learner(config)
    of_encoder = {id(p) for p in learner.encoder.parameters()}
    assert of_encoder.isdisjoint(id(p) for p in learner.method.parameters())
    weights = len(learner.encoder.state_dict()) + len(learner.method.state_dict())
    assert weights == len(learner.state_dict())
    learner(views()).backward()
    for name, p in learner.named_parameters():
        assert (p.grad is not None) is p.requires_grad, name
        assert p.requires_grad is not name.startswith("method.target."), name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_a_restored_learner_goes_on_as_the_original(config: MethodConfig) -> None:
    original = Learner(config)
    for step in range(2):
        original(views(seed=step)).backward()
        with torch.no_grad():
            for p in original.parameters():
                if p.grad is not None:
                    p -= 0.1 * p.grad
                    p.grad = None
        original.method.after_step(0.2)
    restored = Learner(config)
    restored.load_state_dict(original.state_dict())
    assert torch.equal(original(views(seed=9)), restored(views(seed=9)))
    for learner in (original, restored):
        learner.method.after_step(0.5)
    for a, b in zip(original.parameters(), restored.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_deep_copied_learner_averages_its_own_encoder() -> None:
    original = Learner(BYOLConfig(hidden=8, dim=4, ema_start=0.0, ema_end=0.0))
    twin = copy.deepcopy(original)
    with torch.no_grad():
        for p in twin.encoder.parameters():
            p.fill_(0.25)
    twin.method.after_step(0.5)
    assert isinstance(twin.method, BYOL)
    averaged = twin.method.target.encoder.parameters()
    assert all(bool((p == 0.25).all()) for p in averaged)


def test_simclrs_loss_is_nt_xent_of_the_jointly_projected_features() -> None:
    torch.manual_seed(0)
    method = SimCLR(8, temperature=0.3, hidden=16, dim=4)
    features = [torch.randn(6, 8), torch.randn(6, 8)]
    z = method.projector(torch.cat(features))
    expected = nt_xent(z[:6], z[6:], 0.3)
    assert method([], features).item() == pytest.approx(expected.item(), abs=1e-6)


def test_byols_loss_predicts_each_views_target_from_the_other() -> None:
    net = encoder()
    method = BYOL(net, 8, hidden=16, dim=4).eval()
    net.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in method.target.parameters():  # away from the online network
            p.add_(0.1 * torch.randn(p.shape))
    images = [views(5, seed=0)[0], views(5, seed=1)[0]]  # unlike, so that the crossing shows
    q = [method.predictor(method.projector(net(x))) for x in images]
    z = [method.target.projector(method.target.encoder(x)) for x in images]
    expected = byol_loss(q[0], z[1]) + byol_loss(q[1], z[0])
    loss = method(images, [net(x) for x in images])
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    same_view = byol_loss(q[0], z[0]) + byol_loss(q[1], z[1])
    assert abs(same_view.item() - expected.item()) > 1e-3


def test_the_target_starts_as_the_online_network_and_follows_its_moving_average() -> None:
    net = encoder()
    method = BYOL(net, 8, hidden=16, dim=4, ema_start=0.9, ema_end=1.0)
    online = [*net.parameters(), *method.projector.parameters()]
    target = list(method.target.parameters())
    for a, b in zip(online, target, strict=True):
        assert torch.equal(a, b)
        assert a is not b
    before = [p.clone() for p in target]
    with torch.no_grad():
        for p in online:
            p.add_(1.0)
    method.after_step(0.0)
    for a, b in zip(before, target, strict=True):
        assert torch.allclose(b, a + 0.1, atol=1e-6)
    after = [p.clone() for p in target]
    method.after_step(1.0)
    assert all(torch.equal(a, b) for a, b in zip(after, target, strict=True))


def test_the_targets_batch_norms_track_their_own_statistics() -> None:
    learner = Learner(BYOLConfig(hidden=8, dim=4, ema_start=1.0))
    method = learner.method
    assert isinstance(method, BYOL)
    with torch.no_grad():
        next(learner.encoder.parameters()).mul_(3)  # the online network moves, the target does not
    images = views()
    learner(images)
    method.after_step(0.0)
    frozen = method.target.encoder.network
    with torch.no_grad():
        activations = frozen[0](torch.cat(images))
    expected = 0.1 * activations.mean((0, 2, 3))
    assert torch.allclose(frozen[1].running_mean, expected, atol=1e-5)
    assert not torch.allclose(frozen[1].running_mean, learner.encoder.network[1].running_mean)


def test_the_momentum_follows_byols_cosine() -> None:
    assert momentum(0.0, 0.996, 1.0) == pytest.approx(0.996)
    assert momentum(0.5, 0.996, 1.0) == pytest.approx(0.998)
    assert momentum(1.0, 0.996, 1.0) == pytest.approx(1.0)
    # the paper's form, with its end at 1
    for k in range(11):
        paper = 1 - (1 - 0.99) * (math.cos(math.pi * k / 10) + 1) / 2
        assert momentum(k / 10, 0.99, 1.0) == pytest.approx(paper, abs=1e-12)


def test_the_heads_have_the_published_widths() -> None:
    net = encoder()
    byol = BYOLConfig().build(net)
    assert [p.shape for p in byol.projector.parameters() if p.ndim > 1] == [(4096, 8), (256, 4096)]
    assert [p.shape for p in byol.predictor.parameters() if p.ndim > 1] == [
        (4096, 256),
        (256, 4096),
    ]
    simclr = SimCLRConfig().build(net)
    assert [p.shape for p in simclr.projector.parameters() if p.ndim > 1] == [
        (2048, 8),
        (2048, 2048),
        (128, 2048),
    ]


@pytest.mark.parametrize("config", [c for c in CONFIGS if not c.takes_crops], ids=lambda c: c.name)
def test_other_than_two_views_are_refused(config: MethodConfig) -> None:
    learner = Learner(config)
    with pytest.raises(ValueError, match="compares 2 views, but got features of 3"):
        learner([*views(), views()[0]])


def test_the_name_chooses_the_method() -> None:
    adapter: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
    assert adapter.validate_python({"name": "byol", "ema_start": 0.99}) == BYOLConfig(
        ema_start=0.99
    )
    assert isinstance(adapter.validate_python({"name": "simclr"}), SimCLRConfig)
    with pytest.raises(ValidationError, match="'simclr', 'byol'"):
        adapter.validate_python({"name": "moco"})
    with pytest.raises(ValidationError, match="ema_start"):
        adapter.validate_python({"name": "byol", "ema_start": 1.5})
