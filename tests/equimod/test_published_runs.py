"""The run documents that ship: they load, hold the published numbers, and take a step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import augspec
from equimod.cli import specs
from equimod.config import Run, load_run
from equimod.lars import LARS
from equimod.schedule import learning_rate
from equimod.training.learner import Learner

RUNS = sorted((specs() / "runs").glob("*.yaml"))


def load(name: str) -> Run:
    return load_run(specs() / "runs" / f"{name}.yaml")


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_run_loads_and_is_named_as_its_file(path: Path) -> None:
    run = load_run(path)
    assert run.name == path.stem
    methods = {arm.equimod is None for arm in run.arms.values()}
    assert methods == {True, False}  # the method alone stands beside EquiMod


@pytest.mark.parametrize(("name", "lr"), [("simclr-cifar10", 4.0), ("byol-cifar10", 2.0)])
def test_the_published_cifar10_recipe(name: str, lr: float) -> None:
    alone, joined = load(name).arms.values()
    training, optimizer = alone.training, alone.training.optimizer
    assert joined.model_dump(exclude={"equimod"}) == alone.model_dump(exclude={"equimod"})
    assert (alone.encoder.name, alone.encoder.stem) == ("resnet18", "cifar")
    assert (training.epochs, training.warmup_epochs, training.batch_size) == (800, 10, 512)
    assert (optimizer.name, optimizer.lr, optimizer.momentum) == ("lars", lr, 0.9)
    assert optimizer.weight_decay == 1e-6
    equimod = joined.equimod
    assert equimod is not None
    assert (equimod.weight, equimod.temperature, equimod.negatives) == (1.0, 0.2, "all")
    assert (equimod.hidden, equimod.dim, equimod.predictor) == (2048, 128, "affine")
    linear = alone.evaluation.linear
    assert linear is not None
    assert (linear.epochs, linear.batch_size, linear.lr, linear.momentum) == (90, 256, 0.2, 0.9)
    assert linear.nesterov and linear.weight_decay == 0
    if name.startswith("simclr"):
        assert (alone.method.temperature, alone.method.hidden, alone.method.dim) == (0.5, 2048, 128)
    else:
        assert (alone.method.hidden, alone.method.dim) == (4096, 256)
        assert (alone.method.ema_start, alone.method.ema_end) == (0.996, 1.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simclr-imagenet", (800, 2.4, 1e-6, {"temperature": 0.2})),
        ("byol-imagenet", (1000, 4.8, 1.5e-6, {"ema_start": 0.996, "ema_end": 1.0})),
    ],
)
def test_the_published_imagenet_recipe(name: str, expected: tuple[int, float, float, dict]) -> None:
    epochs, lr, decay, method = expected
    assert rates(name) == recipe(epochs, 4096, 10, 0, "lars", lr, 0.9, decay)
    alone, joined = load(name).arms.values()
    assert joined.model_dump(exclude={"equimod"}) == alone.model_dump(exclude={"equimod"})
    assert (alone.encoder.name, alone.encoder.stem) == ("resnet50", "imagenet")
    assert alone.method == type(alone.method)(**method)  # the rest as on CIFAR-10
    small = load(name.replace("imagenet", "cifar10"))
    assert joined.equimod == [*small.arms.values()][1].equimod
    assert alone.evaluation.linear == small.shared.evaluation.linear


@pytest.mark.parametrize("name", ["simclr-cifar10", "byol-cifar10"])
def test_the_published_recipe_takes_a_step(name: str) -> None:
    """ResNet-18, the published heads and LARS, on a few random images."""
    run = load(name)
    config = run.arms[f"{name.removesuffix('-cifar10')}+equimod"]
    pipeline = augspec.compile(run.spec, seed=config.seed)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    batch = pipeline(images, ids=torch.arange(4), epoch=0)
    learner = Learner.from_config(config, pipeline.layouts["first"].width)
    optimizer = learner.build_optimizer(config.training.optimizer)
    assert isinstance(optimizer, LARS)
    before = {k: v.clone() for k, v in learner.encoder.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(100, 1000, 50, config.training.optimizer.lr)
    views = config.views.augmented
    losses = learner(
        batch.views["original"], [batch.views[v] for v in views], [batch.codes[v] for v in views]
    )
    losses["loss"].backward()
    optimizer.step()
    assert torch.isfinite(losses["loss"])
    assert losses["loss"] == losses["invariance"] + losses["equivariance"]
    moved = [k for k, v in learner.encoder.named_parameters() if not torch.equal(v, before[k])]
    # residual branches begin at zero (zero_init_last), and their inner weights move a step later
    assert "network.conv1.weight" in moved and len(moved) > len(before) / 2
    assert all(torch.isfinite(v).all() for v in learner.state_dict().values())


def rates(name: str) -> dict[str, object]:
    training = load(name).shared.training
    optimizer = training.optimizer
    return {
        "epochs": training.epochs,
        "batch": training.batch_size,
        "warmup": training.warmup_epochs,
        "optimizer": (optimizer.name, optimizer.lr, optimizer.momentum, optimizer.weight_decay),
        "final": training.final_lr,
    }


def recipe(epochs: int, batch: int, warmup: int, final: float, *optimizer: object) -> object:
    return {
        "epochs": epochs,
        "batch": batch,
        "warmup": warmup,
        "optimizer": optimizer,
        "final": final,
    }


@pytest.mark.parametrize(
    ("name", "network", "expected"),
    [
        # the rates of the publications are for 256 images
        (
            "barlow-twins-imagenet",
            "resnet50",
            recipe(1000, 2048, 10, 0.001 * 0.2 * 8, "lars", 0.2 * 8, 0.9, 1e-6),
        ),
        ("vicreg-imagenet", "resnet50", recipe(1000, 2048, 10, 0.002, "lars", 0.2 * 8, 0.9, 1e-6)),
        ("simsiam-imagenet", "resnet50", recipe(100, 512, 0, 0, "sgd", 0.05 * 2, 0.9, 1e-4)),
        ("simsiam-cifar10", "resnet18", recipe(800, 512, 0, 0, "sgd", 0.03 * 2, 0.9, 5e-4)),
        ("moco-v3-imagenet", "resnet50", recipe(300, 4096, 10, 0, "lars", 0.3 * 16, 0.9, 1e-6)),
        ("dino-imagenet", "resnet50", recipe(100, 512, 10, 1e-6, "sgd", 0.03 * 2, 0.9, 1e-4)),
    ],
)
def test_the_published_recipes_of_other_methods(name: str, network: str, expected: object) -> None:
    assert rates(name) == expected
    alone, joined = load(name).arms.values()
    assert joined.model_dump(exclude={"equimod"}) == alone.model_dump(exclude={"equimod"})
    assert alone.encoder.name == network
    assert alone.encoder.stem == ("cifar" if name.endswith("cifar10") else "imagenet")
    published: dict[str, dict[str, object]] = {"simsiam-cifar10": {"layers": 2}}
    published["simsiam-imagenet"] = {"fixed_predictor_rate": True}
    published["dino-imagenet"] = {"teacher_temperature": 0.04, "warmup": 0}
    assert alone.method == type(alone.method)(**published.get(name, {}))
    assert alone.views.local == tuple(
        f"local_{k}" for k in range(1, 9) if alone.method.name == "dino"
    )


@pytest.mark.parametrize(
    ("name", "decay_biases", "cosine_by", "fixed_predictor_rate"),
    [
        ("simsiam-imagenet", True, "epoch", True),
        ("simsiam-cifar10", True, "epoch", False),
        ("augself-stl10", True, "epoch", True),
        ("augself-imagenet100", True, "epoch", True),
        ("essl-cifar10", True, "step", True),
        ("stl-stl10", True, "epoch", None),
        ("dino-imagenet", False, "step", None),
    ],
)
def test_what_the_published_code_does_with_rates_and_biases(
    name: str, decay_biases: bool, cosine_by: str, fixed_predictor_rate: bool | None
) -> None:
    for arm in load(name).arms.values():
        training, method = arm.training, arm.method
        assert training.optimizer.decay_biases is decay_biases
        assert training.cosine_by == cosine_by
        assert getattr(method, "fixed_predictor_rate", None) is fixed_predictor_rate
        clip = training.clip_gradients
        assert (clip and clip.model_dump()) == (
            {"norm": 3.0, "of": "each"} if method.name == "dino" else None
        )


@pytest.mark.parametrize(
    ("name", "network", "expected", "arm", "neighbour"),
    [
        (
            "augself-stl10",
            ("resnet18", "imagenet"),
            recipe(200, 256, 0, 0, "sgd", 0.03, 0.9, 5e-4),
            "simsiam+augself",
            {"crop": 1.0, "color": 1.0, "hidden": 512},
        ),
        (
            "augself-imagenet100",
            ("resnet50", "imagenet"),
            recipe(500, 256, 0, 0, "sgd", 0.05, 0.9, 1e-4),
            "simsiam+augself",
            {"crop": 0.5, "color": 0.5, "hidden": 512},
        ),
        (
            "essl-cifar10",
            ("resnet18", "cifar"),
            recipe(800, 512, 10, 0, "sgd", 0.03 * 2, 0.9, 5e-4),
            "simsiam+essl",
            {"weight": 0.4, "hidden": 2048},
        ),
        (
            "stl-stl10",
            ("resnet18", "imagenet"),
            recipe(200, 256, 0, 0, "sgd", 0.03, 0.9, 5e-4),
            "simclr+stl",
            {"equivariance": 1.0, "transformation": 0.1, "temperature": 0.2, "code_dim": 128},
        ),
    ],
)
def test_the_published_recipes_of_neighbours(
    name: str,
    network: tuple[str, str],
    expected: object,
    arm: str,
    neighbour: dict[str, float],
) -> None:
    assert rates(name) == expected
    run = load(name)
    alone, beside = run.shared, run.arms[arm]
    assert (alone.encoder.name, alone.encoder.stem) == network
    assert beside.method == alone.method
    assert beside.neighbour is not None
    assert neighbour == {field: getattr(beside.neighbour, field) for field in neighbour}
    if name == "essl-cifar10":  # its rate is another one: 0.06 for 256 images
        assert beside.training.optimizer.lr == 0.06 * 2
    else:
        assert beside.training == alone.training
    if alone.method.name == "simsiam":
        layers = 3 if name == "augself-imagenet100" else 2
        heads = {"dim": 2048, "hidden": 512, "layers": layers}
        assert alone.method == type(alone.method)(**heads, fixed_predictor_rate=True)
    else:
        assert (alone.method.temperature, alone.method.hidden, alone.method.dim) == (0.2, 512, 128)


def test_the_published_recipe_of_care() -> None:
    run = load("care-cifar10")
    training, beside = run.shared.training, run.arms["simclr+care"]
    assert (training.epochs, training.batch_size, training.warmup_epochs) == (400, 256, 0)
    assert (training.optimizer.name, training.optimizer.weight_decay) == ("adamw", 1e-6)
    assert training.optimizer.lr == training.final_lr == 1e-3  # constant
    assert (run.shared.encoder.name, run.shared.encoder.stem) == ("resnet50", "cifar")
    method, care = run.shared.method, beside.neighbour
    assert (method.temperature, method.hidden, method.dim) == (0.5, 512, 128)
    assert care is not None
    assert (care.equivariance, care.temperature, care.chunk) == (0.03, 0.5, 256 // 16)
    assert (care.hidden, care.dim) == (512, 128)


def test_imagenet_specs_render_photographs_of_any_size(photos: list[Path]) -> None:
    from torchvision.io import ImageReadMode, decode_image

    for name in ("simclr-imagenet", "byol-imagenet"):
        pipeline = augspec.load_pipeline(specs() / "augmentations" / f"{name}.yaml")
        for index, path in enumerate(photos[::60]):
            photo = decode_image(str(path), ImageReadMode.RGB)[None]
            batch = pipeline(photo, ids=torch.tensor([index]), epoch=0)
            assert {tuple(v.shape) for v in batch.views.values()} == {(1, 3, 224, 224)}
            assert all(torch.isfinite(v).all() for v in batch.views.values())
