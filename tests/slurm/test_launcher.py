"""The batch script of a profile: each option stands in it once, and means what it should."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch_scripts import LOGS, TIMES, needs_srun, profile, script

import slurm
from equimod.submission.profiles import load_profile
from slurm.profile import Profile, Resources

pytestmark = needs_srun
SHIPPED = Path(slurm.__file__).parent / "profiles"
ALWAYS = {
    "comment": "token",
    "job-name": "name",
    "kill-on-invalid-dep": "yes",
    "nodes": "1",
    "ntasks-per-node": "1",
    "open-mode": "append",
    "output": f"{LOGS}/%j_0_log.out",
    "requeue": "",
    "signal": "USR2@120",
    "time": "60",
    "wckey": "submitit",
}
"""The options of a profile that says nothing, in an array of none."""


GENERIC = {"gres": "gpu:1", "cpus-per-task": "8", "mem": "32GB", "time": "1200"}
JEAN_ZAY = {
    "account": "abc@v100",
    "constraint": "v100-32g",
    "cpus-per-task": "10",
    "hint": "nomultithread",
    "signal": "USR2@180",
}
DEBUG = {"partition": "debug", "gres": "gpu:1", "cpus-per-task": "4", "mem": "16GB"}
DEBUG |= {"time": "30", "signal": "USR2@60"}
CLUSTERS = {
    # the profile: what its training asks for, and what its evaluation does
    "generic": (GENERIC, GENERIC),
    "debug-partition": (DEBUG, DEBUG),
    "jean-zay-v100": (
        JEAN_ZAY | {"gres": "gpu:4", "ntasks-per-node": "4", "qos": "qos_gpu-t3", "time": "1200"},
        JEAN_ZAY | {"gres": "gpu:1", "qos": "qos_gpu-dev", "time": "120"},
    ),
}


def test_every_shipped_profile_for_a_cluster_is_looked_at() -> None:
    found = {path.stem: load_profile(path).executor for path in SHIPPED.glob("*.yaml")}
    assert {name for name, executor in found.items() if executor == "slurm"} == set(CLUSTERS)


@pytest.mark.parametrize("name", CLUSTERS)
def test_the_shipped_profiles(name: str) -> None:
    where = load_profile(SHIPPED / f"{name}.yaml")
    train, evaluation = CLUSTERS[name]
    assert script(where).options == ALWAYS | train
    assert script(where.for_evaluation()).options == ALWAYS | evaluation


def test_a_profile_that_says_nothing() -> None:
    made = script(profile())
    assert made.options == ALWAYS
    assert made.setup == ["trap 'terminated=1' TERM  # outlives its tasks, to see how they end"]
    output = ["srun", "--unbuffered", "--output", f"{LOGS}/%j_%t_log.out"]
    assert made.srun == [*output, "--kill-on-bad-exit=1"]
    assert made.python == [sys.executable, "-u", "-m", "submitit.core._submit", LOGS]


FULL = {
    "description": "All that can be said.",
    "partition": "gpu,long",
    "account": "lab@gpu",
    "qos": "normal",
    "constraint": "a100&ib",
    "reservation": "course",
    "nodelist": "n[1-2]",
    "exclude": "n3",
    "nodes": 2,
    "gpus_per_node": 4,
    "gpu_type": "a100",
    "tasks_per_node": 4,
    "cpus_per_task": 6,
    "memory": "120GB",
    "time": "1-12",
    "executor": "slurm",
    "signal_delay": 90,
    "array_parallelism": 2,
    "modules": ["gcc/12", "cuda 12"],
    "environment": {"NCCL_DEBUG": "INFO", "GREETING": "it's $HOME"},
    "setup": ["source venv/bin/activate", 'test -d "$SCRATCH" || exit 1'],
    "python": "singularity exec --nv image.sif python",
    "container_image": "nvcr.io#nvidia/pytorch:24.01",
    "srun": ["--mpi=none", "--container-mounts=/a dir:/b"],
    "sbatch": {"hint": "nomultithread", "exclusive": True, "licenses": "a b", "wckey": "mine"},
    "mail_user": "me@example.org",
    "mail_type": ["END", "TIME_LIMIT_80"],
    "retries": 7,
    "backoff": 11,
    "evaluation": {"partition": "short", "time": "0:45:00"},
    "gpu_request": "gpus_per_node",
}
ELSEWHERE = {"memory_per_cpu", "memory_per_gpu"}  # they exclude `memory`, and have a test below


def test_a_profile_with_every_field() -> None:
    assert set(FULL) | ELSEWHERE | {"version", "name"} == set(Profile.model_fields)
    made = script(profile(**FULL), count=5, code=Path("/out/code"))
    assert made.options == ALWAYS | {
        "account": "lab@gpu",
        "array": "0-4%2",
        "constraint": "a100&ib",
        "cpus-per-task": "6",
        "exclude": "n3",
        "exclusive": "",
        "gpus-per-node": "a100:4",
        "hint": "nomultithread",
        "licenses": "a b",
        "mail-type": "END,TIME_LIMIT_80",
        "mail-user": "me@example.org",
        "mem": "120GB",
        "nodelist": "n[1-2]",
        "nodes": "2",
        "ntasks-per-node": "4",
        "output": f"{LOGS}/%A_%a_0_log.out",
        "partition": "gpu,long",
        "qos": "normal",
        "reservation": "course",
        "signal": "USR2@90",
        "time": "2160",
        "wckey": "mine",
    }
    assert made.setup[1:] == [
        "module load gcc/12 'cuda 12'",
        "export NCCL_DEBUG=INFO",
        "export GREETING='it'\"'\"'s $HOME'",
        "export PYTHONSAFEPATH=1",
        "export PYTHONPATH=/out/code${PYTHONPATH:+:$PYTHONPATH}",
        "source venv/bin/activate",
        'test -d "$SCRATCH" || exit 1',
    ]
    assert made.srun[3:] == [
        f"{LOGS}/%A_%a_%t_log.out",
        "--kill-on-bad-exit=1",
        "--cpus-per-task=6",
        "--container-image=nvcr.io#nvidia/pytorch:24.01",
        "--mpi=none",
        "--container-mounts=/a dir:/b",
    ]
    assert made.python[:5] == ["singularity", "exec", "--nv", "image.sif", "python"]
    assert "--retries 7 --backoff 11)" in made.text


def test_the_evaluation_of_a_profile_with_every_field() -> None:
    where = profile(**FULL)
    made = script(where.for_evaluation(), count=2, after=("12_0", "12_1"))
    asked = {name.replace("_", "-") for name in Resources.model_fields} & set(made.options)
    assert asked == {"partition", "nodes", "time"}
    assert (made.options["partition"], made.options["time"]) == ("short", "45")
    assert made.options["ntasks-per-node"] == "1"
    assert made.options["dependency"] == "aftercorr:12"
    assert made.options["licenses"] == "a b"  # what is no resource is the same


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"gpus_per_node": 2}, "gres", "gpu:2"),
        ({"gpus_per_node": 2, "gpu_type": "v100"}, "gres", "gpu:v100:2"),
        ({"gpus_per_node": 2, "gpu_request": "gpus_per_node"}, "gpus-per-node", "2"),
        ({"gpus_per_node": 2, "gpu_request": "none"}, None, ""),
        ({"gpu_request": "gpus_per_node"}, None, ""),
        ({"gpus_per_node": 2, "gpu_request": "none", "sbatch": {"gpus": "2"}}, "gpus", "2"),
    ],
)
def test_how_gpus_are_asked_for(fields: dict[str, object], name: str | None, value: str) -> None:
    options = script(profile(**fields)).options
    asked = {key: options[key] for key in ("gres", "gpus-per-node", "gpus") if key in options}
    assert asked == ({name: value} if name else {})
    assert options["ntasks-per-node"] == str(fields.get("gpus_per_node", 1))


@pytest.mark.parametrize(
    ("field", "option"),
    [("memory", "mem"), ("memory_per_cpu", "mem-per-cpu"), ("memory_per_gpu", "mem-per-gpu")],
)
def test_how_memory_is_asked_for(field: str, option: str) -> None:
    options = script(profile(gpus_per_node=1, **{field: "4000MB"})).options
    assert {key: options[key] for key in options if key.startswith("mem")} == {option: "4000MB"}
    assert script(profile(memory="0")).options["mem"] == "0"


@pytest.mark.parametrize(
    ("fields", "processes", "tasks"),
    [
        ({}, 1, 1),
        ({"nodes": 3}, 1, 3),
        ({"tasks_per_node": 2}, 2, 2),
        ({"nodes": 2, "tasks_per_node": 3}, 3, 6),
        ({"gpus_per_node": 4}, 4, 4),
        ({"nodes": 2, "gpus_per_node": 4}, 4, 8),
        ({"nodes": 2, "gpus_per_node": 4, "tasks_per_node": 4}, 4, 8),
    ],
)
def test_processes_on_each_node_and_on_all(
    fields: dict[str, object], processes: int, tasks: int
) -> None:
    where = profile(**fields)
    assert (where.processes, where.tasks) == (processes, tasks)
    options = script(where).options
    asked = options["nodes"], options["ntasks-per-node"]
    assert asked == (str(fields.get("nodes", 1)), str(processes))
    assert script(where.for_evaluation()).options["ntasks-per-node"] == "1"
    assert script(where.for_evaluation()).options["nodes"] == "1"


@pytest.mark.parametrize(
    ("count", "parallel", "array"),
    [(1, 0, None), (1, 3, None), (4, 0, "0-3%4"), (4, 1, "0-3%1"), (4, 9, "0-3%4")],
)
def test_how_many_points_run_at_once(count: int, parallel: int, array: str | None) -> None:
    options = script(profile(array_parallelism=parallel), count).options
    assert options.get("array") == array


def test_a_profile_that_extends_another_and_is_changed_once(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    child.write_text(
        f"version: 1\nname: child\nextends: {SHIPPED / 'jean-zay-v100.yaml'}\n"
        "account: xyz@v100\nqos: null\nsbatch: {exclusive: true}\nevaluation: {qos: qos_gpu-t3}\n"
        "modules: [gcc/12]\n"
    )
    where = load_profile(child, ["nodes=2", "time=2-0"])
    train, evaluation = CLUSTERS["jean-zay-v100"]
    ours = {"account": "xyz@v100", "exclusive": "", "nodes": "2", "time": "2880"}
    without = {key: value for key, value in train.items() if key != "qos"}
    assert script(where).options == ALWAYS | without | ours
    assert script(where).setup[1:] == ["module load gcc/12"]
    changed = evaluation | {"exclusive": "", "qos": "qos_gpu-t3"}
    assert script(where.for_evaluation()).options == ALWAYS | changed


@pytest.mark.parametrize("time", TIMES)
def test_times(time: str) -> None:
    assert script(profile(time=time, signal_delay=1)).options["time"] == str(TIMES[time])
