"""The learner: what is summed, what arms share, and what every process computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import augspec
from equimod.config import load_run
from equimod.data import batches
from equimod.training.learner import Learner

ARM = "simclr+equimod"


def views(n: int = 8) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, n, 3, 16, 16, generator=generator)
    codes = torch.randn(2, n, 5, generator=generator)
    return images[0], [*images[1:]], [*codes]


def learner(tiny: Path, arm: str = ARM, *overrides: str) -> Learner:
    return Learner.from_config(load_run(tiny, overrides).arms[arm], 5)


def test_the_loss_is_the_weighted_sum(tiny: Path) -> None:
    for weight in (0.0, 0.5, 1.0):
        model = learner(tiny, ARM, f"arms.{ARM}.equimod.weight={weight}")
        losses = model(*views())
        assert losses.keys() == {"loss", "invariance", "equivariance"}
        total = losses["invariance"] + weight * losses["equivariance"]
        assert torch.equal(losses["loss"], total)
        assert losses["equivariance"] > 0
        losses["loss"].backward()
        touched = any(p.grad.any() for p in model.equimod.parameters() if p.grad is not None)
        assert touched == (weight > 0)


def test_the_method_alone_needs_no_reference(tiny: Path) -> None:
    _, images, codes = views()
    losses = learner(tiny, "simclr")(None, images, codes)
    assert losses.keys() == {"loss", "invariance"}
    assert torch.equal(losses["loss"], losses["invariance"])
    with pytest.raises(ValueError, match="needs the reference"):
        learner(tiny)(None, images, codes)


def test_arms_of_one_seed_start_from_one_encoder(tiny: Path) -> None:
    overrides = ["arms.byol={method: {name: byol, hidden: 16, dim: 8}}"]
    state = torch.get_rng_state()
    plain, both, byol = (learner(tiny, a, *overrides) for a in ("simclr", ARM, "byol"))
    assert torch.equal(torch.get_rng_state(), state)
    start = plain.encoder.state_dict()
    for other in (both, byol):
        assert all(torch.equal(t, start[name]) for name, t in other.encoder.state_dict().items())
    assert torch.equal(plain.method.projector[0].weight, both.method.projector[0].weight)
    seeded = learner(tiny, "simclr", "seed=4").encoder.state_dict()
    assert not torch.equal(seeded["network.0.weight"], start["network.0.weight"])


def test_views_of_one_size_share_batch_statistics(tiny: Path) -> None:
    model = learner(tiny, "simclr")
    a, (b, _), _ = views()
    together = torch.cat(model.features([a, b]))
    assert torch.equal(together, model.encoder(torch.cat([a, b])))
    sizes = model.features([a, b[..., :12, :12]])
    assert torch.equal(sizes[0], model.encoder(a))
    assert [h.shape for h in sizes] == [(8, 256), (8, 256)]


def test_bf16_trains(tiny: Path, make_trainer, tmp_path: Path) -> None:
    trainer = make_trainer(load_run(tiny, ["training.precision=bf16"]), tmp_path, ARM)
    before = {name: t.clone() for name, t in trainer.learner.state_dict().items()}
    after = trainer.run().state_dict()  # it would refuse a loss that is not finite
    assert all(p.dtype == torch.float32 for p in trainer.learner.parameters())
    assert not torch.equal(after["encoder.network.0.weight"], before["encoder.network.0.weight"])


def test_the_target_network_stands_still_at_the_end(tiny: Path, make_trainer, tmp_path) -> None:
    method = "method={name: byol, hidden: 16, dim: 8, ema_start: 0, ema_end: 1}"
    one_step = ["arms={}", method, "training.epochs=1", "training.batch_size=96"]
    one_step += ["training.warmup_epochs=0"]
    for overrides, moved in ((one_step, False), ([*one_step, "training.batch_size=48"], True)):
        trainer = make_trainer(load_run(tiny, overrides), tmp_path / str(moved))
        before = [p.clone() for p in trainer.learner.method.target.parameters()]
        after = trainer.run().method.target.parameters()
        assert moved != all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_two_processes_see_the_views_of_one(tiny: Path) -> None:
    run = load_run(tiny)
    data = run.shared.data.build("train", run.base)
    pipeline = augspec.compile(run.spec, seed=run.shared.seed)

    def steps(rank: int, world_size: int):
        for batch in batches(
            data, batch_size=16, seed=3, epoch=1, rank=rank, world_size=world_size
        ):
            yield batch.ids, pipeline(batch.images, ids=batch.ids, epoch=1)

    halves = zip(steps(0, 2), steps(1, 2), strict=True)
    for (ids, whole), ((ids_0, part_0), (ids_1, part_1)) in zip(steps(0, 1), halves, strict=True):
        assert torch.equal(ids, torch.cat([ids_0, ids_1]))
        for name in ("original", "first", "second"):
            codes = torch.cat([part_0.codes[name], part_1.codes[name]])
            assert torch.equal(whole.codes[name], codes)
            images = torch.cat([part_0.views[name], part_1.views[name]])
            assert torch.equal(whole.views[name], images)


METHODS = {
    "simclr": "{name: simclr, hidden: 16, dim: 8}",
    "byol": "{name: byol, hidden: 16, dim: 8}",
    "barlow_twins": "{name: barlow_twins, hidden: 16, dim: 8}",
    "vicreg": "{name: vicreg, hidden: 16, dim: 8}",
    "simsiam": "{name: simsiam, dim: 16, hidden: 8}",
    "moco_v3": "{name: moco_v3, hidden: 16, dim: 8}",
    "dino": "{name: dino, hidden: 16, bottleneck: 8, prototypes: 24}",
}


@pytest.mark.parametrize("name", METHODS)
def test_equimod_attaches_beside_every_method(
    tiny: Path, make_trainer, tmp_path: Path, name: str
) -> None:
    override = f"method={METHODS[name]}"
    model = learner(tiny, ARM, override)
    alone = learner(tiny, "simclr", override)
    assert model.method.state_dict().keys() == alone.method.state_dict().keys()
    for key, tensor in alone.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    losses = model(*views())
    losses["loss"].backward()
    for key, p in model.named_parameters():
        assert (p.grad is not None) is p.requires_grad, key
    run = load_run(tiny, [override, "training.epochs=1", "training.optimizer.lr=0.01"])
    for arm in ("simclr", ARM):
        trainer = make_trainer(run, tmp_path / arm, arm)
        before = [p.detach().clone() for p in trainer.learner.encoder.parameters()]
        after = trainer.run().encoder.parameters()  # it would refuse a loss that is not finite
        assert not all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_crops_reach_the_method_as_a_batch_of_their_own_and_equimod_not_at_all(
    tiny: Path,
) -> None:
    model = learner(tiny, ARM, f"method={METHODS['dino']}")
    x0, x, codes = views()
    crops = [image[..., :12, :12] for image in x]
    seen = []
    model.method.register_forward_hook(lambda _, args, out: seen.append((args, out)))
    losses = model(x0, x, codes, crops)
    (images, features), loss = seen[0]
    assert [len(images), len(features)] == [4, 4]
    assert all(torch.equal(a, b) for a, b in zip(images, [*x, *crops], strict=True))
    torch.testing.assert_close(torch.cat(features[2:]), model.encoder(torch.cat(crops)))
    assert torch.equal(losses["invariance"], loss)
    assert torch.equal(losses["equivariance"], model(x0, x, codes)["equivariance"])
    with pytest.raises(ValueError, match="SimCLR compares 2 views, but got features of 3"):
        learner(tiny)(x0, x, codes, crops[:1])
