"""Jobs on a SLURM cluster, or without one: launched, preempted, killed, and resumed.

`Launcher` submits tasks as a `Profile` says. A task's work is any callable that goes on where it
stopped when it is called again (see `slurm.task.Work`).
"""
