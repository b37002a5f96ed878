"""Broken profiles, and every word of what is said of them: place, value, what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from augspec import SpecError
from equimod.submission.profiles import UnknownProfileError, load_profile
from slurm.profile import Profile, Resources

HEAD = "version: 1\nname: mine\n"
EVALUATION = f"(fields: {', '.join(Resources.model_fields)})"
ALL = f"(fields: {', '.join(Profile.model_fields)})"
TIME = "a time such as '20:00:00' or '2-00:00:00', got"
QUOTED = "a time in quotes, such as '20:00:00' or '2-00:00:00', got"
SIZE = "a size such as '32GB' or '4000MB', got"
MAIL = (
    "'NONE', 'BEGIN', 'END', 'FAIL', 'REQUEUE', 'ALL', 'INVALID_DEPEND', 'STAGE_OUT', "
    "'TIME_LIMIT', 'TIME_LIMIT_90', 'TIME_LIMIT_80', 'TIME_LIMIT_50' or 'ARRAY_TASKS'"
)
MEMORIES = "ask for one of memory, memory_per_cpu, memory_per_gpu"

Says = Callable[..., str]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """What is said of `mine.yaml`, without the lines that show the place."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, assignments: Sequence[str] = (), base: str | None = None) -> str:
        Path("mine.yaml").write_text(f"{HEAD}{text}\n")
        if base is not None:
            Path("base.yaml").write_text(f"version: 1\nname: base\n{base}\n")
        with pytest.raises(SpecError) as error:
            load_profile("mine.yaml", assignments)
        return "\n".join(f"{d.position}: {d.message}" for d in error.value.diagnostics)

    return load


ONE_FIELD = {
    # the text of the third line, the column of the mistake, and what is said
    "parttion: gpu": (
        1,
        f"unknown field 'parttion' in the document; did you mean 'partition'? {ALL}",
    ),
    "gpus: 4": (1, f"unknown field 'gpus' in the document {ALL}"),
    "nodes: two": (8, "must be an integer, got 'two' (a string)"),
    "nodes: true": (8, "must be an integer, got true (a truth value)"),
    "nodes: 0": (8, "must be >= 1, got 0"),
    "retries: -1": (10, "must be >= 0, got -1"),
    "backoff: 1.5": (10, "must be an integer, got 1.5 (a number)"),
    "signal_delay: 70000": (15, "must be <= 65535, got 70000"),
    "time: soon": (7, f"must be {TIME} 'soon'"),
    "time: 20h": (7, f"must be {TIME} '20h'"),
    "time: 1:75": (7, f"must be {TIME} '1:75'"),
    "time: 1:2:3:4": (7, f"must be {TIME} '1:2:3:4'"),
    "time: 1-": (7, f"must be {TIME} '1-'"),
    "time: 0:00:00": (7, f"must be {TIME} '0:00:00'"),
    "time: UNLIMITED": (7, f"must be {TIME} 'UNLIMITED'"),
    "time: 90": (7, f"must be {QUOTED} 90"),
    "time: -5": (7, f"must be {QUOTED} -5"),
    "time: null": (7, f"must be {TIME} null"),
    "memory: 32 GB": (9, f"must be {SIZE} '32 GB'"),
    "memory: 32": (9, f"must be {SIZE} 32"),
    "memory: 32gb": (9, f"must be {SIZE} '32gb'"),
    'account: "me\\nyou"': (10, "must be one line, got 'me\\nyou'"),
    'account: ""': (10, "must not be empty: leave the field out, got ''"),
    "modules: python": (10, "must be a list, got 'python' (a string)"),
    "setup: [cd, 1]": (13, "must be a string, got 1 (an integer)"),
    "environment: {OMP_NUM_THREADS: 4}": (32, "must be a string, got 4 (an integer)"),
    "environment: {1A: x}": (15, "must match the pattern ^[A-Za-z_][A-Za-z0-9_]*$, got '1A'"),
    "executor: loca": (
        11,
        "must be 'slurm', 'local' or 'debug', got 'loca'; did you mean 'local'?",
    ),
    "gpu_request: grs": (
        14,
        "must be 'gres', 'gpus_per_node' or 'none', got 'grs'; did you mean 'gres'?",
    ),
    "mail_type: END": (12, "must be a list, got 'END' (a string)"),
    "mail_type: [SOON]": (13, f"must be {MAIL}, got 'SOON'"),
    "mail_type: [ALL, fail]": (18, f"must be {MAIL}, got 'fail'; did you mean 'FAIL'?"),
    "sbatch: {Hint: here}": (10, "must match the pattern ^[a-z][a-z0-9-]*$, got 'Hint'"),
    "sbatch: {nice: 100}": (
        16,
        "must be text in quotes, or true for an option without a value, got 100",
    ),
    "sbatch: {exclusive: false}": (
        21,
        "must be text in quotes, or true for an option without a value, got false",
    ),
    "evaluation: {prtition: x}": (
        14,
        f"unknown field 'prtition' in evaluation; did you mean 'partition'? {EVALUATION}",
    ),
    "evaluation: {retries: 1}": (14, f"unknown field 'retries' in evaluation {EVALUATION}"),
    "evaluation: {time: soon}": (20, f"must be {TIME} 'soon'"),
}


@pytest.mark.parametrize("text", ONE_FIELD)
def test_a_field_that_is_wrong_by_itself(says: Says, text: str) -> None:
    column, message = ONE_FIELD[text]
    assert says(text) == f"mine.yaml:3:{column}: {message}"


TOGETHER = {
    "mail_type: [END]": "3:12: needs mail_user, an address, got ['END']",
    "gpu_type: a100": "3:11: of no use with gpus_per_node 0, got 'a100'",
    "memory_per_gpu: 8GB": "3:17: of no use with gpus_per_node 0, got '8GB'",
    "gpu_type: a100\ngpus_per_node: 1\ngpu_request: none": (
        "3:11: of no use with gpu_request 'none', got 'a100'"
    ),
    "gpus_per_node: 4\ntasks_per_node: 2": (
        "4:17: must be gpus_per_node (4), since each GPU has one process, got 2"
    ),
    "memory: 1GB\nmemory_per_cpu: 2GB": (
        f"4:17: of no use beside memory ('1GB'): {MEMORIES}, got '2GB'"
    ),
    "memory_per_gpu: 3GB\nmemory_per_cpu: 2GB\nmemory: 1GB\ngpus_per_node: 1": (
        f"3:17: of no use beside memory ('1GB'): {MEMORIES}, got '3GB'\n"
        f"4:17: of no use beside memory ('1GB'): {MEMORIES}, got '2GB'"
    ),
    "signal_delay: 3600": "3:15: must be less than the time limit (3600 s, of '1:00:00'), got 3600",
    "time: 1:00": "3:7: must be more than signal_delay (120 s), got '1:00'",
    "time: 1:00\nsignal_delay: 60": (
        "4:15: must be less than the time limit (60 s, of '1:00'), got 60"
    ),
    "evaluation: {time: 2:00}": "3:20: must be more than signal_delay (120 s), got '2:00'",
    "evaluation: {nodes: 2}": "3:21: must be 1, since one process evaluates, got 2",
    "evaluation: {gpus_per_node: 4}": "3:29: must be 1, since one process evaluates, got 4",
    "evaluation: {tasks_per_node: 3}": "3:30: must be 1, since one process evaluates, got 3",
    "evaluation:\n  gpu_type: a100": "4:13: of no use with gpus_per_node 0, got 'a100'",
    "executor: local\npartition: gpu": "4:12: of no use with `executor: local`, got 'gpu'",
    "executor: debug\nnodes: 2\nsetup: [cd]\nsbatch: {hint: x}\nmemory: 1GB": (
        "4:8: of no use with `executor: debug`, got 2\n"
        "6:9: of no use with `executor: debug`\n"
        "7:9: of no use with `executor: debug`, got '1GB'"
    ),
    "executor: local\nevaluation:\n  nodes: 1": "5:3: of no use with `executor: local`",
    "sbatch: {output: here}": "3:18: 'output' is set by the launcher itself",
    "sbatch: {hint: x, mem: 1G, comment: x}": (
        "3:24: 'mem' has a field of its own: memory\n3:37: 'comment' is set by the launcher itself"
    ),
    "sbatch: {gres: 'gpu:2'}\ngpus_per_node: 2": (
        "3:16: 'gres' asks for gpus_per_node (2) already; gpu_request 'none' leaves it to you"
    ),
}


@pytest.mark.parametrize("text", TOGETHER)
def test_fields_that_do_not_go_together(says: Says, text: str) -> None:
    assert says(text) == "\n".join(f"mine.yaml:{line}" for line in TOGETHER[text].split("\n"))


INHERITED = {
    # what the child says, and its parent; the mistake belongs to the file in which it was written
    ("", "parttion: gpu"): (
        f"base.yaml:3:1: unknown field 'parttion' in the document; did you mean 'partition'? {ALL}"
    ),
    ("", "nodes: two"): "base.yaml:3:8: must be an integer, got 'two' (a string)",
    ("nodes: 0", "nodes: two"): "mine.yaml:4:8: must be >= 1, got 0",
    ("memory_per_cpu: 2GB", "memory: 1GB"): (
        f"mine.yaml:4:17: of no use beside memory ('1GB'): {MEMORIES}, got '2GB'"
    ),
    ("memory: 1GB", "memory_per_cpu: 2GB"): (
        f"base.yaml:3:17: of no use beside memory ('1GB'): {MEMORIES}, got '2GB'"
    ),
    ("executor: local", "partition: gpu"): (
        "base.yaml:3:12: of no use with `executor: local`, got 'gpu'"
    ),
    ("time: 1:00", "signal_delay: 100"): (
        "base.yaml:3:15: must be less than the time limit (60 s, of '1:00'), got 100"
    ),
    ("evaluation: {nodes: 2}", "evaluation: {time: 1:00}"): (
        "base.yaml:3:20: must be more than signal_delay (120 s), got '1:00'\n"
        "mine.yaml:4:21: must be 1, since one process evaluates, got 2"
    ),
}


@pytest.mark.parametrize("both", INHERITED)
def test_mistakes_that_are_inherited(says: Says, both: tuple[str, str]) -> None:
    child, parent = both
    assert says(f"extends: base.yaml\n{child}", base=parent) == INHERITED[both]


def test_a_mistake_that_the_child_mends(says: Says, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("version: 1\nname: base\nnodes: two\nmemory: 1GB\n")
    mended = f"{HEAD}extends: base.yaml\nnodes: 2\nmemory: null\nmemory_per_cpu: 2GB\n"
    (tmp_path / "mended.yaml").write_text(mended)
    profile = load_profile("./mended.yaml")
    assert (profile.nodes, profile.memory, profile.memory_per_cpu) == (2, None, "2GB")


EXTENDS = {
    ("extends: bas.yaml", "nodes: 1"): (
        "mine.yaml:3:10: no such file: bas.yaml; did you mean base.yaml?"
    ),
    ("extends: generic", ""): "mine.yaml:3:10: no such file: generic",
    ("extends: [base.yaml, other.yaml]", ""): (
        "mine.yaml:3:10: a document has one parent: `extends` is one path, got 2"
    ),
    ("extends: mine.yaml", ""): (
        "mine.yaml:3:10: documents extend one another in a circle: mine.yaml -> mine.yaml"
    ),
    ("extends: base.yaml", "extends: mine.yaml"): (
        "base.yaml:3:10: documents extend one another in a circle: "
        "mine.yaml -> base.yaml -> mine.yaml"
    ),
    ("extend: base.yaml", ""): (
        f"mine.yaml:3:1: unknown field 'extend' in the document; did you mean 'extends'? {ALL}"
    ),
}


@pytest.mark.parametrize("both", EXTENDS)
def test_parents_that_cannot_be(says: Says, both: tuple[str, str]) -> None:
    child, parent = both
    assert says(child, base=parent) == EXTENDS[both]


ASSIGNED = {
    ("tme=1",): (
        f"--profile-set:1:1: unknown field 'tme' in the document; did you mean 'time'? {ALL}"
    ),
    ("nodes=2", "time=soon"): f"--profile-set:2:6: must be {TIME} 'soon'",
    ("time",): (
        "--profile-set:1:1: an assignment has the form path=value, such as training.epochs=5"
    ),
    ("nodes=",): (
        "--profile-set:1:6: a value must follow the '='; null for nothing, \"\" for an empty string"
    ),
    ("memory_per_cpu=2GB",): (
        f"--profile-set:1:16: of no use beside memory ('1GB'): {MEMORIES}, got '2GB'"
    ),
    ("executor=local",): "mine.yaml:3:9: of no use with `executor: local`, got '1GB'",
    ("sbatch.output=here",): "--profile-set:1:15: 'output' is set by the launcher itself",
    ("extends=base.yaml",): (
        "--profile-set:1:1: `extends` cannot be assigned: it is read before the assignments, "
        "from the file"
    ),
}


@pytest.mark.parametrize("assignments", ASSIGNED)
def test_mistakes_in_assignments(says: Says, assignments: tuple[str, ...]) -> None:
    assert says("memory: 1GB", assignments) == ASSIGNED[assignments]


def test_the_line_is_shown_with_carets_under_the_value(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{HEAD}executor: local\nqos: dev\n")
    with pytest.raises(SpecError) as error:
        load_profile(path)
    assert str(error.value) == (
        f"{path}:4:6: error: of no use with `executor: local`, got 'dev'\n"
        "  4 | qos: dev\n"
        "    |      ^^^"
    )


def test_without_a_document_the_message_names_the_field() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.nodes: must be 1, .* got 2"):
        Profile.model_validate({"version": 1, "name": "mine", "evaluation": {"nodes": 2}})


def test_a_name_that_no_profile_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(UnknownProfileError) as error:
        load_profile("genric")
    assert str(error.value) == (
        "no profile 'genric'; did you mean 'generic'? (profiles: debug-partition, generic, "
        "in-process, jean-zay-v100, local); or name a file, such as ./genric.yaml"
    )
