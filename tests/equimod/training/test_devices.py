"""Who says how many processes there are: a launcher, or the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from equimod.config import load_run
from equimod.training.devices import VARIABLES, DeviceError, find_world, make_fabric

TOLD = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "n1",
    "MASTER_PORT": "29500",
}


@pytest.fixture(autouse=True)
def _nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_run_says(tiny: Path) -> None:
    world = find_world(load_run(tiny, ["training.devices=2"]).shared)
    assert (world.nodes, world.devices, world.size) == (1, 2, 2)


def test_a_launcher_says(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(name, value)
    world = find_world(load_run(tiny, ["training.devices=3", "training.nodes=7"]).shared)
    assert (world.nodes, world.devices, world.size) == (2, 4, 8)
    assert world.environment.global_rank() == 5
    assert world.environment.local_rank() == 1
    assert world.environment.main_address == "n1"


def test_by_hand_inside_of_an_allocation(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allocation = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "work", "SLURM_JOB_ID": "1"}
    for name, value in (allocation | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}).items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric(load_run(tiny, ["training.accelerator=cpu"]).shared)
    assert fabric.world_size == 1


WRONG = {
    "one is missing": ({"LOCAL_RANK": None}, "RANK and WORLD_SIZE are set, but LOCAL_RANK not"),
    "no number": ({"WORLD_SIZE": "many"}, "WORLD_SIZE must be a number, got 'many'"),
    "a rank too high": ({"RANK": "8"}, r"cannot be numbered so: RANK=8, WORLD_SIZE=8"),
    "uneven nodes": ({"LOCAL_WORLD_SIZE": "3"}, r"cannot be numbered so.*LOCAL_WORLD_SIZE=3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_launcher_that_contradicts_itself(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    changes, message = WRONG[case]
    for name, value in (TOLD | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match=message):
        find_world(load_run(tiny).shared)


def test_several_machines_need_a_launcher(tiny: Path) -> None:
    with pytest.raises(DeviceError, match=r"training.nodes is 2: start it on every machine with"):
        find_world(load_run(tiny, ["training.nodes=2"]).shared)
