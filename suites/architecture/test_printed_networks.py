"""Printed networks: printouts are read back or refused, planted faults found, damage excuses only itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from bench.claims.claim import Claim
from bench.claims.ledger import load_ledgers
from bench.printed import comparison, printed_files, printed_layers
from bench.printed.comparison import compare, miscounted
from bench.printed.printed_files import PrintedListing
from bench.printed.printed_layers import PrintedLayer, leaf, read_row, rows_of
from bench.printed.printout import MOST_LAYERS, parse
from bench.printed.runnable import chain_check
from reference.errors import InputError
from reference.models import MODELS, build

REPORTS = Path(__file__).parents[2].parent / "shared" / "reports"
PRINTED = sorted(path.stem for path in printed_files.LISTINGS.glob("*.toml"))
CLAIMS = {claim.id: claim for ledger in load_ledgers() for claim in ledger.claims}

BACKBONES = ("vgg11", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet152", "wide_resnet50_2")
ZOO = (
    *BACKBONES, "alexnet", "densenet121", "efficientnet_b0", "convnext_tiny", "googlenet", "inception_v3",
    "mnasnet0_5", "mobilenet_v3_small", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "squeezenet1_1", "swin_t", "vit_b_16", "maxvit_t", "r3d_18", "mvit_v1_b", "deeplabv3_resnet50",
    "fcn_resnet50", "lraspp_mobilenet_v3_large", "fasterrcnn_resnet50_fpn", "ssd300_vgg16", "raft_small",
)  # fmt: skip


@cache
def from_zoo(name: str) -> nn.Module:
    args = {"weights_backbone": None} if "backbone" in name or "fpn" in name or "300" in name else {}
    if name.startswith(("deeplab", "fcn", "lraspp")):
        args = {"weights_backbone": None}
    if name in ("googlenet", "inception_v3"):
        args = {"init_weights": False, "aux_logits": False}
    with torch.device("meta"):
        return torchvision.models.get_model(name, weights=None, **args)


@cache
def ours(name: str, num_classes: int = 7) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=num_classes)


@cache
def built(claim: str) -> tuple[PrintedLayer, ...]:
    return tuple(printed_files.built(printed_files.load(claim)))


def printed_lines(claim: Claim) -> tuple[str, int]:
    """The lines of a claim's listing, and the number of the first one."""
    path = REPORTS / f"{claim.report}.txt"
    if not path.is_file():
        pytest.skip("the report's text is not next to this repository")
    first, last = claim.lines
    return "\n".join(path.read_text(encoding="utf-8").split("\n")[first - 1 : last]), first


# Reading: the oracle is torch's own repr ----------------------------------------------------------------


@pytest.mark.parametrize("name", ZOO)
def test_printouts_of_torchvision_are_read_back(name: str) -> None:
    model = from_zoo(name)
    assert parse(repr(model)) == rows_of(model)


@pytest.mark.parametrize("name", MODELS)
def test_printouts_of_ours_are_read_back(name: str) -> None:
    model = ours(name)
    assert parse(repr(model)) == rows_of(model)


def test_a_printout_abbreviates_equal_neighbours_and_repeats_shared_modules() -> None:
    shared = nn.ReLU()
    blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), shared) for _ in range(3)])
    model = nn.ModuleDict(
        {"blocks": blocks, "parameters_": nn.ParameterList([torch.zeros(2), torch.zeros(3)])}
    )
    assert "(0-2): 3 x Sequential(" in repr(model)
    assert parse(repr(model)) == rows_of(model)
    assert [row.path for row in parse(repr(model))].count("blocks.2.1") == 1
    assert len(parse(repr(model))) == 7


WHOLE = "Net(\n  (0): Conv2d(3, 4, kernel_size=(3, 3))\n  (1): Sequential(\n    (0): ReLU()\n  )\n)"

REFUSED = {
    "a lost bracket": (WHOLE.removesuffix("\n)"), "line 10: the bracket that Net opens is never closed"),
    "two lost brackets": (WHOLE.removesuffix("\n  )\n)"), "line 12: the bracket that Sequential opens is"),
    "a bracket too many": (f"{WHOLE}\n)", "line 16: ')' belongs to no module"),
    "a bracket too many in a part": ("(0): ReLU()\n)", "line 11: the bracket ')' belongs to no module"),
    "an argument's lost brackets": (
        WHOLE.replace("(3, 3))", "(3, 3"),
        "line 12: '(1): Sequential(' stands inside the arguments of Conv2d",
    ),
    "no network": ("no network at all", "line 10: 'no network at all' belongs to no module"),
    "a line before it": (f"ReLU:\n{WHOLE}", "line 10: 'ReLU:' belongs to no module"),
    "a page break after it": (f"{WHOLE}\n\n```", "line 17: '```' belongs to no module"),
    "a word between modules": ("(0): ReLU()\n\npage 3\n(1): ReLU()", "line 12: 'page 3' belongs to no"),
    "two networks": (f"{WHOLE}\n{WHOLE}", "line 16: 'Net(' belongs to no module"),
    "a wrong count": ("Net(\n  (0-2): 2 x ReLU()\n)", "line 11: (0-2) does not name 2 modules"),
    "a count backwards": ("Net(\n  (2-0): 3 x ReLU()\n)", "line 11: (2-0) does not name 3 modules"),
    "a count of a word": ("Net(\n  (a): 2 x ReLU()\n)", "line 11: (a) does not name 2 modules"),
    "half a count": ("Net(\n  (0-): 2 x ReLU()\n)", "line 11: (0-) does not name 2 modules"),
    "a count beyond all": (f"Net(\n  ({'9' * 5000}): 2 x ReLU()\n)", "does not name 2 modules"),
    "too many layers": ("Net(\n  (0-99999999): 100000000 x ReLU()\n)", "line 11: more than 100,000 layers"),
    "a product of too many": (
        "Net(\n  (0-999): 1000 x A(\n    (0-999): 1000 x ReLU()\n  )\n)",
        "line 11: more than 100,000 layers",
    ),
    "a sum of too many": (
        "Net(\n  (0-99999): 100000 x ReLU()\n  (100000-100001): 2 x A()\n)",
        "line 12: more than 100,000 layers",
    ),
    "deep and cut off": ("(0): A(" * 3000, "line 10: the bracket that A opens is never closed"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_damaged_printout_is_refused_with_its_line(fault: str) -> None:
    text, message = REFUSED[fault]
    with pytest.raises(InputError) as refusal:
        parse(text, 10)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith("line 1")
    assert str(refusal.value).endswith("; give the whole, unchanged output of print(model)")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["vgg16_bn", "resnet18", "leaky_vgg16"])
def test_every_lost_or_doubled_bracket_is_refused(name: str) -> None:
    text = repr(ours(name))
    for bracket in re.finditer(r"[()]", text):
        for damaged in (
            text[: bracket.start()] + text[bracket.end() :],
            text[: bracket.end()] + text[bracket.start() :],
        ):
            with pytest.raises(InputError, match=r"^line \d+: "):
                parse(damaged)


def test_as_many_layers_as_the_limit_are_read() -> None:
    assert len(parse(f"Net((0-{MOST_LAYERS - 1}): {MOST_LAYERS} x ReLU())")) == MOST_LAYERS


def test_deep_networks_and_empty_texts_are_read() -> None:
    (layer,) = parse("(0): A(" * 3000 + ")" * 3000)
    assert layer.path == ".".join("0" * 3000)
    assert parse("") == parse(" \n") == parse("ReLU()") == []


@pytest.mark.parametrize("name", ["resnet50", "vgg16_bn", "deeplabv3_resnet50", "swin_t"])
def test_rows_rebuild_the_layers(name: str) -> None:
    """Leaving out defaults loses nothing: the layer made from a row prints as the original does."""
    modules = dict(from_zoo(name).named_modules())
    for row in parse(repr(from_zoo(name))):
        if row.type in printed_layers.SIGNATURES:
            assert once_per_axis(rebuilt(row)) == once_per_axis(modules[row.path])


def rebuilt(row: PrintedLayer) -> nn.Module:
    with torch.device("meta"):
        return getattr(nn, row.type)(**{name: literal(value) for name, value in row.args})


def once_per_axis(layer: nn.Module) -> str:
    """torch takes 2 for (2, 2), and prints some of them as they were given."""
    return re.sub(r"\((\d+), \1\)", r"\1", repr(layer))


def literal(value: str) -> object:
    try:
        return ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value


def test_batch_norm_reads_alike_from_any_torch() -> None:
    """From 2.15 on torch prints a ``bias``, which was always that of ``affine`` before."""
    for affine in ("True", "False"):
        old = f"(a): BatchNorm2d(3, eps=1e-05, momentum=0.1, affine={affine}, track_running_stats=True)"
        new = old.replace(", track", f", bias={affine}, track")
        assert parse(old) == parse(new)
        assert printed_layers.parameter_count(parse(old)) == (6 if affine == "True" else 0)
    without_bias = "(a): BatchNorm2d(3, affine=True, bias=False)"
    assert parse(without_bias) != parse("(a): BatchNorm2d(3)")
    assert printed_layers.parameter_count(parse(without_bias)) == 3


PAIRS = st.integers(1, 5) | st.tuples(st.integers(1, 5), st.integers(1, 5))
LAYERS = st.one_of(
    st.builds(
        nn.Conv2d, st.integers(1, 9), st.integers(1, 9), PAIRS, stride=PAIRS, dilation=PAIRS,
        padding=PAIRS | st.just("valid"), padding_mode=st.sampled_from(["zeros", "reflect"]),
        bias=st.booleans(),
    ),
    st.builds(nn.ConvTranspose2d, st.integers(1, 9), st.integers(1, 9), PAIRS, bias=st.booleans()),
    st.builds(
        nn.BatchNorm2d, st.integers(1, 9), eps=st.floats(1e-9, 1), affine=st.booleans(),
        momentum=st.floats(0, 1) | st.none(), track_running_stats=st.booleans(),
    ),
    st.builds(nn.Linear, st.integers(1, 9), st.integers(1, 9), bias=st.booleans()),
    st.builds(nn.MaxPool2d, PAIRS, stride=PAIRS, ceil_mode=st.booleans(), dilation=PAIRS),
    st.builds(nn.AdaptiveAvgPool2d, PAIRS),
    st.builds(nn.Dropout2d, st.floats(0, 1), st.booleans()),
    st.builds(nn.LeakyReLU, st.floats(0, 1), st.booleans()),
    st.builds(nn.ReLU, st.booleans()),
)  # fmt: skip
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
NETWORKS = st.recursive(
    LAYERS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda layers: nn.Sequential(*layers))
        | st.dictionaries(NAMES.filter(lambda n: not hasattr(nn.ModuleDict(), n)), inner, max_size=4).map(
            nn.ModuleDict
        )
    ),
    max_leaves=12,
)


@given(NETWORKS)
@settings(max_examples=60, deadline=None)
def test_any_printout_is_read_back(model: nn.Module) -> None:
    rows = rows_of(model)
    assert parse(repr(model)) == rows
    # Neither indentation nor line breaks carry anything.
    assert parse("\n".join(line.strip() for line in repr(model).splitlines())) == rows
    assert parse(" ".join(repr(model).split("\n"))) == rows
    modules = dict(model.named_modules())
    for row in rows:
        assert read_row(str(row)) == row
        assert once_per_axis(rebuilt(row)) == once_per_axis(modules[row.path])


def test_rows_know_their_lines() -> None:
    text = repr(nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.ReLU()), nn.ReLU()))
    assert [(row.line, row.path) for row in parse(text, 100)] == [
        (101, "0"), (103, "1.0"), (104, "1.1"), (106, "2"),
    ]  # fmt: skip


@given(st.text(alphabet="() \n:,=abcx012345`}.?-", max_size=200))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        layers = parse(text)
    except InputError as refusal:
        message = str(refusal)
    else:
        message = "line 1: none"
        assert all(layer.path and layer.type for layer in layers)
    assert re.match(r"line \d+: .", message)
    assert len(message.splitlines()) == 1


# The reports' listings ----------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", PRINTED)
def test_listings_hold_what_the_report_prints(claim: str) -> None:
    text, first = printed_lines(CLAIMS[claim])
    lines = text.split("\n")
    layers = printed_files.load(claim).rows
    for layer in layers:
        assert f"({leaf(layer.path)}): {layer.type}(" in lines[layer.line - first], layer
    if claim in ("r2-classify-listing", "r2-seg-a-listing", "r5-seg-a-listing"):
        intact = parse(text, first)
        assert [(layer.line, layer) for layer in intact] == [(layer.line, layer) for layer in layers]
    else:
        with pytest.raises(InputError, match=r"^line \d+: "):
            parse(text, first)


def test_every_printed_network_is_checked() -> None:
    printed = {c.id for c in CLAIMS.values() if c.kind == "architecture" and c.id.endswith("-listing")}
    legible = {claim for claim in printed if not CLAIMS[claim].illegible}
    assert legible == set(PRINTED)
    assert set(printed_files.CHECKS) == legible
    assert len(PRINTED) == 9
    for claim in PRINTED:
        assert printed_files.load(claim).networks[-1].model == CLAIMS[claim].model


@pytest.mark.parametrize("claim", PRINTED)
def test_listings_match_ours_but_for_declared_damage(claim: str) -> None:
    printed, found = printed_files.CHECKS[claim]()
    assert printed == found


@pytest.mark.parametrize("claim", ["r5-seg-a-backbone", "r5-seg-b-listing"])
def test_illegible_listings_are_never_different(claim: str) -> None:
    assert claim not in printed_files.CHECKS
    with pytest.raises(InputError, match="illegible"):
        printed_files.check_printed_network(claim)
    text, first = printed_lines(CLAIMS[claim])
    with pytest.raises(InputError, match=r"^line \d+: "):
        parse(text, first)


def test_r1_resnet50_read_literally_has_more_parameters() -> None:
    rows = printed_files.load("r1-resnet50-listing").rows
    assert printed_layers.parameter_count(rows) == 25_560_808
    mended = [
        replace(row, args=(*row.args, ("bias", "False"))) if row.path.endswith("conv2") else row
        for row in rows
    ]
    assert sum(row.path.endswith("conv2") for row in rows) == 16
    assert (
        printed_layers.parameter_count(mended)
        == 25_557_032
        == sum(p.numel() for p in from_zoo("resnet50").parameters())
    )


def test_r1_deeplab_has_the_printed_heads() -> None:
    rows = {row.path.removeprefix("model."): row for row in printed_files.load("r1-seg-b-listing").rows}
    assert str(rows["classifier.0.project.0"]) == (
        "639 model.classifier.0.project.0 Conv2d 1280 256 kernel_size=1 bias=False"
    )
    assert rows["classifier.0.project.3"].arg("p") == "0.5"
    assert rows["classifier.4"].layer == "Conv2d(256, 7, kernel_size=1)"
    assert rows["aux_classifier.0"].layer == "Conv2d(1024, 256, kernel_size=3, stride=1, padding=1, …)"
    assert rows["aux_classifier.3"].arg("p") == "0.1"
    assert rows["aux_classifier.4"].layer == "Conv2d(256, 7, kernel_size=1)"


# Damage explains its own rows and nothing else ----------------------------------------------------------


@pytest.mark.parametrize("claim", PRINTED)
def test_each_damage_explains_its_count_alone(claim: str) -> None:
    listing = printed_files.load(claim)
    rows = printed_files.rows_under_our_names(listing)
    found = compare(rows, built(claim), listing.damage)
    assert len(found) == sum(damage.count for damage in listing.damage)
    for difference in found:
        assert sum(damage.explains(difference) for damage in listing.damage) == 1
    for left_out in listing.damage:
        others = [damage for damage in listing.damage if damage is not left_out]
        unexplained = [d for d in found if not any(damage.explains(d) for damage in others)]
        assert len(unexplained) == left_out.count
        more = replace(left_out, count=left_out.count + 1)
        recounted = [replace(d, damage=more) if d.damage is left_out else d for d in found]
        assert len(miscounted(recounted, [*others, more])) == 1


SMUDGE = comparison.Damage(
    what="argument", at="a", argument="eps", printed="le-05", meant="1e-05", count=1, why="-"
)
LOST = comparison.Damage(what="path", at="*", lines=(1, 9), count=1, why="-")
RENAMED = replace(LOST, printed="a", meant="b")


@pytest.mark.parametrize(
    ("damage", "printed", "built_as", "explained"),
    [
        (SMUDGE, "1 a BatchNorm2d 3 eps=le-05", "0 a BatchNorm2d 3", True),
        (SMUDGE, "1 a BatchNorm2d 3 eps=le-06", "0 a BatchNorm2d 3", False),
        (SMUDGE, "1 a BatchNorm2d 3 eps=le-05", "0 a BatchNorm2d 3 eps=0.1", False),
        (SMUDGE, "1 b BatchNorm2d 3 eps=le-05", "0 b BatchNorm2d 3", False),
        (LOST, "1 x.y.a ReLU", "0 z.a ReLU", True),
        (LOST, "1 x.y.a ReLU", "0 x.y.b ReLU", False),
        (LOST, "10 x.y.a ReLU", "0 z.a ReLU", False),
        (RENAMED, "1 a ReLU", "0 b ReLU", True),
        (RENAMED, "1 c ReLU", "0 b ReLU", False),
        (RENAMED, "1 a ReLU", "0 c ReLU", False),
    ],
)
def test_damage_explains_what_it_declares(
    damage: comparison.Damage, printed: str, built_as: str, explained: bool
) -> None:
    (difference,) = compare([read_row(printed)], [read_row(built_as)], [damage])
    assert (difference.damage is damage) == explained


def wrong(listing: PrintedListing, network: Sequence[PrintedLayer]) -> list[str]:
    """What ``check_listing`` would object to if this were our network."""
    found = compare(printed_files.rows_under_our_names(listing), network, listing.damage)
    return [str(d) for d in found if d.damage is None] + miscounted(found, listing.damage)


def changed(rows: Sequence[PrintedLayer], path: str, **args: str) -> list[PrintedLayer]:
    assert sum(row.path == path for row in rows) == 1
    return [
        replace(row, args=tuple({**dict(row.args), **args}.items())) if row.path == path else row
        for row in rows
    ]


def swapped(rows: Sequence[PrintedLayer], first: str, second: str) -> list[PrintedLayer]:
    places = [row.path for row in rows]
    i, j = places.index(first), places.index(second)
    found = list(rows)
    found[i], found[j] = replace(rows[j], path=first), replace(rows[i], path=second)
    return found


FAULTS: list[tuple[str, str, dict[str, str], str]] = [
    ("r2-seg-a-listing", "fc6", {"kernel_size": "5"}, "kernel_size is printed 7, built 5"),
    ("r2-seg-a-listing", "features5.0", {"padding": "1"}, "padding is printed 100, built 1"),
    ("r2-seg-a-listing", "features5.4", {"ceil_mode": "False"}, "ceil_mode is printed True, built False"),
    ("r2-seg-a-listing", "upscore", {"bias": "True"}, "bias is printed False, built True"),
    ("r2-classify-listing", "fc.2", {"negative_slope": "0.1"}, "negative_slope is printed 0.2, built 0.1"),
    ("r2-classify-listing", "cnn.7", {"p": "0.5"}, "p is printed 0.25, built 0.5"),
    ("r4-seg-b-listing", "upsample_4x", {"stride": "4"}, "stride is printed 2, built 4"),
    ("r4-seg-a-listing", "classifier.6", {"out_features": "7"}, "out_features is printed 50, built 7"),
    ("r1-resnet50-listing", "layer2.1.conv3", {"bias": "True"}, "bias is printed False, built True"),
    ("r1-resnet50-listing", "layer2.1.conv2", {"bias": "True"}, "15 found, 16 declared"),
    ("r1-seg-b-listing", "model.classifier.0.convs.1.0", {"dilation": "6"}, "is printed 1, built 6"),
    ("r5-seg-a-listing", "upscore", {"bias": "False"}, "bias is printed True, built False"),
]


@pytest.mark.parametrize(("claim", "path", "args", "said"), FAULTS)
def test_another_argument_is_found(claim: str, path: str, args: dict[str, str], said: str) -> None:
    listing = printed_files.load(claim)
    assert not wrong(listing, built(claim))
    found = wrong(listing, changed(built(claim), path, **args))
    assert any(said in one for one in found), found
    assert len(found) <= 2  # a fault is named where it is, and spoils nothing around it


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        ("r2-classify-listing", "fc.5"),
        ("r2-seg-b-listing", "bn4_1"),
        ("r4-seg-b-listing", "stage2.0.downsample.1"),
        ("r5-seg-a-listing", "score_relu"),
    ],
)
def test_a_dropped_layer_is_found(claim: str, path: str) -> None:
    dropped = [row for row in built(claim) if row.path != path]
    found = wrong(printed_files.load(claim), dropped)
    assert any("is printed, not built" in one for one in found), found
    assert len(found) <= 2


@pytest.mark.parametrize(("first", "second"), [("cnn.1", "cnn.2"), ("cnn.6", "cnn.7"), ("fc.1", "fc.3")])
def test_swapped_layers_are_found(first: str, second: str) -> None:
    claim = "r2-classify-listing"
    found = wrong(printed_files.load(claim), swapped(built(claim), first, second))
    assert [re.sub(r".*: (\w+) is .*", r"\1", one) for one in found] == ["type", "type"]


def test_another_type_is_found() -> None:
    claim = "r2-seg-b-listing"
    rows = [replace(row, type="Dropout") if row.path == "drop6" else row for row in built(claim)]
    found = wrong(printed_files.load(claim), rows)
    assert [one.partition(": ")[2] for one in found] == ["type is printed Dropout2d, built Dropout"]


def test_a_check_names_the_first_fault_and_that_it_cannot_run() -> None:
    listing = printed_files.load("r2-classify-listing")
    rows = [replace(row, args=()) if row.path == "fc.3" else row for row in listing.rows]
    rows = [
        PrintedLayer("fc.4", "Linear", (("in_features", "1000"),)) if row.path == "fc.4" else row
        for row in rows
    ]
    _, found = printed_files.check_listing(replace(listing, rows=tuple(rows)))
    assert found.startswith("fc.3 Dropout() (line 69): p is printed None, built 0.5 (and 2 more)")
    assert "cannot run: fc.4 Linear(1000): takes 1000, gets 1024" in found


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_fault_in_a_legible_row_is_found(data: st.DataObject) -> None:
    claim = data.draw(st.sampled_from(PRINTED))
    listing = printed_files.load(claim)
    rows = list(built(claim))
    i = data.draw(st.integers(0, len(rows) - 1))
    kind = data.draw(st.sampled_from(["argument", "drop", "repeat", "swap", "type"]))
    legible = not illegible_paths(claim) & {rows[i].path, rows[(i + 1) % len(rows)].path}
    if kind == "argument":
        assume(legible and rows[i].args)
        name, value = data.draw(st.sampled_from(rows[i].args))
        assume(name != "inplace")  # [[ours]] may differ in it
        rows[i] = replace(rows[i], args=tuple({**dict(rows[i].args), name: other(value)}.items()))
    elif kind == "drop":
        del rows[i]
    elif kind == "repeat":
        rows.insert(i, rows[i])
    elif kind == "swap":
        assume(legible and i + 1 < len(rows) and rows[i].layer != rows[i + 1].layer)
        rows[i : i + 2] = [
            replace(rows[i + 1], path=rows[i].path),
            replace(rows[i], path=rows[i + 1].path),
        ]
    else:
        assume(legible)
        rows[i] = replace(rows[i], type="Tanh", args=())
    assert wrong(listing, rows), (claim, kind, rows[i : i + 1])


@cache
def illegible_paths(claim: str) -> frozenset[str]:
    """Our rows that the scan lost or cut off: nothing can be said against them."""
    listing = printed_files.load(claim)
    found = compare(printed_files.rows_under_our_names(listing), built(claim), listing.damage)
    return frozenset(d.built.path for d in found if d.what in ("missing", "cut") and d.built)


def other(value: str) -> str:
    return {"True": "False", "False": "True"}.get(value, "9" + value)


# What rows imply ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_ours_are_counted(name: str) -> None:
    assert printed_layers.parameter_count(rows_of(ours(name))) == sum(
        p.numel() for p in ours(name).parameters()
    )


@pytest.mark.parametrize("name", [*BACKBONES, "resnext50_32x4d", "deeplabv3_resnet50", "alexnet"])
def test_parameters_of_torchvision_are_counted(name: str) -> None:
    model = from_zoo(name)
    assert printed_layers.parameter_count(parse(repr(model))) == sum(p.numel() for p in model.parameters())


@given(LAYERS)
@settings(deadline=None)
def test_parameters_of_any_layer_are_counted(layer: nn.Module) -> None:
    model = nn.Sequential(layer)
    assert printed_layers.parameter_count(parse(repr(model))) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize(
    "args", [{}, {"num_layers": 3}, {"bias": False}, {"bidirectional": True, "num_layers": 2}]
)
def test_parameters_of_a_gru_are_counted(args: dict[str, int | bool]) -> None:
    model = nn.Sequential(nn.GRU(5, 7, batch_first=True, **args))
    assert printed_layers.parameter_count(parse(repr(model))) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("text", ["1 a Conv2d 3 4 kernel_size=3 …", "1 a Transmogrifier 3"])
def test_parameters_that_cannot_be_known_are_not_guessed(text: str) -> None:
    with pytest.raises(InputError, match=r"not (printed|known)"):
        printed_layers.parameter_count([read_row(text)])


def test_the_last_layer_is_the_one_that_makes_the_channels() -> None:
    rows = [read_row(text) for text in ("1 a Linear 9 3", "2 b Linear 3 7", "3 c BatchNorm1d 7", "4 d ReLU")]
    assert printed_layers.last_layer(rows).path == "b"
    with pytest.raises(InputError, match="no convolution"):
        printed_layers.last_layer(rows[2:])


@pytest.mark.parametrize("name", MODELS)
def test_ours_can_run(name: str) -> None:
    assert chain_check(rows_of(ours(name))) == []


@pytest.mark.parametrize(
    "name", [*BACKBONES, "resnext50_32x4d", "googlenet", "deeplabv3_resnet50", "fcn_resnet50"]
)
def test_torchvision_can_run(name: str) -> None:
    assert chain_check(rows_of(from_zoo(name))) == []


BREAKS = [
    ("vgg16_bn", "features.3", {"in_channels": "3"}, ["features.3"]),
    ("vgg16_bn", "features.4", {"num_features": "128"}, ["features.4", "features.7"]),
    ("vgg16_bn", "avgpool", {"output_size": "6"}, ["classifier.0"]),
    ("vgg16_bn", "classifier.0", {"in_features": "25080"}, ["classifier.0"]),
    ("leaky_vgg16", "fc.0", {"in_features": "25089"}, ["fc.0"]),
    ("leaky_vgg16", "fc.1", {"num_features": "512"}, ["fc.1", "fc.4"]),
    ("fcn32s_leaky", "bn6", {"num_features": "64"}, ["bn6"]),
    ("fcn32s_leaky", "fc6", {"in_channels": "513"}, ["fc6"]),
    ("resnet34", "layer2.0.downsample.0", {"in_channels": "128"}, ["layer2.0.downsample.0"]),
    ("resnet34", "layer2.0.downsample.0", {"out_channels": "64"}, ["layer2.0.downsample.1"]),
    ("resnet34", "layer2.1.conv2", {"in_channels": "64"}, ["layer2.1.conv2"]),
    ("resnet34", "layer3.2.conv1", {"in_channels": "128"}, ["layer3.2.conv1"]),
    ("resnet50", "fc", {"in_features": "512"}, ["fc"]),
    ("deeplabv3_resnet50", "classifier.0.project.0", {"in_channels": "1281"}, ["classifier.0.project.0"]),
    (
        "deeplabv3_resnet50",
        "classifier.0.convs.2.0",
        {"in_channels": "2000"},
        ["classifier.0.convs.2.0", "classifier.0.project.0"],
    ),
    ("deeplabv3_resnet50", "classifier.1", {"in_channels": "2048"}, ["classifier.1"]),
    ("byol_resnet50", "predictor.3", {"in_features": "256"}, ["predictor.3"]),
]


@pytest.mark.parametrize(("name", "path", "args", "said"), BREAKS)
def test_channels_that_do_not_follow_are_found(
    name: str, path: str, args: dict[str, str], said: list[str]
) -> None:
    assert [found.row.path for found in chain_check(changed(rows_of(ours(name)), path, **args))] == said


def test_a_block_without_its_downsample_cannot_add() -> None:
    rows = [row for row in rows_of(ours("resnet34")) if not row.path.startswith("layer3.0.downsample")]
    assert [str(found) for found in chain_check(rows)] == [
        "layer3.0.bn2 BatchNorm2d(256): makes 256 channels, its shortcut brings 128"
    ]


def test_a_dropped_stage_cannot_run() -> None:
    rows = [row for row in rows_of(ours("resnet34")) if not row.path.startswith("layer3")]
    assert "layer4.0.conv1" in [found.row.path for found in chain_check(rows)]


def test_what_r4_prints_cannot_run_where_it_drops_blocks() -> None:
    broken = {
        claim: [found.row.line for found in chain_check(printed_files.load(claim).rows)] for claim in PRINTED
    }
    assert broken.pop("r4-seg-b-listing") == [189, 232, 236]
    assert not any(broken.values())


SIZES = st.sampled_from([2, 3, 4, 6])
STEPS = st.one_of(
    st.tuples(st.just("conv"), SIZES, SIZES),
    st.tuples(st.just("norm"), SIZES),
    st.tuples(st.just("relu")),
    st.tuples(st.just("pool")),
)


@given(st.lists(STEPS, max_size=5), st.sampled_from([1, 2, 3]), st.sampled_from([2, 4, 6, 8, 12, 16, 18, 24]))
@settings(max_examples=150, deadline=None)
def test_a_chain_breaks_where_torch_refuses(steps: list[tuple], side: int, features: int) -> None:
    """The oracle is a forward pass of the same layers."""
    make = {
        "conv": lambda a, b: nn.Conv2d(a, b, 3, padding=1),
        "norm": nn.BatchNorm2d,
        "relu": nn.ReLU,
        "pool": lambda: nn.MaxPool2d(2),
    }
    body = [make[step[0]](*step[1:]) for step in steps]
    head = [nn.AdaptiveAvgPool2d(side), nn.Flatten(), nn.Linear(features, 5)]
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *body, *head).eval()
    try:
        model(torch.zeros(1, 3, 64, 64))
    except RuntimeError:
        runs = False
    else:
        runs = True
    assert bool(chain_check(parse(repr(model)))) != runs


# The files ----------------------------------------------------------------------------------------------

GOOD = """
[[network]]
model = "vgg16_bn"
num_classes = 50
[[damage]]
what = "argument"
at = "a"
argument = "bias"
printed = "True"
meant = "False"
count = 1
why = "r1:1"
[listing]
rows = '''
1 a Conv2d 3 4 kernel_size=3
'''
"""


def test_a_good_file_is_read() -> None:
    listing = printed_files.read_listing(GOOD, "r9-a.toml")
    assert listing.claim == "r9-a"
    assert listing.rows == (
        PrintedLayer("a", "Conv2d", (("in_channels", "3"), ("out_channels", "4"), ("kernel_size", "3"))),
    )
    assert listing.damage[0].meant == "False"


BAD = [
    ("[[network]]", "[[network", "not TOML"),
    ("[[network]]", "[[networks]]", "unknown key 'networks' (nearest: 'network')"),
    ("num_classes = 50", "", "missing key 'num_classes'"),
    ("num_classes = 50", "num_classes = '50'", "num_classes is '50'; expected a whole number"),
    ("num_classes = 50", "num_classes = 50\nwidth = 3", "unknown key 'width'"),
    ('what = "argument"', 'what = "smudge"', "unknown what 'smudge' (valid: argument"),
    ('what = "argument"', 'what = "type"', "'argument' goes with"),
    ('at = "a"', "", "say where the damage is"),
    ('at = "a"', "lines = [1]", "expected the first and the last one"),
    ('printed = "True"', "", "no 'printed'"),
    ("count = 1", "", "missing key 'count'"),
    ("[[damage]]", "[[ours]]", "nothing else"),
    ("1 a Conv2d", "a Conv2d", "expected line, path, type"),
    ("[listing]\nrows", "rows", "missing key 'listing'; add a table with rows"),
    ("[[network]]", "[network]", "expected [[network]] tables"),
    ("[listing]\nrows", "[listing]\nrow", "expected a table with rows"),
]


@pytest.mark.parametrize(("this", "that", "said"), BAD)
def test_a_bad_file_is_refused_in_one_line(this: str, that: str, said: str) -> None:
    assert this in GOOD
    with pytest.raises(InputError) as caught:
        printed_files.read_listing(GOOD.replace(this, that, 1), "r9-a.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("r9-a.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("claim", "said"), [("r3-vgg13", "prints no network"), ("r9-none", "no such claim")])
def test_a_claim_without_a_listing_is_named(claim: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        printed_files.check_printed_network(claim)


def test_ours_may_leave_out_idle_layers_only() -> None:
    excuse = comparison.Damage(what="missing", at="*", lines=(0, 0), count=1, why="-", ours=True)
    idle, busy = PrintedLayer("a", "Identity"), read_row("0 b Linear 2 2")
    assert [d.damage is not None for d in compare([], [idle, busy], [excuse])] == [True, False]


def test_reading_and_comparing_need_no_torch() -> None:
    code = """
import sys
from bench.printed import comparison, printed_files, printout, runnable
rows = printed_files.load("r4-seg-b-listing").rows
runnable.chain_check(rows)
comparison.compare(rows, rows)
printout.parse("(a): ReLU()")
sys.exit("torch" in sys.modules or "numpy" in sys.modules)
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
