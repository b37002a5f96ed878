"""Real data for the tests, beside the project or named by AUGSPEC_TEST_DATA; a real cluster."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("AUGSPEC_TEST_DATA", ROOT.parent / "shared" / "data"))
SLURM = os.environ.setdefault("SLURM_TEST_DIR", "/tmp/slurm-test")

# deadlines measure the machine, not the code; examples are the same in every run
settings.register_profile(
    "project",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("project")
torch.set_num_threads(min(2, torch.get_num_threads()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA GPU"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def photos() -> list[Path]:
    """JPEG photographs of varied sizes."""
    found = sorted((DATA / "photos").glob("*.jpg"))
    if not found:
        pytest.skip(f"no photographs in {DATA / 'photos'} (set AUGSPEC_TEST_DATA)")
    return found


@pytest.fixture(scope="session")
def cifar10_folder() -> Path:
    """CIFAR-10 as parquet files, JPEG-compressed once."""
    folder = DATA / "cifar10"
    if not list(folder.glob("*.parquet")):
        pytest.skip(f"no CIFAR-10 parquet files in {folder} (set AUGSPEC_TEST_DATA)")
    return folder


def cluster_script(verb: str) -> bool:
    """Whether `cluster.sh` has done what it was asked to."""
    script = ROOT / "slurm" / "testing" / "cluster.sh"
    done = subprocess.run(["bash", str(script), verb], stdout=subprocess.DEVNULL)
    return done.returncode == 0


def started_here() -> Path:
    """The file that says that these tests, in any of their processes, have started the cluster."""
    tests = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    return Path(f"{SLURM}.started-by-{tests}")


@pytest.fixture(scope="session")
def cluster() -> None:
    """A Slurm cluster of two nodes on this machine; one that runs already is used and left alone.

    Where there can be none the test is skipped, or fails if EQUIMOD_REQUIRE_SLURM is set.
    """
    missing = ""
    if shutil.which("slurmctld") is None:
        missing = "no Slurm here: install it with `bash slurm/testing/cluster.sh install`"
    elif os.geteuid() != 0:
        missing = "a Slurm cluster for tests needs root"
    if missing:
        (pytest.fail if os.environ.get("EQUIMOD_REQUIRE_SLURM") else pytest.skip)(missing)
    with Path(f"{SLURM}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster_script("status"):
            started_here().touch()
            assert cluster_script("start"), f"the cluster has not started: see {SLURM}/log"
    os.environ["SLURM_CONF"] = f"{SLURM}/slurm.conf"


def pytest_sessionfinish() -> None:
    """Stops the cluster when the last process of the tests has ended, if they have started it."""
    if "PYTEST_XDIST_WORKER" not in os.environ and started_here().exists():
        started_here().unlink()
        cluster_script("stop")
