"""Figures that others published and that are right: torchvision's accuracies of its own weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from torchvision.models import get_model_weights, list_models

from bench.audit.tables import TableAudit

Audited = Callable[..., TableAudit]
Against = Callable[[TableAudit], list[tuple[str, str, int]]]


@pytest.fixture(scope="module")
def accuracies() -> list[tuple[str, str, float, float]]:
    """(weights, data set, top-1, top-5) of every classifier."""
    rows = []
    for name in list_models():
        for weights in get_model_weights(name):
            for data, metrics in weights.meta["_metrics"].items():
                if not math.isnan(metrics.get("acc@1", math.nan)):  # features of VGG16 have none
                    rows.append((f"{name} {weights.name}", data, metrics["acc@1"], metrics["acc@5"]))
    assert sum(data == "ImageNet-1K" for _, data, _, _ in rows) >= 128
    return rows


def test_nothing_is_said_against_published_accuracies(
    audited: Audited, against: Against, accuracies: list[tuple[str, str, float, float]]
) -> None:
    text = "weights,data,acc@1,acc@5\n" + "".join(f"{w},{d},{a},{b}\n" for w, d, a, b in accuracies)
    audit = audited(text, ".csv")
    assert not against(audit)
    pairs = [f for f in audit.findings if f.check == "order of scores"]
    assert len(pairs) == len(accuracies)
    assert all(f.verdict == "holds" for f in pairs)


def test_they_are_whole_numbers_of_imagenets_images(
    audited: Audited, against: Against, accuracies: list[tuple[str, str, float, float]]
) -> None:
    rows = [f"{w},{a:.3f},{b:.3f}\n" for w, d, a, b in accuracies if d == "ImageNet-1K"]
    audit = audited("weights,acc@1,acc@5\n" + "".join(rows), ".csv", n=50_000)
    assert not against(audit)
    assert sum(f.check == "GRIM" and f.verdict == "holds" for f in audit.findings) == 2 * len(rows)
    odd = audited("weights,acc@1,acc@5\nx,56.523,79.066\n", ".csv", n=50_000)
    assert any(check == "GRIM" for check, _, _ in against(odd))
