"""Kills a training at random moments, again and again, and compares it with one left in peace.

The run is BYOL with EquiMod on the built-in shapes, of about 200 steps, with a checkpoint every
second or so. It is killed 20 times: by every signal that a person or a cluster sends, and by
SIGKILL, some of these in the middle of writing a checkpoint. Then weights, optimiser, records and
curves must be those of a run that nobody disturbed, bit for bit. `--seed` decides the moments.

    python benchmarks/chaos.py                      processes on this machine, about five minutes
    python benchmarks/chaos.py --profile generic    a job on a Slurm cluster, requeued by Slurm
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from chaos_bench.compare import differences, saves, steps_done
from chaos_bench.hosts import Cluster, Host, Processes, until
from pipeline_bench.machine import describe, sentence

from equimod.config import load_run
from equimod.training.checkpoint import CHECKPOINT, load_header
from equimod.training.folder import RunFolder

STEPS, ARM = 200, "byol+equimod"
SETTINGS = (
    "name=chaos",
    "arms={}",
    "method={name: byol, hidden: 512, dim: 64}",
    "equimod={hidden: 512, dim: 64}",
    "data={source: shapes, train: 1600, test: 64}",
    "training.batch_size=32",
    "training.epochs=4",
    "training.checkpoint_minutes=0.02",
    "training.log_every=1",
    "training.warmup_epochs=1",
    "training.evaluate_every=0",
    "evaluation={knn: null, linear: null, equivariance: null, probe: null, baselines: []}",
)
DURING_WRITE = "SIGKILL while a checkpoint is written"


@dataclass(frozen=True)
class Kill:
    """A kill that was made.

    Attributes:
        kind: how.
        step: steps recorded at that moment.
        resumed: the step from which the run went on.
        half: whether a checkpoint was left half-written.
    """

    kind: str
    step: int
    resumed: int
    half: bool

    @property
    def lost(self) -> int:
        """Steps that had been recorded, and were done again."""
        return max(0, self.step - self.resumed)


def prepare(root: Path) -> RunFolder:
    """Writes the run's document into a folder."""
    quickstart = Path(__file__).parent.parent / "specs" / "runs" / "quickstart.yaml"
    run = load_run(quickstart, SETTINGS)
    folder = RunFolder(root)
    folder.record_settings(run)
    return folder


def torture(host: Host, arm: Path, kills: int, draw: random.Random) -> list[Kill]:
    """Runs to the end, killed `kills` times on the way."""
    kinds = [DURING_WRITE if k % 4 == 3 else host.kinds[k % len(host.kinds)] for k in range(kills)]
    draw.shuffle(kinds)
    moments = sorted(draw.randrange(1, STEPS) for _ in range(kills))
    made: list[Kill] = []
    host.start()
    for kind, moment in zip(kinds, moments, strict=True):
        target = max(moment, made[-1].resumed + 1 if made else 1)
        until(lambda target=target: steps_done(arm) >= target or host.ended(), f"step {target}")
        if host.ended():
            break
        if kind == DURING_WRITE:
            until(lambda: half_written(arm) or host.ended(), "a checkpoint", 0.0005)
        else:
            time.sleep(draw.random() * 0.1)
        at = steps_done(arm)
        host.kill(next(k for k in host.kinds if "KILL" in k) if kind == DURING_WRITE else kind)
        host.down()
        half = half_written(arm)
        if not host.again():
            break
        made.append(Kill(kind, at, checkpoint_step(arm), half))
    until(host.ended, "the end", 0.1)
    return made


def half_written(arm: Path) -> bool:
    """Whether a checkpoint is being written there, or was when the run was killed."""
    return any(arm.glob(f".{CHECKPOINT}.*"))


def checkpoint_step(arm: Path) -> int:
    """The step of the checkpoint that lies there; 0 without one."""
    path = arm / CHECKPOINT
    return int(load_header(path)["step"]) if path.is_file() else 0


def main() -> int:
    """Runs the benchmark; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", help="of the cluster; without it, processes on this machine")
    parser.add_argument("--out", type=Path, help="keep both runs here")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    given = parser.parse_args()
    machine = describe("cpu", torch.get_num_threads())
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out.absolute() if given.out else Path(temporary)
        return report(out, given, machine)


def report(out: Path, given: argparse.Namespace, machine: dict[str, object]) -> int:
    """Makes both runs and prints what came out."""
    quiet, tortured = (prepare(out / name) for name in ("quiet", "tortured"))
    alone = Processes(quiet.root)
    alone.start()
    began = time.monotonic()
    until(alone.ended, "the quiet run", 0.05)
    alone_seconds = time.monotonic() - began
    alone.close()
    host: Host = (
        Cluster(tortured.root, given.profile) if given.profile else Processes(tortured.root)
    )
    began = time.monotonic()
    try:
        made = torture(host, tortured.arm(ARM), given.kills, random.Random(given.seed))
    finally:
        host.close()
    seconds = time.monotonic() - began
    found = differences(quiet.arm(ARM), tortured.arm(ARM))
    show(made, alone_seconds, seconds, found, tortured.arm(ARM))
    print(sentence(machine))
    if given.json:
        figures = {
            "machine": machine,
            "kills": [vars(kill) for kill in made],
            "seconds": seconds,
            "differences": found,
        }
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if found or not made else 0


def show(made: list[Kill], alone: float, seconds: float, found: list[str], arm: Path) -> None:
    """Prints the table."""
    print(f"{'kill':42}{'at step':>8}{'on from':>9}{'lost':>6}  left")
    for kill in made:
        left = "  half a checkpoint" if kill.half else ""
        print(f"{kill.kind:42}{kill.step:8}{kill.resumed:9}{kill.lost:6}{left}")
    lost = [kill.lost for kill in made]
    print(f"kills {len(made)}, resumes {len(made)}, steps {STEPS}")
    if lost:
        middle = statistics.median(lost)
        print(f"lost steps: {sum(lost)} in all, {middle:g} in the median, most {max(lost)}")
    print(f"checkpoints: {saves(arm)}")
    print(f"seconds: {alone:.1f} undisturbed, {seconds:.1f} with the kills")
    print("DIFFERENT:" if found else "the same bit for bit: weights, optimiser, records, curves")
    for line in found:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
