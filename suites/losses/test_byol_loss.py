"""One BYOL loss, five published forms of it: they agree in float64 up to their constants."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reference.losses import byol_loss, byol_loss_r1

EXACT = {"rtol": 1e-12, "atol": 1e-12}  # float64, a few hundred products


def embeddings(seed: int, rows: int = 6, width: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """p₁, z₂, p₂, z₁."""
    generator = torch.Generator().manual_seed(seed)
    p1, z2, p2, z1 = torch.randn(4, rows, width, generator=generator, dtype=torch.float64) * 3
    return p1, z2, p2, z1


def byol_pytorch(p: Tensor, z: Tensor) -> Tensor:
    """byol-pytorch, ``loss_fn``: one value a sample."""
    return 2 - 2 * (F.normalize(p, dim=-1, p=2) * F.normalize(z, dim=-1, p=2)).sum(dim=-1)


def deepmind(p: Tensor, z: Tensor) -> Tensor:
    """The authors' ``regression_loss``: squared distance of the normalised vectors."""
    return ((p / p.norm(dim=-1, keepdim=True) - z / z.norm(dim=-1, keepdim=True)) ** 2).sum(dim=-1)


def solo_learn(p: Tensor, z: Tensor) -> Tensor:
    """solo-learn, ``byol_loss_func`` with ``simplified=True``."""
    return 2 - 2 * F.cosine_similarity(p, z.detach(), dim=-1).mean()


def lightly(p: Tensor, z: Tensor) -> Tensor:
    """lightly's ``NegativeCosineSimilarity``."""
    return -F.cosine_similarity(p, z, dim=1).mean()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**16))
def test_published_forms_differ_by_constants_only(seed: int) -> None:
    p1, z2, p2, z1 = embeddings(seed)
    ours = byol_loss(p1, z2, p2, z1)
    torch.testing.assert_close(ours, (byol_pytorch(p1, z2) + byol_pytorch(p2, z1)).mean(), **EXACT)
    torch.testing.assert_close(ours, (deepmind(p1, z2) + deepmind(p2, z1)).mean(), **EXACT)
    torch.testing.assert_close(ours, solo_learn(p1, z2) + solo_learn(p2, z1), **EXACT)
    benchmark, example = 2 * (lightly(p1, z2) + lightly(p2, z1)), (lightly(p1, z2) + lightly(p2, z1)) / 2
    torch.testing.assert_close(ours, 4 + benchmark, **EXACT)
    torch.testing.assert_close(ours, 4 + 4 * example, **EXACT)
    torch.testing.assert_close(ours, 4 + byol_loss_r1(p1, z2, p2, z1), **EXACT)
    torch.testing.assert_close(
        byol_loss_r1(p1, z2, p2, z1),
        -2 * (F.cosine_similarity(p1, z2) + F.cosine_similarity(p2, z1)).mean(),
        **EXACT,
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**16), st.floats(0.01, 100))
def test_range_symmetry_and_scale(seed: int, scale: float) -> None:
    p1, z2, p2, z1 = embeddings(seed)
    loss = byol_loss(p1, z2, p2, z1)
    assert 0 <= loss <= 8
    torch.testing.assert_close(byol_loss(p2, z1, p1, z2), loss, **EXACT)
    torch.testing.assert_close(byol_loss(p1 * scale, z2 * scale, p2, z1), loss, **EXACT)


def test_views_are_crossed() -> None:
    """p₁ meets z₂ and p₂ meets z₁: pairing within a view would read 0 here."""
    view1, view2 = torch.eye(2, dtype=torch.float64)
    loss = byol_loss(view1[None], view2[None], view2[None], view1[None])
    assert float(loss) == pytest.approx(4.0)


def test_extremes() -> None:
    ones = torch.ones(3, 5, dtype=torch.float64)
    assert float(byol_loss(ones, ones, ones, ones)) == pytest.approx(0.0, abs=1e-12)  # collapse
    assert float(byol_loss(ones, -ones, ones, -ones)) == pytest.approx(8.0)
    p1, z2, p2, z1 = embeddings(0, rows=4096, width=256)
    assert float(byol_loss(p1, z2, p2, z1)) == pytest.approx(4.0, abs=0.02)  # 4/√(4096·256) is one sigma


def test_gradient_reaches_predictions_only() -> None:
    p1, z2, p2, z1 = (e.requires_grad_() for e in embeddings(1, rows=3, width=4))
    byol_loss(p1, z2, p2, z1).backward()
    assert p1.grad is not None
    assert p2.grad is not None
    assert z1.grad is None
    assert z2.grad is None
    assert torch.autograd.gradcheck(lambda a, b: byol_loss(a, z2, b, z1), (p1, p2))
    r1 = torch.autograd.grad(byol_loss_r1(p1, z2, p2, z1), p1)[0]
    torch.testing.assert_close(r1, p1.grad, **EXACT)


def test_zero_embedding_is_finite() -> None:
    zero = torch.zeros(2, 4, requires_grad=True)
    loss = byol_loss(zero, zero, zero, zero)
    loss.backward()
    assert loss.isfinite()
    assert zero.grad is not None
    assert zero.grad.isfinite().all()
