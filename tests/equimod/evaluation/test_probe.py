"""The probe on encoders of which it is known what they keep."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

import augspec
from equimod.evaluation.probe import ProbeConfig, ProbeResult, probe
from equimod.evaluation.rendered import RetrievalConfig

SPEC = """
version: 1
name: test
image: {size: 16}
views:
  original: {ops: []}
  first: &view
    ops:
      - {op: horizontal_flip, p: 0.5}
      - {op: color_jitter, p: 1.0, brightness: 0.5, contrast: 0.0, saturation: 0.8, hue: 0.3}
  second: *view
"""
CONFIG = ProbeConfig(
    images=192,
    renderings=2,
    steps=60,
    batch_size=64,
    hidden=64,
    dim=32,
    retrieval=RetrievalConfig(images=48, candidates=8),
)


def images(count: int, seed: int) -> Tensor:
    """Smooth coloured pictures, uint8."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (nn.functional.interpolate(coarse, 16, mode="bilinear") * 255).byte()


def split(pictures: Tensor) -> Iterator[SimpleNamespace]:
    for rows in torch.arange(len(pictures)).split(50):
        labels = torch.full((len(rows), 1), -1)
        yield SimpleNamespace(images=pictures[rows], labels=labels, ids=rows)


class Lightness(nn.Module):
    """Knows nothing of colour or flips: the sorted lightness, its scale divided out."""

    def forward(self, x: Tensor) -> Tensor:
        grey = x.mean(1).flatten(1).sort(dim=1).values
        return nn.functional.normalize(grey, dim=1)


class Constant(nn.Module):
    """A collapsed encoder."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(len(x), 8, device=x.device)


def run(encoder: nn.Module, seed: int = 0, config: ProbeConfig = CONFIG) -> ProbeResult:
    pipeline = augspec.compile(augspec.loads(SPEC))
    train, test = images(200, 1), images(60, 2)
    return probe(
        encoder,
        lambda: split(train),
        lambda: split(test),
        pipeline,
        config,
        reference="original",
        views=("first", "second"),
        seed=seed,
    )


@pytest.fixture(scope="module")
def pixels() -> ProbeResult:
    return run(nn.Flatten())


def test_tells_what_an_encoder_keeps(pixels: ProbeResult) -> None:
    lightness, constant = run(Lightness()), run(Constant())
    assert pixels.retrieval.mrr > 1.5 * pixels.retrieval.chance_mrr
    assert lightness.retrieval.mrr < 1.1 * pixels.retrieval.chance_mrr
    assert constant.retrieval.mrr == pytest.approx(constant.retrieval.chance_mrr, rel=1e-5)
    assert pixels.measures.absolute > 0.04 and pixels.measures.relative > 1.1
    assert len(pixels.losses) == 60 and pixels.losses[-1] < 0.7 * pixels.losses[0]


def test_is_a_function_of_the_seed(pixels: ProbeResult) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert run(nn.Flatten()) == pixels
    assert torch.equal(torch.get_rng_state(), state)
    assert run(nn.Flatten(), seed=1).losses != pixels.losses


def test_leaves_the_encoder_as_it_was() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).train()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    run(encoder, config=CONFIG.model_copy(update={"steps": 2}))
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert all(m.training for m in encoder.modules())
    assert all(p.requires_grad and p.grad is None for p in encoder.parameters())


def test_metrics_have_names_of_their_own(pixels: ProbeResult) -> None:
    metrics = pixels.metrics()
    assert metrics["probe/absolute"] == pixels.measures.absolute
    assert metrics["probe/retrieval_mrr"] == pixels.retrieval.mrr
    assert metrics["probe/retrieval_chance_mrr"] == pytest.approx(
        sum(1 / r for r in range(1, 9)) / 8
    )
    assert metrics["probe/samples"] == 120


def test_too_few_images_are_refused() -> None:
    config = CONFIG.model_copy(update={"batch_size": 512})
    with pytest.raises(ValueError, match="384 rendered training images are fewer than its batch"):
        run(nn.Flatten(), config=config)
