"""EquiMod at an intermediate layer of the encoder: what reaches it, and what measures it."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import augspec
from equimod.cli import main
from equimod.config import Run, load_run
from equimod.data import batches
from equimod.evaluation import Embedder, evaluate_head, mean_deviation
from equimod.evaluation.knn import knn_accuracy
from equimod.records import read_metrics
from equimod.report.results import read_summary
from equimod.training.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from equimod.training.learner import Learner
from equimod.training.trained import trained_learner

BASE = ["arms={}", "training.epochs=1", "training.log_every=1", "training.warmup_epochs=0"]
LAYERS = {"layer1": 32, "layer2": 64, "layer3": 128, "layer4": 256}


def configured(tiny: Path, options: str = "layer: layer2", *overrides: str) -> Run:
    return load_run(tiny, [*BASE, f"equimod={{hidden: 16, dim: 8, {options}}}", *overrides])


def learner(tiny: Path, options: str, *overrides: str) -> Learner:
    return Learner.from_config(configured(tiny, options, *overrides).shared, 5)


def inputs(size: int = 16) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    g = torch.Generator().manual_seed(0)
    reference, *views = torch.randn(3, 8, 3, 16, 16, generator=g)
    views[1] = views[1][..., :size, :size]
    return reference, views, [*torch.randn(2, 8, 5, generator=g)]


def stage(name: str) -> int:
    """Where in the small encoder's network the block is that gives this layer."""
    return 2 + int(name[-1])


@pytest.mark.parametrize("reference", ["original", "pair"])
def test_the_last_layer_is_what_there_was_before_the_field(tiny: Path, reference: str) -> None:
    x0, x, codes = inputs()
    plain = learner(tiny, f"reference: {reference}")
    named = learner(tiny, f"reference: {reference}, layer: last")
    state = plain.state_dict()
    assert all(torch.equal(t, state[name]) for name, t in named.state_dict().items())
    losses = [model(x0, x, codes) for model in (plain, named)]
    assert losses[0]["loss"].equal(losses[1]["loss"])
    # the losses of features that one plain pass gives
    images = x if reference == "pair" else [x0, *x]
    h = plain.encoder(torch.cat(images)).chunk(len(images))
    h0 = None if reference == "pair" else h[0]
    equivariance = plain.equimod(h0, h[-2:], codes).loss
    assert losses[0]["equivariance"].equal(equivariance)
    assert losses[0]["loss"].equal(plain.method(x, h[-2:]) + equivariance)


@pytest.mark.parametrize("reference", ["original", "pair"])
@pytest.mark.parametrize("size", [16, 12])
def test_the_method_keeps_the_last_features(tiny: Path, reference: str, size: int) -> None:
    """Views of one size, and of two, which pass through the encoder one by one."""
    x0, x, codes = inputs(size)
    model = learner(tiny, f"reference: {reference}, layer: layer2").double()
    x0, *x = (t.double() for t in (x0, *x))
    codes = [code.double() for code in codes]
    losses = model(x0, x, codes)
    images = x if reference == "pair" else [x0, *x]
    groups = [images] if size == 16 else [[image] for image in images]
    h, seen = [], []
    for group in groups:
        maps = model.encoder.network[:5](torch.cat(group))
        seen += maps.flatten(2).mean(2).chunk(len(group))
        h += model.encoder.network[5:](maps).chunk(len(group))
    expected = model.method(x, h[-2:])
    torch.testing.assert_close(losses["invariance"], expected.detach(), rtol=1e-9, atol=1e-9)
    equivariance = model.equimod(None if reference == "pair" else seen[0], seen[-2:], codes).loss
    torch.testing.assert_close(losses["equivariance"], equivariance.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(losses["loss"], expected + equivariance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_equivariance_loss_moves_the_encoder_up_to_its_layer(tiny: Path, layer: str) -> None:
    x0, x, codes = inputs()
    model = learner(tiny, f"layer: {layer}")
    assert model.equimod.feature_dim == LAYERS[layer]
    _, seen = model.features_and_seen([x0, *x])
    model.equimod(seen[0], seen[1:], codes).loss.backward()
    for index, part in enumerate(model.encoder.network):
        for p in part.parameters():
            reached = p.grad is not None and bool(p.grad.any())
            assert reached == (index <= stage(layer)), (layer, index)
    model.zero_grad()
    model(x0, x, codes)["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.encoder.parameters())


def test_arms_at_different_layers_start_from_one_encoder_and_method(tiny: Path) -> None:
    last, second = (learner(tiny, f"layer: {layer}") for layer in ("last", "layer2"))
    for part in ("encoder", "method"):
        state = getattr(last, part).state_dict()
        found = getattr(second, part).state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], t) for name, t in state.items())


OPTIONS = {
    "original": ["equimod.layer=layer2"],
    "pair": ["equimod.layer=layer1", "equimod.reference=pair"],
    "bf16": ["equimod.layer=layer3", "training.precision=bf16"],
    "byol": ["equimod.layer=layer2", "method={name: byol, hidden: 16, dim: 8}"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_epoch_and_the_same_with_an_interruption(
    name: str, tiny: Path, trained_with_a_stop
) -> None:
    before, expected = trained_with_a_stop(configured(tiny, "layer: last", *OPTIONS[name]), 6)
    moved = [key for key in before if key.startswith(("encoder", "equimod"))]
    assert moved and not any(torch.equal(expected[key], before[key]) for key in moved)


def test_checkpoints_of_before_are_of_the_last_layer(
    tiny: Path, tmp_path: Path, make_trainer
) -> None:
    run = configured(tiny, "layer: last")
    make_trainer(run, tmp_path).run()
    path = tmp_path / CHECKPOINT
    now = load_checkpoint(path)
    del now.header["config"]["equimod"]["layer"]
    save_checkpoint(path, Checkpoint(now.tensors, now.header))
    data = run.shared.data.build("train", run.base)
    cpu = torch.device("cpu")
    trained_learner(run.shared, run.spec, data, tmp_path, cpu)
    other = configured(tiny, "layer: layer4").shared  # whose weights have the same shapes
    with pytest.raises(CheckpointError, match=r"equimod.layer: 'last' there, 'layer4' here"):
        trained_learner(other, run.spec, data, tmp_path, cpu)


@pytest.mark.parametrize(
    ("written", "hint"), [("layer_2", "; did you mean 'layer2'?"), ("conv1", "")]
)
def test_a_layer_that_no_encoder_has_is_refused_when_the_run_is_read(
    tiny: Path, written: str, hint: str
) -> None:
    with pytest.raises(augspec.SpecError) as error:
        configured(tiny, f"layer: {written}")
    (diagnostic,) = error.value.diagnostics
    allowed = "must be 'last', 'layer1', 'layer2', 'layer3' or 'layer4'"
    assert diagnostic.message == f"{allowed}, got {written!r}{hint}"
    *_, line, caret = str(error.value).splitlines()
    assert line[caret.index("^") : caret.rindex("^") + 1] == written


class ByHand(nn.Module):
    """The mean of the second block's map, of the encoder's own weights."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.part = learner.encoder.network[:5]

    def forward(self, images: Tensor) -> Tensor:
        return self.part(images).flatten(2).mean(2)


def test_its_own_head_is_measured_at_its_layer_and_the_encoder_at_the_last(
    tiny: Path, tmp_path: Path
) -> None:
    sets = [*BASE, "equimod={hidden: 16, dim: 8, layer: layer2}"]
    sets += ["evaluation.probe=null", "evaluation.linear=null", "evaluation.baselines=[]"]
    words = [word for assignment in sets for word in ("--set", assignment)]
    with redirect_stdout(io.StringIO()), pytest.raises(SystemExit) as end:
        main(["train", str(tiny), "--out", str(tmp_path), *words])
    assert end.value.code == 0
    run = load_run(tiny, sets)
    config = run.shared
    train, test = (config.data.build(split, run.base) for split in ("train", "test"))
    (arm,) = read_summary(tmp_path / "summary.json").arms
    folder, cpu = tmp_path / arm.name, torch.device("cpu")
    model = trained_learner(config, run.spec, train, folder, cpu)[0].eval()

    pipeline = augspec.compile(run.spec, seed=config.seed)
    embedder = Embedder(ByHand(model), model.equimod, pipeline, "original", ("first", "second"))
    once = {"batch_size": 512, "seed": 3, "epoch": 0, "shuffle": False, "drop_last": False}
    found = evaluate_head(embedder, partial(batches, test, **once), config.evaluation.equivariance)
    measured = {k: v for k, v in arm.metrics.items() if k.startswith("equivariance/")}
    assert found.metrics() == pytest.approx(measured, rel=1e-4, abs=1e-5)
    for op, measures in found.per_augmentation.items():
        assert arm.per_augmentation[op] == pytest.approx(measures.metrics(), rel=1e-4, abs=1e-5)

    def originals(data) -> tuple[Tensor, Tensor]:
        (batch,) = batches(data, **once)
        return pipeline.apply(batch.images, {"original": {}})["original"], batch.labels[:, 0]

    (x, known), (y, asked) = originals(train), originals(test)
    with torch.no_grad():
        features, others = model.encoder(x), model.encoder(y)
        embeddings = model.equimod.project(ByHand(model)(y))
    k = config.evaluation.knn
    accuracy = knn_accuracy(features, known, others, asked, k=k.k, temperature=k.temperature)
    assert arm.metrics["knn/shape"] == pytest.approx(accuracy)
    record = read_metrics(folder / "metrics.jsonl")[-1]
    for name, rows in (("features", others), ("embeddings", embeddings)):
        assert record[f"monitor/{name}_std"] == pytest.approx(mean_deviation(rows), rel=1e-4)
