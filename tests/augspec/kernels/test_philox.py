"""Philox: the published known answers, and what a draw may depend on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from augspec.kernels.philox import MAX_UNIFORMS, StreamTable, philox4x32, uniforms

# Random123 kat_vectors, "philox4x32 10": counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
WORDS = st.integers(0, 2**32 - 1)


def words(text: str) -> torch.Tensor:
    return torch.tensor([int(word, 16) for word in text.split()])


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter: str, key: str, answer: str) -> None:
    assert torch.equal(philox4x32(words(counter), words(key)), words(answer))


def test_key_broadcasts_over_counters() -> None:
    counters = torch.stack([words(counter) for counter, _, _ in KNOWN_ANSWERS])
    keys = torch.stack([words(key) for _, key, _ in KNOWN_ANSWERS])
    answers = torch.stack([words(answer) for _, _, answer in KNOWN_ANSWERS])
    assert torch.equal(philox4x32(counters, keys), answers)
    assert torch.equal(philox4x32(counters[:, None], keys)[2, 2], answers[2])


def test_counter_words_are_the_documented_ones() -> None:
    identity = (5 << 32) | 7
    drawn = uniforms(torch.tensor([identity]), seed=3, epoch=4, streams=[(1, 9, 6)])[0][0]
    blocks = [
        philox4x32(torch.tensor([7, 1, 9, (5 << 8) | block]), torch.tensor([3, 4]))
        for block in (0, 1)
    ]
    assert torch.equal(drawn, ((torch.cat(blocks).double() + 0.5) / 2**32)[:6])


@given(
    ids=st.lists(st.integers(0, 2**56 - 1), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
    seed=WORDS,
    epoch=WORDS,
    view=WORDS,
    slot=WORDS,
)
def test_a_draw_depends_on_its_own_sample_only(ids, order, seed, epoch, view, slot) -> None:
    streams = [(view, slot, 5), (view ^ 1, slot, 1)]
    together = uniforms(torch.tensor(ids), seed=seed, epoch=epoch, streams=streams)
    shuffled = list(range(len(ids)))
    order.shuffle(shuffled)
    permuted = torch.tensor([ids[i] for i in shuffled])
    for stream, whole in zip(reversed(streams), reversed(together), strict=True):
        alone = uniforms(permuted, seed=seed, epoch=epoch, streams=[stream])[0]
        assert torch.equal(alone, whole[shuffled])


@given(short=st.integers(0, 40), long=st.integers(0, MAX_UNIFORMS))
def test_a_longer_stream_starts_with_the_shorter_one(short: int, long: int) -> None:
    short, long = sorted((short, long))
    ids = torch.arange(3)
    few, many = uniforms(ids, seed=1, epoch=2, streams=[(0, 5, short), (0, 5, long)])
    assert few.shape == (3, short)
    assert many.shape == (3, long)
    assert torch.equal(few, many[:, :short])


@pytest.mark.parametrize("change", ["seed", "epoch", "view", "slot"])
def test_every_word_of_the_address_matters(change: str) -> None:
    address = {"seed": 1, "epoch": 1, "view": 1, "slot": 1}

    def draw(**where: int) -> torch.Tensor:
        streams = [(where["view"], where["slot"], 8)]
        ids = torch.arange(64)
        return uniforms(ids, seed=where["seed"], epoch=where["epoch"], streams=streams)[0]

    first, second = draw(**address), draw(**{**address, change: 2})
    assert not (first == second).any()
    assert abs(torch.corrcoef(torch.stack((first.ravel(), second.ravel())))[0, 1]) < 0.2


def test_draws_are_uniform_and_inside_the_open_interval() -> None:
    drawn = uniforms(torch.arange(20_000), seed=7, epoch=0, streams=[(2, 3, 4)])[0]
    assert drawn.dtype == torch.float64
    assert drawn.min() > 0.0
    assert drawn.max() < 1.0
    for column in drawn.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1, "epoch": 0, "streams": []}, "seed is -1"),
        ({"seed": 0, "epoch": 2**32, "streams": []}, "epoch is 4294967296"),
        ({"seed": 0, "epoch": 0, "streams": [(0, 0, MAX_UNIFORMS + 1)]}, "asks for 1025"),
        ({"seed": 0, "epoch": 0, "streams": [(-1, 0, 1)]}, "view is -1"),
        ({"seed": 0, "epoch": 0, "streams": [(0, 2**32, 1)]}, "slot is 4294967296"),
    ],
)
def test_words_out_of_range_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        uniforms(torch.arange(2), **arguments)


@given(ids=st.lists(st.integers(0, 2**56 - 1), max_size=9), seed=WORDS, epoch=WORDS)
def test_machine_code_draws_what_tensors_draw(ids: list[int], seed: int, epoch: int) -> None:
    stacks = [[(0, 2**32 - 1, 23)], [(5, 1, 6), (6, 1, 6), (7, 9, 6)], [(3, 2, 0)], [(3, 3, 1)] * 2]
    table, samples = StreamTable(stacks), torch.tensor(ids, dtype=torch.int64)
    drawn = table.uniforms(samples, seed, epoch)
    rows = table._by_tensors(samples, seed, epoch)
    assert torch.equal(torch.cat([x.t().reshape(-1) for x in drawn]), rows.reshape(-1))


def test_the_streams_of_a_stack_lie_one_below_the_other() -> None:
    ids = torch.tensor([7, 2**40, 0])
    stacks = [[(5, 1, 6), (6, 1, 6)], [(7, 9, 1)]]
    for stack, drawn in zip(stacks, StreamTable(stacks).uniforms(ids, 1, 2), strict=True):
        assert torch.equal(drawn, torch.cat(uniforms(ids, seed=1, epoch=2, streams=stack)))
        assert drawn.t().is_contiguous()
    with pytest.raises(ValueError, match="streams of one stack ask for 6 and 5 uniforms"):
        StreamTable([[(5, 1, 6), (6, 1, 5)]])


def test_ids_of_another_type_or_layout() -> None:
    ids, streams = torch.tensor([3, 0, 99, 1, 4, 2]), [(0, 1, 5)]
    expected = uniforms(ids[::2].contiguous(), seed=1, epoch=2, streams=streams)[0]
    for other in (ids[::2], ids.int()[::2], ids.byte()[::2]):
        assert torch.equal(uniforms(other, seed=1, epoch=2, streams=streams)[0], expected)


def test_nothing_asked_for_is_nothing_drawn() -> None:
    assert uniforms(torch.arange(2), seed=0, epoch=0, streams=[]) == []
    assert uniforms(torch.arange(0), seed=0, epoch=0, streams=[(0, 0, 3)])[0].shape == (0, 3)


def test_compiles_to_the_same_draws() -> None:
    ids, streams = torch.arange(5), [(0, 1, 3), (1, 1, 6)]
    compiled = torch.compile(uniforms, fullgraph=True, backend="aot_eager")
    for mine, eager in zip(
        compiled(ids, seed=1, epoch=2, streams=streams),
        uniforms(ids, seed=1, epoch=2, streams=streams),
        strict=True,
    ):
        assert torch.equal(mine, eager)
    table = StreamTable([[(0, 1, 3)]])
    torch.compile(table.uniforms, fullgraph=True, backend="aot_eager")(ids, 1, 2)
    # nothing of the tracer's is left in it
    assert torch.equal(table._by_tensors(ids, 1, 2).t(), table.uniforms(ids, 1, 2)[0])


@pytest.mark.gpu
def test_a_gpu_draws_the_same_bits() -> None:
    ids = torch.arange(10_000) * 2**40
    streams = [(0, 1, 3), (1, 2**32 - 1, 9)]
    here = uniforms(ids, seed=2**32 - 1, epoch=1, streams=streams)
    there = uniforms(ids.cuda(), seed=2**32 - 1, epoch=1, streams=streams)
    for mine, theirs in zip(here, there, strict=True):
        assert torch.equal(mine, theirs.cpu())
