"""The benchmark of pipelines runs, and all contestants make the same kind of views."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "pipelines.py"
INTERPRETED = (
    "augspec-eager",
    "kornia",
    "albumentations",
    "pil",
    "torchvision",
    "torchvision-loop",
    "floor",
)
"""The contestants that compile nothing, which takes longer than all else here."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def written(photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a quick run writes."""
    out = tmp_path_factory.mktemp("benchmark")
    folder = str(photos[0].parent)
    done = run("--quick", "--photos", folder, "--out", str(out), "--only", *INTERPRETED)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def document(written: Path) -> dict[str, Any]:
    return json.loads((written / "pipelines.json").read_text(encoding="utf-8"))


def results(document: dict[str, Any], name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each workload with what a contestant did there."""
    return [
        (workload, one)
        for workload in document["workloads"]
        for one in workload["results"]
        if one["name"] == name
    ]


def skip_if_absent(document: dict[str, Any], name: str) -> None:
    for workload in document["workloads"]:
        for label, why in workload["absent"].items():
            if label.startswith(name) and "not installed" in why:
                pytest.skip(f"{label}: {why}")


@pytest.mark.parametrize("name", [name for name in INTERPRETED if name != "floor"])
def test_a_contestant_makes_two_normalised_views_of_every_workload(
    document: dict[str, Any], name: str
) -> None:
    skip_if_absent(document, name)
    found = results(document, name)
    absent = [workload["absent"] for workload in document["workloads"]]
    assert len(found) == 3, absent
    for workload, one in found:
        side = 32 if workload["name"] == "cifar" else 224
        assert len(one["outputs"]) == 2
        for view in one["outputs"]:
            assert view["shape"] == [workload["batch"], 3, side, side]
            assert view["dtype"] == "float32"
            # pixels in [0, 1] normalise to about [-2.2, 2.7]; photographs are neither flat nor dark
            assert -2.5 < view["low"] < -0.2
            assert 0.2 < view["high"] < 3.0
            assert abs(view["mean"]) < 1.5
            assert 0.2 < view["std"] < 2.0
            assert view["drawn_anew"]


def test_times_are_quartiles_and_rates_are_their_inverse(document: dict[str, Any]) -> None:
    for workload in document["workloads"]:
        for one in workload["results"]:
            time, rate = one["milliseconds"], one["images_per_second"]
            assert 0 < time["q1"] <= time["median"] <= time["q3"]
            assert rate["median"] * time["median"] == pytest.approx(workload["batch"] * 1e3)
            assert rate["q1"] <= rate["median"] <= rate["q3"]


def test_drawing_alone_is_a_part_of_ours(document: dict[str, Any]) -> None:
    for workload, one in results(document, "augspec-eager"):
        if workload["name"] != "photographs":
            assert one["parts"]["draw and encode"]["q1"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_the_peak_holds_at_least_the_views(document: dict[str, Any]) -> None:
    for workload in document["workloads"]:
        if workload["name"] == "imagenet":  # those of `cifar` are smaller than what is not seen
            for one in workload["results"]:
                assert one["peak_bytes"] > 0.9 * workload["view_bytes"], one["name"]


def test_growth_has_a_point_for_every_size(document: dict[str, Any]) -> None:
    assert [sweep["axis"] for sweep in document["growth"]] == ["batch", "batch", "size"]
    for sweep in document["growth"]:
        at = [2, 4] if sweep["axis"] == "batch" else [32, 48]
        for name in ("augspec-eager", "kornia"):
            mine = [p["at"] for p in sweep["points"] if p["contestant"] == name]
            assert mine == at, (sweep["name"], name)


def test_the_page_names_machine_versions_and_contestants(
    written: Path, document: dict[str, Any]
) -> None:
    page = (written / "pipelines.md").read_text(encoding="utf-8")
    machine = document["machine"]
    assert machine["processor"] in page
    assert f"torch {machine['packages']['torch']}" in page
    for workload in document["workloads"]:
        for one in workload["results"]:
            assert f"| {one['label']} |" in page
    for picture in ("pipelines.png", "pipelines-growth.png"):
        assert f"({picture})" in page
        assert (written / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_compiled_peer_makes_the_same_kind_of_views(photos: list[Path], tmp_path: Path) -> None:
    folder = str(photos[0].parent)
    names = ("--only", "kornia-best", "--workloads", "cifar", "imagenet", "--no-growth")
    done = run("--quick", "--photos", folder, "--out", str(tmp_path), *names)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "pipelines.json").read_text(encoding="utf-8"))
    found = results(made, "kornia-best")
    assert len(found) == 2, [workload["absent"] for workload in made["workloads"]]
    for workload, one in found:
        side = 32 if workload["name"] == "cifar" else 224
        for view in one["outputs"]:
            assert view["shape"] == [workload["batch"], 3, side, side]
            assert -2.5 < view["low"] < view["high"] < 3.0
            assert view["drawn_anew"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "korna"), "did you mean 'kornia'?"),
        (("--workloads", "cifr"), "did you mean 'cifar'?"),
        (("--photos", "no-such-folder"), "no photographs (*.jpg) in no-such-folder"),
        (("--repeats", "0"), "--repeats 0: must be 1 or more"),
    ],
)
def test_a_mistake_of_the_caller_is_one_line(
    photos: list[Path], arguments: tuple[str, ...], said: str
) -> None:
    folder = () if "--photos" in arguments else ("--photos", str(photos[0].parent))
    done = run(*folder, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
