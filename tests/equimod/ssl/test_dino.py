"""DINO: its loss written out, its centre, temperatures, prototypes and views."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn.utils.parametrizations import weight_norm

from equimod.encoders import Encoder
from equimod.ssl import DINO, DINOConfig
from equimod.ssl.dino import Prototypes, dino_loss


def fixed(rows: int, columns: int, phase: float) -> Tensor:
    i = torch.arange(rows, dtype=torch.float64)[:, None]
    j = torch.arange(columns, dtype=torch.float64)
    return torch.sin(1.7 * i + 0.9 * j * j + phase) + 0.1 * j


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(v) for v in values]
    return [e / sum(exponentials) for e in exponentials]


def method(**options: object) -> tuple[DINO, nn.Module]:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 8))
    small = {"hidden": 16, "bottleneck": 6, "prototypes": 10, "ema_start": 0.9, **options}
    return DINO(encoder, 8, **small), encoder  # type: ignore[arg-type]


def images(seed: int, *sizes: int) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(5, 3, size, size, generator=g) for size in sizes]


@pytest.mark.parametrize("crops", [0, 2])
def test_the_loss_is_the_loop_over_pairs_of_views(crops: int) -> None:
    teacher = [fixed(3, 5, 0.0), fixed(3, 5, 1.0)]
    student = [fixed(3, 5, 0.2 * k) for k in range(2 + crops)]
    center = torch.linspace(-0.2, 0.3, 5, dtype=torch.float64)
    terms = []
    for q, t in enumerate(teacher):
        for v, s in enumerate(student):
            if v == q:
                continue
            for n in range(3):
                target = softmax(
                    [(x - c) / 0.05 for x, c in zip(t[n].tolist(), center.tolist(), strict=True)]
                )
                guess = softmax([x / 0.1 for x in s[n].tolist()])
                terms.append(-sum(p * math.log(g) for p, g in zip(target, guess, strict=True)))
    expected = sum(terms) / len(terms)
    assert len(terms) == 3 * (2 + 2 * crops)
    found = dino_loss(student, teacher, center, 0.1, 0.05)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_values_and_the_centre_are_lightlys() -> None:
    """Those of `DINOLoss(output_dim=5, student_temp=0.1, center_momentum=0.9)` of lightly 1.6.0.

    In float64, called twice. Conventions that differ: the teacher's temperature is given at each
    call, in float32, or warmed up by epochs, and the centre moves in evaluation mode, too.
    """
    teacher = [fixed(3, 5, 0.0), fixed(3, 5, 1.0)]
    student = [fixed(3, 5, 0.2 * k) for k in range(4)]
    dino = method(prototypes=5, center_momentum=0.9)[0].double()
    first = dino_loss(student, teacher, dino.center, 0.1, torch.tensor(0.05))
    assert first.item() == pytest.approx(0.6024367303950626, rel=1e-12)
    dino._move_center(torch.cat(teacher))
    assert dino.center.tolist() == pytest.approx(
        [
            0.017556208326297455,
            0.01090290911446922,
            0.009911330944571708,
            0.013329979030606497,
            0.02309836484442297,
        ],
        rel=1e-12,
    )
    second = dino_loss(student[:2], teacher, dino.center, 0.1, torch.tensor(0.07))
    assert second.item() == pytest.approx(1.1679582747172235, rel=1e-12)


def test_collapsed_and_perfect_students_give_known_values() -> None:
    sharp = 100 * torch.eye(4, dtype=torch.float64)
    center = torch.zeros(4, dtype=torch.float64)
    flat = torch.zeros(4, 4, dtype=torch.float64)
    for views in (2, 5):
        assert dino_loss([sharp] * views, [sharp] * 2, center, 1, 1).item() < 1e-20
        found = dino_loss([flat] * views, [sharp] * 2, center, 0.1, 0.04)
        assert found.item() == pytest.approx(math.log(4), rel=1e-12)
    # a centre equal to the teacher's constant output leaves it nothing to say
    constant = torch.tensor([[3.0, 1.0, 0.0, -2.0]], dtype=torch.float64).expand(4, 4)
    found = dino_loss([constant] * 2, [constant] * 2, constant[0], 1, 0.04)
    expected = -constant[0].log_softmax(0).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_loss_forgets_what_softmax_forgets() -> None:
    teacher, student = (
        [fixed(3, 5, 0.0), fixed(3, 5, 1.0)],
        [fixed(3, 5, 0.2 * k) for k in range(3)],
    )
    center = torch.zeros(5, dtype=torch.float64)
    expected = dino_loss(student, teacher, center, 0.1, 0.05).item()
    for shifted in (
        dino_loss([s + 3 for s in student], teacher, center, 0.1, 0.05),
        dino_loss(student, [t - 2 for t in teacher], center, 0.1, 0.05),
        dino_loss(student, teacher, center + 1, 0.1, 0.05),
        dino_loss([student[1], student[0], student[2]], teacher[::-1], center, 0.1, 0.05),
    ):
        assert shifted.item() == pytest.approx(expected, rel=1e-9)


def test_gradients_reach_the_student_only() -> None:
    teacher = [fixed(3, 4, 0.0).requires_grad_(), fixed(3, 4, 1.0).requires_grad_()]
    student = [fixed(3, 4, 0.2 * k).requires_grad_() for k in range(3)]
    center = torch.zeros(4, dtype=torch.float64)
    assert gradcheck(lambda *s: dino_loss(s, teacher, center, 0.5, 0.2), student)
    dino_loss(student, teacher, center, 0.5, 0.2).backward()
    assert all(t.grad is None for t in teacher)


def test_the_loss_compares_the_heads_logits_of_all_views() -> None:
    dino, encoder = method()
    with torch.no_grad():
        for p in dino.target.parameters():
            p.add_(0.1 * torch.randn(p.shape))
        dino.center.copy_(torch.linspace(-1, 1, 10))
    x = images(1, 8, 8, 4, 4, 6)
    student = [dino.projector(encoder(v)) for v in x]
    teacher = [dino.target(v) for v in x[:2]]
    expected = dino_loss(student, teacher, dino.center.clone(), 0.1, 0.04)
    center = 0.9 * dino.center + 0.1 * torch.cat(teacher).mean(0)
    found = dino(x, [encoder(v) for v in x])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(dino.center, center)
    dino.eval()([*x], [encoder(v) for v in x])
    torch.testing.assert_close(dino.center, center)
    with pytest.raises(ValueError, match="images of 2 and features of 3"):
        dino(x[:2], [encoder(v) for v in x[:3]])
    with pytest.raises(ValueError, match="2 views or more, but got images of 1"):
        dino(x[:1], [encoder(v) for v in x[:1]])


def test_prototypes_are_torchs_weight_normalised_layer() -> None:
    torch.manual_seed(0)
    ours = Prototypes(6, 10, learn_lengths=True).double()
    linear = nn.Linear(6, 10, bias=False).double()
    with torch.no_grad():
        linear.weight.copy_(ours.directions)
        ours.lengths.uniform_(0.5, 2)
    theirs = weight_norm(linear)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.copy_(ours.lengths)
    x = fixed(3, 6, 0.3)
    expected = theirs(nn.functional.normalize(x, dim=1))
    torch.testing.assert_close(ours(x), expected, rtol=1e-12, atol=1e-12)
    fixed_lengths = Prototypes(6, 10).double()
    assert [name for name, _ in fixed_lengths.named_parameters()] == ["directions"]
    aligned = fixed_lengths(7 * fixed_lengths.directions)
    assert aligned.diagonal().tolist() == pytest.approx([1.0] * 10)
    assert aligned.abs().max() <= 1 + 1e-12


def test_the_teachers_temperature_warms_up_and_is_restored() -> None:
    dino, _ = method(warmup=0.4, warmup_temperature=0.04, teacher_temperature=0.07)
    seen = [dino.teacher_temperature.item()]
    for progress in (0.1, 0.2, 0.4, 1.0):
        dino.after_step(progress)
        seen.append(dino.teacher_temperature.item())
    assert seen == pytest.approx([0.04, 0.0475, 0.055, 0.07, 0.07], rel=1e-6)
    other, _ = method(warmup=0.4)
    other.load_state_dict(copy.deepcopy(dino.state_dict()))
    assert other.teacher_temperature.item() == pytest.approx(0.07)
    assert method(warmup=0, teacher_temperature=0.05)[
        0
    ].teacher_temperature.item() == pytest.approx(0.05)


def test_prototypes_are_frozen_at_first() -> None:
    dino, encoder = method(freeze=0.25)
    x = images(2, 8, 8)
    optimizer = torch.optim.AdamW([p for p in dino.parameters() if p.requires_grad], weight_decay=1)
    for progress, moves in ((0.0, False), (0.2, False), (0.25, True)):
        before = dino.projector[-1].directions.clone()
        hidden = dino.projector[0].weight.clone()
        optimizer.zero_grad()
        dino(x, [encoder(v) for v in x]).backward()
        dino.before_step(progress)
        optimizer.step()
        assert torch.equal(before, dino.projector[-1].directions) != moves
        assert not torch.equal(hidden, dino.projector[0].weight)


def test_the_teacher_follows_encoder_and_head() -> None:
    dino, encoder = method(ema_start=0.9)
    online = [*encoder.parameters(), *dino.projector.parameters()]
    before = [p.clone() for p in dino.target.parameters()]
    with torch.no_grad():
        for p in online:
            p.add_(1.0)
    dino.after_step(0.5)
    for a, b, o in zip(before, dino.target.parameters(), online, strict=True):
        torch.testing.assert_close(b, 0.95 * a + 0.05 * o)
        assert not b.requires_grad


def test_a_student_learns_what_a_teacher_that_stands_still_says() -> None:
    dino, encoder = method(ema_start=1.0, freeze=0, prototypes=24, hidden=32)
    trained = [*encoder.parameters(), *(p for p in dino.parameters() if p.requires_grad)]
    optimizer = torch.optim.Adam(trained, lr=3e-3)
    teacher = [p.clone() for p in dino.target.parameters()]
    colours = torch.randn(16, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    losses = []
    for step in range(150):
        g = torch.Generator().manual_seed(step)
        x = [colours + 0.1 * torch.randn(16, 3, n, n, generator=g) for n in (8, 8, 4)]
        loss = dino(x, [encoder(v) for v in x])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        dino.after_step((step + 1) / 150)
        losses.append(loss.item())
    # until the centre has settled, all targets are one
    assert sum(losses[-10:]) < 0.7 * sum(losses[25:35])
    assert sum(losses[-10:]) / 10 < 0.7 * math.log(24)
    for a, b in zip(teacher, dino.target.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_head_is_the_published_one() -> None:
    dino = DINOConfig(prototypes=512).build(Encoder(nn.Identity(), 8))
    linear = [m for m in dino.projector if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (8, 2048),
        (2048, 2048),
        (2048, 256),
    ]
    assert [type(m) for m in dino.projector[1:5:2]] == [nn.GELU, nn.GELU]
    assert len(dino.projector) == 6
    assert all(not m.bias.any() for m in linear)
    assert linear[1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert dino.projector[-1].directions.shape == (512, 256)
    assert DINOConfig().prototypes == 65536
