"""Evaluate printed formulas as they are in the claims file, and compare them with ``reference``.

Both sides get the same fixed numbers in float64. If the two agree to ``TOLERANCE``, the found number is
written as the printed one, so that no last digit decides. Else both are shown with ``DIGITS`` digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.checks import notation, tiny
from bench.claims.claim import Claim
from reference.errors import InputError
from reference.recipes import RECIPES

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from reference.models.byol import BYOL

TOLERANCE = 1e-9
FLOAT32 = 1e-6
"""For what the reference itself computes in float32: mixup's labels."""
DIGITS = 8

P = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.9999)
"""Probabilities from both ends of (0, 1): two power series in 1 - p that agree at all of these are one."""
GAMMAS = (0.5, 2.0, 5.0)
EPSILONS = (1.25, -0.5, 0.75)

Finding = tuple[Any, Any]
"""What is printed and what we find."""


def agreeing(printed: Any, found: Any, tolerance: float = TOLERANCE) -> tuple[list[str], list[str]]:
    """Write two lists of numbers as texts that are equal where the numbers agree; nan agrees with nothing."""
    texts, ours = [], []
    for left, right in zip(_flat(printed), _flat(found), strict=True):
        texts.append(f"{left:.{DIGITS}g}" if np.isfinite(left) else "no finite value")
        near = abs(left - right) <= tolerance * max(1.0, abs(left))
        ours.append(texts[-1] if near else f"{right:.{DIGITS}g}")
    return texts, ours


def _flat(values: Any) -> list[float]:
    tensor = values.detach().numpy() if hasattr(values, "detach") else values
    return [float(value) for value in np.asarray(tensor, np.float64).ravel()]


def _compared(names: list[str], printed: list[Any], ours: list[Any], tolerance: float = TOLERANCE) -> Finding:
    pairs = [agreeing(left, right, tolerance) for left, right in zip(printed, ours, strict=True)]
    return dict(zip(names, (p for p, _ in pairs), strict=True)), dict(
        zip(names, (f for _, f in pairs), strict=True)
    )


def _statements(claim: Claim) -> tuple[notation.Statement, ...]:
    if claim.formula is None:
        raise InputError(f"{claim.id}: no formula; a check of one needs it")
    return notation.parse_formula(claim.formula)


def _implementation(claim: Claim) -> Callable[..., Tensor]:
    """Return the loss that the claim names."""
    from reference import losses

    function = getattr(losses, claim.implements or "", None)
    if function is None:
        raise InputError(f"{claim.id}: implements {claim.implements!r}: no such loss in reference.losses")
    loss: Callable[..., Tensor] = function
    return loss


def _byol(claim: Claim) -> BYOL:
    return tiny.byol(RECIPES[claim.recipe or ""].model_args)


# BYOL --------------------------------------------------------------------------------------------------


def _four() -> tuple[Tensor, ...]:
    """Return predictions and target projections of three images: q(z1), z1', q(z2), z2', (3, 5) each."""
    return tuple(tiny.fixed(3, 5, start=start) for start in (0.0, 1.1, 2.3, 3.9))


def byol_loss_both(claim: Claim) -> Finding:
    """Check R1's loss of an image, and that its pre-training uses it."""
    loss, (statement,) = _implementation(claim), _statements(claim)
    q1, t1, q2, t2 = _four()
    vectors = {"z1": q1, "z1'": t1, "z2": q2, "z2'": t2}
    printed = [
        statement.sides[-1]({name: vector[i] for name, vector in vectors.items()} | {"q": lambda z: z})
        for i in range(3)
    ]
    each = [loss(q1[i : i + 1], t1[i : i + 1], q2[i : i + 1], t2[i : i + 1]) for i in range(3)]
    left, right = _compared(["l of three images"], [printed], [each])
    return left | {"loss": claim.implements}, right | {"loss": RECIPES[claim.recipe or ""].loss}


def byol_loss_single(claim: Claim) -> Finding:
    """Check R3's loss of one direction; the other is 0 since prediction and target coincide."""
    loss, (statement,) = _implementation(claim), _statements(claim)
    q, t, same, _ = _four()
    printed = [[side({"q": q[i], "z'": t[i]}) for i in range(3)] for side in statement.sides[1:]]
    each = [loss(q[i : i + 1], t[i : i + 1], same[i : i + 1], same[i : i + 1]) for i in range(3)]
    names = [f"side {position} of the equation, three images" for position in range(1, len(printed) + 1)]
    left, right = _compared(names, printed, [each] * len(printed))
    return left | {"loss": claim.implements}, right | {"loss": RECIPES[claim.recipe or ""].loss}


def byol_loss_sum(claim: Claim) -> Finding:
    """Check that both directions are added, each the squared distance of unit vectors."""
    loss, (statement,) = _implementation(claim), _statements(claim)
    q1, t1, q2, t2 = _four()
    names = {"L": _distance(q1, t1), "L~": _distance(q2, t2)}
    return _compared(["the sum, averaged over images"], [statement.sides[-1](names)], [loss(q1, t1, q2, t2)])


def _distance(a: Tensor, b: Tensor) -> Tensor:
    unit = [x / x.square().sum(-1, keepdim=True).sqrt() for x in (a, b)]
    return (unit[0] - unit[1]).square().sum(-1).mean()


def byol_views(claim: Claim) -> Finding:
    """Find by a small BYOL which view goes through which network."""
    model, (first, second) = _byol(claim), tiny.views()
    names: dict[str, Any] = {
        "f": model.encoder, "g": model.projector, "f'": model.target_encoder, "g'": model.target_projector,
        "x": None, "t": lambda _: first, "t'": lambda _: second,
    }  # fmt: skip
    printed = {statement.target: statement.sides[-1](names) for statement in _statements(claim)}
    answer = model(first, second)
    # The loss compares each prediction with the target after it: the pair is one direction.
    ours = {"z1'": answer.target2, "z2'": answer.target1}
    for name in ("z1", "z2"):
        if name in printed:
            printed[name] = model.predictor(printed[name])
    ours |= {"z1": answer.prediction1, "z2": answer.prediction2}
    labels = {name: f"q({name})" if name in ("z1", "z2") else name for name in printed}
    return _compared(list(labels.values()), list(printed.values()), [ours[name] for name in printed])


def byol_gradient(claim: Claim) -> Finding:
    """Compare the gradient and the optimiser's first step of a linear predictor over seven images."""
    import torch

    loss, recipe = _implementation(claim), RECIPES[claim.recipe or ""]
    count, rate = 7, recipe.phases[0].lr
    z1, t1, z2, t2 = (tiny.fixed(count, 4, start=start) for start in (0.0, 1.1, 2.3, 3.9))
    theta = torch.nn.Parameter(tiny.fixed(4, 4, start=5.0))

    def image_loss(i: int) -> Tensor:
        cosines = [_cosine(theta @ z[i], t[i]) for z, t in ((z1, t1), (z2, t2))]
        return -2 * (cosines[0] + cosines[1])

    names: dict[str, Any] = {
        "N": count, "l": image_loss, "theta": theta, "eta_k": rate,
        "d": lambda value, by: torch.autograd.grad(value, by)[0],
        "optimizer": _first_step(recipe.phases[0].optimizer),
    }  # fmt: skip
    gradient, step = _statements(claim)
    printed = [gradient.sides[-1](names)]
    printed.append(step.sides[-1](names | {gradient.target: printed[0]}))
    loss(z1 @ theta.T, t1, z2 @ theta.T, t2).backward()  # type: ignore[no-untyped-call]
    assert theta.grad is not None
    ours = [theta.grad.clone()]
    _optimizer(recipe.phases[0].optimizer)([theta], lr=rate).step()
    ours.append({"theta": theta}.get(step.target, z1))
    return _compared(["gradient", "parameters after a step"], printed, ours)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return a @ b / ((a @ a) * (b @ b)).sqrt()


def _optimizer(name: str) -> Callable[..., torch.optim.Optimizer]:
    import torch

    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
    }  # fmt: skip
    return optimizers[name]


def _first_step(name: str) -> Callable[[Any, Any, float], Any]:
    """Write out an optimiser's first step with torch's defaults: Adam's moments are then g and g²."""
    steps: dict[str, Callable[[Any, Any, float], Any]] = {
        "sgd": lambda theta, g, eta: theta - eta * g,
        "adam": lambda theta, g, eta: theta - eta * g / (abs(g) + 1e-8),
        "adamw": lambda theta, g, eta: theta * (1 - 0.01 * eta) - eta * g / (abs(g) + 1e-8),
    }
    return steps[name]


def byol_average(claim: Claim) -> Finding:
    """Compute the online (theta) and target parameters (xi) after an update, tensor by tensor."""
    model, recipe = _byol(claim), RECIPES[claim.recipe or ""]
    online, target = _parameters(model)
    before = {name: (theta.detach().clone(), xi.clone()) for name, theta, xi in _pairs(online, target)}
    gradients = _gradients(model, recipe.loss)
    rate, tau = recipe.phases[0].lr, recipe.tau
    optimizer = recipe.phases[0].optimizer
    statements = _statements(claim)
    if len(statements) > 1:  # the report prints the optimiser's step too
        _optimizer(optimizer)([p for p in model.parameters() if p.requires_grad], lr=rate).step()
    getattr(model, claim.implements or "ema_update")(tau)

    targets = [statement.target for statement in statements]
    printed: dict[str, list[Any]] = {name: [] for name in targets}
    ours: dict[str, list[Any]] = {name: [] for name in targets}
    for name, theta, xi in _pairs(online, target):
        names: dict[str, Any] = {
            "theta": before[name][0], "xi": before[name][1], "tau": tau, "tau_k": tau, "eta": rate,
            "L_BYOL": name, "grad": gradients.__getitem__, "optimizer": _first_step(optimizer),
        }  # fmt: skip
        for statement in statements:
            names[statement.target] = statement.sides[-1](names)
            printed[statement.target].append(names[statement.target].sum())
        for key in targets:
            ours[key].append({"theta": theta, "xi": xi}[key].detach().sum())
    labels = [f"{name}, summed over each tensor" for name in targets]
    return _compared(
        labels,
        [[value.item() for value in printed[name]] for name in targets],
        [[value.item() for value in ours[name]] for name in targets],
    )


def byol_average_in_words(claim: Claim) -> Finding:
    """Check that the target becomes a weighted mean in which it has the greater part itself."""
    model, recipe = _byol(claim), RECIPES[claim.recipe or ""]
    online, target = _parameters(model)
    before = {name: xi.clone() for name, _, xi in _pairs(online, target)}
    getattr(model, claim.implements or "ema_update")(recipe.tau)
    shares = [
        float(((xi - before[name]) / (theta.detach() - before[name])).mean())
        for name, theta, xi in _pairs(online, target)
    ]
    is_mean = max(shares) - min(shares) <= TOLERANCE and 0 < shares[0] < 1
    way = "slow-moving average" if is_mean and shares[0] < 0.5 else "fast-moving average"
    return claim.formula, f"target <- {way if is_mean else 'no average'} of online"


def _parameters(model: BYOL) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return online and target parameters, both under the online names."""
    target: dict[str, Tensor] = {
        name.removeprefix("target_"): parameter
        for name, parameter in model.named_parameters()
        if name.startswith("target_")
    }
    return {name: p for name, p in model.named_parameters() if name in target}, target


def _pairs(online: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[tuple[str, Tensor, Tensor]]:
    return [(name, online[name], target[name]) for name in online]


def _gradients(model: BYOL, loss: str) -> dict[str, Tensor]:
    from reference.losses import BYOL as BYOL_LOSSES

    BYOL_LOSSES[loss](*model(*tiny.views())).backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


# Losses over classes -----------------------------------------------------------------------------------


def _loss_at(loss: Callable[..., Tensor], **options: Any) -> list[float]:
    """Return the loss of a sample for each probability of its true class in ``P``."""
    import torch

    p = torch.tensor(P, dtype=torch.float64)
    logits = torch.stack([p.log(), torch.log1p(-p)], dim=1)
    return [float(loss(row[None], torch.tensor([0]), **options)) for row in logits]


def _column() -> dict[str, Any]:
    """Return the names that a formula of the true class's probability may use."""
    return {"p": np.array(P)[:, None], "log": np.log}


def cross_entropy_series(claim: Claim) -> Finding:
    """Check both sides of the series against the loss."""
    ours = _loss_at(_implementation(claim))
    (statement,) = _statements(claim)
    sides = [side(_column()) for side in statement.sides]
    return _compared(["-log p", "its series"], sides, [ours, ours])


def focal_series(claim: Claim) -> Finding:
    """Check both sides of the series against the loss, at several gamma."""
    names, printed, ours = [], [], []
    (statement,) = _statements(claim)
    for gamma in GAMMAS:
        loss = _loss_at(_implementation(claim), gamma=gamma)
        for what, side in zip(("focal loss", "its series"), statement.sides, strict=True):
            names.append(f"{what}, gamma = {gamma:g}")
            printed.append(side(_column() | {"gamma": gamma}))
            ours.append(loss)
    return _compared(names, printed, ours)


def poly_loss(claim: Claim) -> Finding:
    """Check the closed form or the series for N = 1, which is the named loss, and for more terms."""
    from reference import losses

    (statement,) = _statements(claim)
    names, printed, ours = [], [], []
    for count in range(1, len(EPSILONS) + 1):
        epsilons = np.array(EPSILONS[:count])
        loss = (
            _loss_at(_implementation(claim), epsilon=EPSILONS[0])
            if count == 1
            else _loss_at(losses.poly_loss, epsilons=EPSILONS[:count])
        )
        names.append(f"Poly-{count}")
        printed.append(
            statement.sides[-1](
                _column() | {"N": count, "eps": lambda j, e=epsilons: e[np.asarray(j, int) - 1]}
            )
        )
        ours.append(loss)
    return _compared(names, printed, ours)


def mixup(claim: Claim) -> Finding:
    """Check two images and their labels, mixed by the recipe's settings."""
    import torch

    from reference import mixup as module

    if not hasattr(module, claim.implements or ""):
        raise InputError(f"{claim.id}: implements {claim.implements!r}: no such function in reference.mixup")
    recipe, classes = RECIPES[claim.recipe or ""], 5
    images, labels = tiny.fixed(2, 3, 2, 2), torch.tensor([1, 3])
    x, y = getattr(module, claim.implements or "")(
        images, labels, classes, torch.Generator(), alpha=recipe.mixup, smoothing=recipe.mixup_smoothing
    )
    targets = module.smooth_labels(labels, classes, recipe.mixup_smoothing).double()
    names = {
        "x1": images[0], "x2": images[1], "y1": targets[0], "y2": targets[1],
        "lam": module.draw_lambda(torch.Generator(), recipe.mixup),
    }  # fmt: skip
    of = {"x": x[0], "y": y[0]}
    statements = _statements(claim)
    return _compared(
        [statement.target for statement in statements],
        [statement.sides[-1](names) for statement in statements],
        [of[statement.target] for statement in statements],
        FLOAT32,
    )


FORMULAS: dict[str, Callable[[Claim], Finding]] = {
    "r1-byol-loss": byol_loss_both,
    "r1-byol-views": byol_views,
    "r1-byol-gradient": byol_gradient,
    "r1-byol-ema": byol_average,
    "r3-byol-loss": byol_loss_single,
    "r3-byol-loss-sum": byol_loss_sum,
    "r3-byol-ema": byol_average,
    "r3-cross-entropy": cross_entropy_series,
    "r3-focal-loss": focal_series,
    "r3-poly-loss-series": poly_loss,
    "r3-poly-loss": poly_loss,
    "r3-mixup": mixup,
    "r5-byol-ema": byol_average_in_words,
}
