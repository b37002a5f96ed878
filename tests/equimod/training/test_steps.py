"""Steps of several processes are those of one, to the digits of float64."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from float64_steps import float64_steps

from equimod.config import load_run

STEPS = 4
SIMCLR = "method={name: simclr, hidden: 16, dim: 8}"
BYOL = "method={name: byol, hidden: 16, dim: 8, ema_start: 0.9}"
MOCO = "method={name: moco_v3, hidden: 16, dim: 8, ema_start: 0.9}"
DINO = "method={name: dino, hidden: 16, bottleneck: 8, prototypes: 32, freeze: 0.3, warmup: 0.6}"
CROPS = [
    "augmentations.views.small={size: 12, ops: [{op: resized_crop, size: 12, area: [0.1, 0.4]}]}",
    "views.local=[small]",
]
LAYER = "equimod.layer=layer2"
FIXED = "method={name: simsiam, dim: 16, hidden: 8, fixed_predictor_rate: true}"
DECAYED = "{name: sgd, lr: 0.01, weight_decay: 0.1, decay_biases: true}"
EACH = "training.clip_gradients={norm: 0.05, of: each}"
ALL = "training.clip_gradients={norm: 0.05}"
CASES: dict[str, tuple[str, ...]] = {
    "simclr": (SIMCLR, "{name: sgd, lr: 0.01}", "ddp"),
    "byol": (BYOL, "{name: sgd, lr: 0.01}", "ddp"),
    "barlow twins": (
        "method={name: barlow_twins, hidden: 16, dim: 8, scale: 0.1}",
        "{name: sgd, lr: 0.01}",
        "ddp",
    ),
    "vicreg": ("method={name: vicreg, hidden: 16, dim: 8}", "{name: sgd, lr: 0.001}", "ddp"),
    "simsiam": ("method={name: simsiam, dim: 16, hidden: 8}", "{name: sgd, lr: 0.01}", "ddp"),
    "moco v3": (MOCO, "{name: sgd, lr: 0.01}", "ddp"),
    "dino": (DINO, "{name: sgd, lr: 0.01}", "ddp"),
    "simclr, sharded": (SIMCLR, "{name: lars, lr: 0.1, weight_decay: 1.0e-3}", "fsdp"),
    "byol, sharded": (BYOL, "{name: sgd, lr: 0.01}", "fsdp"),
    "dino, sharded": (DINO, "{name: sgd, lr: 0.01}", "fsdp"),
    "at a layer": (SIMCLR, "{name: sgd, lr: 0.01}", "ddp", LAYER),
    "clipped": (FIXED, DECAYED, "ddp", EACH),
    "clipped, sharded": (FIXED, DECAYED, "fsdp", EACH),
    "clipped together, sharded": (FIXED, DECAYED, "fsdp", ALL),
    "at a layer, sharded": (SIMCLR, "{name: sgd, lr: 0.01}", "fsdp", LAYER),
}


def steps(path: Path, case: tuple[str, ...], rank: int = 0, world: int = 1) -> list[torch.Tensor]:
    """The losses of some steps, and the weights and statistics after them."""
    method, optimiser, strategy, *more = case
    sets = ["arms={}", "equimod={hidden: 16, dim: 8}", method, f"training.optimizer={optimiser}"]
    sets += [*more, *(CROPS if "dino" in method else ())]
    meeting = path.parent / f"meet-{world}"
    return float64_steps(load_run(path, sets), STEPS, meeting, rank, world, strategy)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("world", [2, 4])
def test_processes_take_the_steps_of_one(
    pool: ProcessPoolExecutor, tiny: Path, tmp_path: Path, case: str, world: int
) -> None:
    for name in ("tiny.yaml", "views.yaml"):
        (tmp_path / name).write_text((tiny.parent / name).read_text())
    path = tmp_path / "tiny.yaml"
    work = [pool.submit(steps, path, CASES[case], rank, world) for rank in range(world)]
    expected = steps(path, CASES[case])
    for each in work:
        for mine, theirs in zip(each.result(timeout=240), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
