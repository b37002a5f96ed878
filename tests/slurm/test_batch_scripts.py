"""How Slurm itself reads the batch scripts of profiles: jobs that are held, and never run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from batch_scripts import TIMES, needs_srun, profile, script

from slurm.commands import cancel, command, would_accept

pytestmark = [needs_srun, pytest.mark.slurm]


class Held:
    """Submits scripts that wait until they are cancelled, and tells how Slurm has read them."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def read(self, text: str, *options: str) -> dict[str, str]:
        """What Slurm says of the job of a script."""
        done = command(["sbatch", "--hold", "--parsable", *options], text)
        assert done.returncode == 0, done.stderr
        self.ids.append(done.stdout.strip())
        shown = command(["scontrol", "show", "job", "-o", self.ids[-1]]).stdout
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)


@pytest.fixture
def held(cluster: None) -> Iterator[Held]:
    made = Held()
    yield made
    cancel(made.ids)


def test_slurm_reads_times_as_profiles_do(held: Held) -> None:
    within = {time: minutes for time, minutes in TIMES.items() if minutes <= 1440}
    for time, minutes in within.items():
        read = held.read("#!/bin/bash\ntrue\n", f"--time={time}")["TimeLimit"]
        meant = held.read(script(profile(time=time, signal_delay=1)).text)["TimeLimit"]
        assert read == meant
        assert profile(time=read, signal_delay=1).minutes == minutes


def test_slurm_reads_the_options_as_they_were_meant(held: Held) -> None:
    where = profile(
        partition="high",
        account="lab",
        qos="low",
        nodelist="n[1-2]",
        nodes=2,
        gpus_per_node=2,
        cpus_per_task=2,
        memory="900MB",
        time="0:40:00",
        array_parallelism=2,
        sbatch={"nice": "7", "wckey": "mine"},
        mail_user="me@example.org",
        mail_type=["END", "FAIL"],
    )
    read = held.read(script(where, count=3).text)
    expected = {
        "Account": "lab",
        "ArrayTaskId": "0-2%2",
        "Comment": "token",
        "CPUs/Task": "2",
        "MailType": "END,FAIL",
        "MailUser": "me@example.org",
        "MinMemoryNode": "900M",
        "Nice": "7",
        "NumNodes": "2-2",
        "NumTasks": "4",
        "Partition": "high",
        "QOS": "low",
        "ReqNodeList": "n[1-2]",
        "Requeue": "1",
        "TimeLimit": "00:40:00",
        "TresPerNode": "gres:gpu:2",
    }
    assert {name: read.get(name) for name in expected} == expected
    evaluation = held.read(script(where.for_evaluation()).text)
    asked = [evaluation[name] for name in ("NumNodes", "NumTasks", "TresPerNode", "ReqNodeList")]
    assert asked == ["1-1", "1", "gres:gpu:1", "(null)"]


@pytest.mark.parametrize(
    "fields",
    [
        {"gpus_per_node": 2, "gpu_request": "gpus_per_node"},
        {"gpus_per_node": 1, "memory_per_gpu": "1GB"},
        {"tasks_per_node": 2, "memory_per_cpu": "200MB", "exclude": "n1"},
        {"memory": "0"},
        {"sbatch": {"exclusive": True, "hint": "nomultithread"}, "environment": {"A": "b c"}},
        {"gpus_per_node": 2, "gpu_request": "none", "sbatch": {"gres": "gpu:2"}},
    ],
    ids=str,
)
def test_the_cluster_would_take_it(cluster: None, fields: dict[str, object]) -> None:
    accepted, said = would_accept(script(profile(**fields)).text)
    assert accepted, said
