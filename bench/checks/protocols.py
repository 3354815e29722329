"""Compare printed settings and code with the recipes that stand for them.

The printed value is that of the claims file, read as a number, a name or a list if it is one. The found value
is the recipe's, or describes its network, loss or schedule in the same words. If a claim is about several
recipes, each of them must have the value.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from bench.checks import augmentation, network_checks
from bench.claims.claim import Claim
from bench.printed.printed_layers import PrintedLayer
from reference.recipes import RECIPES
from reference.recipes.recipe import Phase, Recipe

Finding = tuple[Any, Any]
"""What is printed and what we find."""

SETTINGS = "abcde"
"""The rows of the table of fine-tuning settings, A to E."""

COVERS: dict[str, tuple[str, ...]] = {
    "r1-finetune-classes": tuple(f"r1-finetune-{setting}" for setting in SETTINGS),
    "r2-seg-classes": ("r2-seg-a", "r2-seg-b"),
    "r3-finetune-augment": tuple(f"r3-finetune-{setting}" for setting in SETTINGS),
    "r3-finetune-protocol": tuple(f"r3-finetune-{setting}" for setting in SETTINGS),
    "r3-finetune-classes": tuple(f"r3-finetune-{setting}" for setting in SETTINGS),
}
"""Claims about more than the one recipe that they name."""

LEFT_OUT: dict[tuple[str, str], str] = {
    ("r1-seg-b-model", "version"): "which release of torchvision was used changes nothing that is built here",
}
"""Stated values that nothing here can confirm or refute; the rest of their claims is checked."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")


def recipes_of(claim: Claim) -> tuple[Recipe, ...]:
    """Return the recipes that a claim is about."""
    return tuple(RECIPES[slug] for slug in COVERS.get(claim.id, (claim.recipe or "",)))


# Single settings ---------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    """Normalise a name: without the dotted path before it, upper case, and the word loss after it."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower()).removesuffix("loss")


def _as_printed(printed: str, ours: str) -> str:
    """Return the found name, in the report's spelling if it is the same."""
    return printed if _plain(printed) == _plain(ours) else ours


def optimizer(recipe: Recipe, printed: str) -> str:
    """Return the optimisers by torch's names, in the order of the phases."""
    import torch

    names = {name.lower(): name for name in vars(torch.optim)}
    return " then ".join(_as_printed(printed, names[phase.optimizer]) for phase in recipe.phases)


def loss(recipe: Recipe, printed: str) -> str:
    """Return the function that the recipe trains with."""
    from reference.losses import LOSSES

    return _as_printed(printed, LOSSES[recipe.task][recipe.loss].__name__)


def rate(recipe: Recipe, printed: str) -> Any:
    """Return the peak learning rate, or one for each phase."""
    rates = [phase.lr for phase in recipe.phases]
    return rates[0] if len(rates) == 1 else rates


def schedule(recipe: Recipe, printed: str) -> str:
    """Return the report's words about the rate's course if they hold."""
    (phase,) = recipe.phases
    does = {"warm": _warms_up(phase), "cosine": _is_cosine(phase)}
    says = {word: re.search(word, printed, re.IGNORECASE) is not None for word in does}
    # A warm-up alone leaves open what follows. A cosine alone begins at its peak.
    if any(says.values()) and does["warm"] == says["warm"] and does["cosine"] >= says["cosine"]:
        return printed
    held = [name for word, name in (("warm", "warm-up"), ("cosine", "cosine annealing")) if does[word]]
    return " and ".join(held) or "neither warm-up nor cosine annealing"


def _warms_up(phase: Phase) -> bool:
    from reference.schedules import learning_rate

    rates = [learning_rate(phase, epoch / 2) for epoch in range(2 * phase.epochs)]
    return rates[0] < rates[1] and rates[: rates.index(max(rates)) + 1] == sorted(
        rates[: rates.index(max(rates)) + 1]
    )


def _is_cosine(phase: Phase) -> bool:
    """Whether the rate falls to 0 as half a cosine after its peak."""
    from reference.schedules import learning_rate

    rates = [learning_rate(phase, float(epoch)) for epoch in range(phase.epochs + 1)]
    start = phase.warmup_epochs
    cosine = [
        phase.lr * (1 + math.cos(math.pi * (epoch - start) / (phase.epochs - start))) / 2
        for epoch in range(start, phase.epochs + 1)
    ]
    return all(math.isclose(a, b, abs_tol=1e-12) for a, b in zip(rates[start:], cosine, strict=True))


def start(recipe: Recipe, printed: str) -> str:
    """Return the initial weights in the report's words if these name the same weights."""
    pretrained = recipe.init in getattr(network_checks.network_of(recipe), "pretrained", {})
    same = {
        "weights=None": recipe.init == "scratch",
        "pretrained=True": pretrained,
        "pretrained": pretrained,
        f"pretrained {recipe.init}": pretrained,
    }
    return printed if same.get(printed) else f"weights {recipe.init}"


def backbone(recipe: Recipe, printed: str) -> str:
    """Recognise the network under the heads by its shape."""
    return _as_printed(printed, network_checks.trunk_name(network_checks.network_of(recipe)))


def _direct(field: str) -> Callable[[Recipe, str], Any]:
    return lambda recipe, printed: getattr(recipe, field)


# Networks in the words of a settings list --------------------------------------------------------------


def pretrained_network(recipe: Recipe, printed: str) -> str:
    """``"resnet152 pretrained model"``."""
    model = network_checks.network_of(recipe)
    words = "pretrained" if network_checks.weights(recipe, model) == "pretrained weights" else "untrained"
    return f"{network_checks.trunk_name(model)} {words} model"


def _layers(recipe: Recipe) -> tuple[PrintedLayer, ...]:
    """Return the layers of a recipe's network."""
    return network_checks.built_layers(network_checks.network_of(recipe))


def with_head(recipe: Recipe, printed: str) -> str:
    """``"resnet50 + Dropout + Linear(1000,65)"``: the backbone and its head."""
    model = network_checks.network_of(recipe)
    head = [layer for layer in network_checks.built_layers(model) if layer.path.startswith("head.")]
    layer_names = [_linear(row) if row.type == "Linear" else row.type for row in head]
    return " + ".join([network_checks.trunk_name(model), *layer_names])


def head_in_words(recipe: Recipe, printed: str) -> str:
    """``"Two FC layer (hidden_size=256) with dropout rate of 0.1"``."""
    head = [layer for layer in _layers(recipe) if layer.path.startswith("head.")]
    linear = [row for row in head if row.type == "Linear"]
    hidden = " and ".join(str(row.number("out_features")) for row in linear[:-1])
    rates = " and ".join(str(row.arg("p")) for row in head if row.type == "Dropout")
    return f"{NUMBERS[len(linear)].title()} FC layer (hidden_size={hidden}) with dropout rate of {rates}"


def fcn(recipe: Recipe, printed: str) -> str:
    """``"Resnet34+FCN8"``: the trunk, and the stride of the finest map whose scores are added."""
    model = network_checks.network_of(recipe)
    up = [row for row in network_checks.built_layers(model) if row.type == "ConvTranspose2d"]
    finest = max(row.number("stride") or 1 for row in up)
    trunk = network_checks.trunk_name(model).removesuffix(
        "_bn"
    )  # the name alone does not tell whether there is BatchNorm
    return _as_printed(printed, f"{trunk.capitalize()}+FCN{finest}")


def deeplab(recipe: Recipe, printed: str) -> str:
    """Return torchvision's name of the recipe's network if it is that network."""
    same = network_checks.is_torchvisions(
        network_checks.network_of(recipe), "deeplabv3_resnet50", recipe.num_classes
    )
    return "deeplabv3_resnet50" if same else "another network than torchvision's"


def deeplab_version(recipe: Recipe, printed: str) -> str:
    """Return DeepLabv3, or DeepLabv3+ if there is a decoder."""
    decoder = network_checks.has_decoder(network_checks.network_of(recipe), recipe.image_size)
    return "DeepLabv3+" if decoder else "DeepLabv3"


def _linear(row: PrintedLayer) -> str:
    return f"Linear({row.number('in_features')},{row.number('out_features')})"


def last_linear(recipe: Recipe, printed: str) -> str:
    """``"Linear(1000,65)"``: the last layer."""
    return _linear([row for row in _layers(recipe) if row.type == "Linear"][-1])


def out_features(recipe: Recipe, printed: str) -> str:
    """``"out_features=50"``: of the last layer."""
    row = [row for row in _layers(recipe) if row.type == "Linear"][-1]
    return f"out_features={row.number('out_features')}"


def scores(recipe: Recipe, printed: str) -> str:
    """``"Conv2d(4096, 7,"``: the first convolution with as many channels as the output."""
    model = network_checks.network_of(recipe)
    (_, classes, *_), _ = network_checks.output_size(model, recipe.image_size)
    rows = [
        r
        for r in network_checks.built_layers(model)
        if r.type == "Conv2d" and r.number("out_channels") == classes
    ]
    return f"Conv2d({rows[0].number('in_channels')}, {classes}," if rows else f"no Conv2d to {classes}"


def classes_in_words(recipe: Recipe, printed: str) -> Any:
    """Return the number of outputs."""
    row = [row for row in _layers(recipe) if row.type == "Linear"][-1]
    return row.number("out_features")


# R2 ----------------------------------------------------------------------------------------------------


def first_padding(recipe: Recipe, printed: str) -> str:
    """Return the first convolution's padding, for both axes."""
    return _padding(_layers(recipe))


def _padding(rows: Sequence[PrintedLayer]) -> str:
    width = next(row for row in rows if row.type == "Conv2d").number("padding")
    return f"({width}, {width})"


def crops(recipe: Recipe, printed: str) -> str:
    """Whether the last transposed convolution makes a larger map than the network's output."""
    model = network_checks.network_of(recipe)
    answer, shapes = network_checks.output_size(model, recipe.image_size)
    largest = max(
        shapes[row.path][-1] for row in network_checks.built_layers(model) if row.type == "ConvTranspose2d"
    )
    return "crop" if largest > answer[-1] else "no crop"


def normalises(recipe: Recipe, printed: str) -> str:
    """Whether images are normalised; R2's baseline does not."""
    return "normalization" if (recipe.mean, recipe.std) != ((0.0,) * 3, (1.0,) * 3) else "no normalization"


def mixes(recipe: Recipe, printed: str) -> str:
    """``"mixup and SoftCrossEntropy in timm"``, if the recipe has timm's settings."""
    from reference import mixup
    from reference.losses import LOSSES

    timms = (recipe.mixup, recipe.mixup_smoothing) == (mixup.TIMM_ALPHA, mixup.TIMM_SMOOTHING)
    name = LOSSES[recipe.task][recipe.loss].__name__.title().replace("_", "")
    mixed, whose = "mixup" if recipe.mixup else "no mixup", "timm" if timms else "settings of its own"
    return f"{mixed} and {name} in {whose}"


# What is printed, read ---------------------------------------------------------------------------------


def _two_sizes(text: str) -> Any:
    """Read a width and a height, as one number if they are the same."""
    sizes = sorted(set(re.findall(r"\d+", text)))
    return sizes[0] if len(sizes) == 1 else text


def _switch(text: str) -> str:
    """Read 由Adam改為SGD: from one optimiser to another."""
    match = re.fullmatch(r"由([A-Za-z]+)改為([A-Za-z]+)", text)
    return f"{match[1]} then {match[2]}" if match else text


def _vggs_own(text: str) -> str:
    """Read 原本VGG16的設定: the original VGG16's setting, taken from torchvision's network."""
    match = re.fullmatch(r"原本(VGG\d+)的設定", text)
    return (
        _padding(network_checks.built_layers(network_checks.torchvisions(match[1].lower(), 1000)))
        if match
        else text
    )


def _cropping(text: str) -> str:
    return {"crop layer": "crop", "取消cropping": "no crop"}.get(text, text)


def _switched(recipe: Recipe, printed: str) -> str:
    """Read ``"(70 / 100)"``: the epochs of the first phase, and of all phases."""
    return f"({recipe.phases[0].epochs} / {recipe.epochs})"


Read = Callable[[str], Any]
Find = Callable[[Recipe, str], Any]


def _same(text: str) -> str:
    return text


BY_KEY: dict[str, tuple[Read, Find]] = {
    "epochs": (_same, _direct("epochs")),
    "batch_size": (_same, _direct("batch_size")),
    "image_size": (_same, _direct("image_size")),
    "lr": (_same, rate),
    "optimizer": (_same, optimizer),
    "loss": (_same, loss),
    "schedule": (_same, schedule),
    "init": (_same, start),
    "model": (_same, backbone),
}
"""Key of ``stated`` → how its text is read, and what a recipe has there."""

BY_CLAIM: dict[tuple[str, str], tuple[Read, Find]] = {
    ("r1-byol-augment-text", "image_size"): (_two_sizes, _direct("image_size")),
    ("r1-finetune-classes", "num_classes"): (augmentation.number_in_words, classes_in_words),
    ("r1-seg-b-model", "model"): (_same, deeplab),
    ("r2-classify-classes", "num_classes"): (_same, out_features),
    ("r2-seg-classes", "num_classes"): (_same, scores),
    ("r2-seg-a-protocol", "padding"): (_same, first_padding),
    ("r2-seg-a-protocol", "crop"): (_cropping, crops),
    ("r2-seg-b-protocol", "optimizer"): (_switch, optimizer),
    ("r2-seg-b-protocol", "epochs"): (_same, _switched),
    ("r2-seg-b-protocol", "normalisation"): (_same, normalises),
    ("r2-seg-b-protocol", "padding"): (_vggs_own, first_padding),
    ("r2-seg-b-protocol", "crop"): (_cropping, crops),
    ("r3-classify-b-protocol", "model"): (_same, pretrained_network),
    ("r3-classify-b-protocol", "mixup"): (_same, mixes),
    ("r3-finetune-protocol", "model"): (_same, with_head),
    ("r3-finetune-classes", "num_classes"): (_same, last_linear),
    ("r3-seg-b-protocol", "model"): (_same, deeplab),
    ("r3-seg-b-name", "model"): (_same, deeplab_version),
    ("r4-classify-classes", "num_classes"): (_same, out_features),
    ("r4-seg-a-name", "model"): (_same, fcn),
    ("r4-seg-b-protocol", "model"): (_same, fcn),
    ("r4-seg-classes", "num_classes"): (_same, scores),
    ("r5-finetune-protocol", "head"): (_same, head_in_words),
    ("r5-seg-classes", "num_classes"): (_same, scores),
}
"""What one claim says in its own words."""

AUGMENTED = ("augment", "mean", "std")


def settings(claim: Claim) -> Finding:
    """Return every stated value as read, and the same values of the claim's recipes."""
    printed: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    for key, text in claim.stated.items():
        if key in AUGMENTED or (claim.id, key) in LEFT_OUT:
            continue
        read, find = BY_CLAIM.get((claim.id, key)) or BY_KEY[key]
        printed[key] = read(text)
        ours[key] = _common([(recipe.slug, find(recipe, str(printed[key]))) for recipe in recipes_of(claim)])
    if "augment" in claim.stated:
        left, right = _augment(claim)
        printed |= left
        ours |= right
    return printed, ours


def _common(values: Sequence[tuple[str, Any]]) -> Any:
    """Return the value that all recipes share, else each recipe's value."""
    first = values[0][1]
    return first if all(value == first for _, value in values) else dict(values)


def _augment(claim: Claim) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compare the chain of operations: from code if there is any, else from a settings list or words."""
    recipe = RECIPES[claim.recipe or ""]
    tree: Any = augmentation.parsed(claim) if claim.code else None
    if isinstance(tree, str):
        return {"code": tree}, {"code": "code that parses"}
    words = claim.stated["augment"]
    if tree is None and not words.startswith("["):
        chain = [*augmentation.in_words(words), {"op": "Normalize"}]
    else:
        chain = augmentation.chain(tree or augmentation.listed(words), recipe)
    printed, ours = augmentation.compared(chain, recipe)
    for key in ("mean", "std"):
        if key in claim.stated:
            printed[key], ours[key] = _numbers(claim.stated[key]), list(getattr(recipe, key))
    others = [
        r.slug
        for r in recipes_of(claim)
        if (r.augment, r.mean, r.std) != (recipe.augment, recipe.mean, recipe.std)
    ]
    if others:
        ours["operations"] = f"other ones in {', '.join(others)}"
    return printed, ours


def _numbers(text: str) -> Any:
    """Read a printed list of numbers; return any other text as it is."""
    return ast.literal_eval(text) if re.fullmatch(r"\[[-\d., ]+\]", text) else text


def reused(claim: Claim) -> Finding:
    """Check ``settings``, and that fine-tuning augments as the pre-training does."""
    printed, ours = settings(claim)
    before = RECIPES[f"{claim.report}-byol"]
    same = augmentation.measured(RECIPES[claim.recipe or ""]) == augmentation.measured(before)
    whose = "reuses BYOL's augmentations" if same else "has augmentations of its own"
    return {"text": claim.text} | printed, {"text": f"Fine-tuning {whose}."} | ours


# Claims with a form of their own -----------------------------------------------------------------------


def byol_optimizer(claim: Claim) -> Finding:
    """Check by the printed call which parameters the optimiser of the pre-training gets."""
    recipe = RECIPES[claim.recipe or ""]
    (statement,) = ast.parse(claim.code or "").body
    assert isinstance(statement, ast.Assign)
    call = statement.value
    assert isinstance(call, ast.Call)
    printed = {"optimizer": ast.unparse(call.func), "parameters": ast.unparse(call.args[0])}
    ours = {
        "optimizer": optimizer(recipe, printed["optimizer"]),
        "parameters": f"{recipe.model}.parameters()",
    }
    return {"stated": dict(claim.stated)} | printed, {"stated": printed} | ours


def hub(claim: Claim) -> Finding:
    """Check ``settings``, and that the printed call of torch.hub agrees."""
    (statement,) = ast.parse(claim.code or "").body
    assert isinstance(statement, ast.Assign)
    call = statement.value
    assert isinstance(call, ast.Call)
    version, model = (ast.literal_eval(argument) for argument in call.args)
    init = ", ".join(ast.unparse(keyword) for keyword in call.keywords)
    printed, ours = settings(claim)
    stated = {"version": version, "model": model, "init": init}
    return {"stated": dict(claim.stated)} | printed, {"stated": stated} | ours


def whole_or_head(claim: Claim) -> Finding:
    """Check which settings train the whole network, and how long setting C can run."""
    trained = {setting: _trained(RECIPES[f"{claim.report}-finetune-{setting}"]) for setting in SETTINGS}
    whole = [s for s, parts in trained.items() if parts == ("backbone", "head")]
    head = [s for s, parts in trained.items() if parts == ("head",)]
    recipe = RECIPES[claim.recipe or ""]
    text = (
        f"Settings {_span(whole)} train the whole network, {_span(head)} the classifier alone;"
        f" C's maximum was {recipe.epochs} epochs."
    )
    phrases = {
        ("backbone", "head"): "Train full model (backbone + classifier)",
        ("head",): "Fix the backbone. Train classifier only",
    }
    ours = [phrases.get(parts, f"train {parts}") for parts in dict.fromkeys(trained.values())]
    printed = {"text": claim.text, "epochs": claim.stated["epochs"]}
    printed["trained"] = [claim.stated["full"], claim.stated["frozen"]]  # type: ignore[assignment]
    return printed, {"text": text, "epochs": recipe.epochs, "trained": ours}


def _trained(recipe: Recipe) -> tuple[str, ...]:
    model = network_checks.network_of(recipe)
    names = (name.partition(".")[0] for name, p in model.named_parameters() if p.requires_grad)
    return tuple(dict.fromkeys(names))


def _span(settings: Sequence[str]) -> str:
    """Join settings: ``"A"``, ``"D and E"``, ``"A to C"``; "and" joins settings that are not neighbours."""
    letters = [setting.upper() for setting in settings]
    if len(letters) > 2 and "".join(letters) in SETTINGS.upper():
        return f"{letters[0]} to {letters[-1]}"
    return " and ".join(letters) or "none"


def finetune_table(claim: Claim) -> Finding:
    """Check R3's table: the start of each setting, and what it trains."""
    recipes = {setting: RECIPES[f"{claim.report}-finetune-{setting}"] for setting in SETTINGS}
    starts = {s: _pretraining(recipe) for s, recipe in recipes.items()}
    trained = {s: _trained(recipe) for s, recipe in recipes.items()}
    labelled, unlabelled = claim.stated["supervised"], claim.stated["byol"]

    def span_with(of: dict[str, Any], value: Any) -> str:
        return _span([setting for setting in SETTINGS if of[setting] == value])

    text = (
        f"{span_with(starts, '')} has no pre-training, {span_with(starts, 'w/ label(TA backbone)')}"
        f" the supervised backbone, {span_with(starts, 'w/o label(My backbone)')} the BYOL one;"
        f" {span_with(trained, ('backbone', 'head'))} train the whole network,"
        f" {span_with(trained, ('head',))}"
        " the classifier."
    )
    phrases = {("backbone", "head"): "Train full model", ("head",): "Fix the backbone"}
    ours = {
        "text": text,
        "pre-training": [start for start in dict.fromkeys(starts.values()) if start],
        "trained": [phrases.get(parts, f"train {parts}") for parts in dict.fromkeys(trained.values())],
    }
    printed = {
        "text": claim.text,
        "pre-training": [labelled, unlabelled],
        "trained": [claim.stated["full"], claim.stated["frozen"]],
    }
    return printed, ours


def _pretraining(recipe: Recipe) -> str:
    """Say what a setting starts from: whether labels were used, and whose backbone it is."""
    if not recipe.init.startswith("run:"):
        return ""
    source = RECIPES[recipe.init.removeprefix("run:")]
    labels = "w/o label" if source.task == "byol" else "w/ label"
    return f"{labels}({'My' if source.report == recipe.report else 'TA'} backbone)"


def automatic_masks(claim: Claim) -> Finding:
    """Check R1's use of SAM: network, weights, the call, and the effect of its settings."""
    from reference.models import automask

    recipe = RECIPES[claim.recipe or ""]
    source = ast.parse(inspect.getsource(automask.masks_of))
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    names = [ast.unparse(call.func) for call in calls]
    generator = next(name.rpartition(".")[2] for name in names if name.endswith("MaskGenerator"))
    generate = next(call for call in calls if ast.unparse(call.func).endswith(".generate"))
    module = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", generator.removeprefix("Sam")).lower()
    call = f"mask_generator.{ast.unparse(generate).partition('.')[2]}"
    args = dict(recipe.model_args)
    grid = "points of a grid as prompts" if args.get("points_per_side") else "no grid of points"
    once = "duplicate masks removed" if float(args.get("box_nms_thresh", 1)) < 1 else "duplicate masks kept"
    network = recipe.model.removeprefix("sam_vit_").upper()
    text = (
        f"SAM ViT-{network} segments {NUMBERS[len(recipe.mask_images)]} validation images automatically:"
        f" {grid}, {once}."
    )
    ours = {
        "text": text,
        "example": f"{module}_example.ipynb",
        "checkpoint": automask.CHECKPOINTS[recipe.init][0],
        "call": call,
        "code": f"masks = {call}",
    }
    return {"text": claim.text} | dict(claim.stated) | {"code": (claim.code or "").strip()}, ours


def _decimals(line: str) -> int:
    match = re.search(r"\.(\d+)$", line)
    return len(match[1]) if match else 0


def score_lines(claim: Claim) -> Finding:
    """Check the lines that ``bench score`` prints for the printed figures, and their number."""
    import numpy as np

    from bench.score import Score, lines
    from reference.data.dataset import OFFICIAL_PALETTE

    ends = (claim.stated[key].rpartition(" ")[2] for key in ("first", "mean"))
    first, mean = (float(end) if re.fullmatch(r"\d*\.\d+", end) else math.nan for end in ends)
    classes = OFFICIAL_PALETTE.classes
    printed = lines(
        Score(
            images=1,
            classes=classes,
            iou=(first,) * len(classes),
            mean_iou=mean,
            confusion=np.zeros((len(classes) + 1,) * 2, np.int64),
        )
    )
    digits = [NUMBERS[_decimals(line)] for line in (printed[0], printed[-1])]
    count = NUMBERS[len(printed) - 1]
    each, mean_digits = digits
    text = (
        f"The score prints the IoU of {count} classes with {each} digits and their mean with {mean_digits}."
    )
    return {"text": claim.text} | dict(claim.stated), {"text": text, "first": printed[0], "mean": printed[-1]}


PROTOCOLS: dict[str, Callable[[Claim], Finding]] = {
    "r1-byol-protocol": settings,
    "r1-byol-augment": settings,
    "r1-byol-augment-text": settings,
    "r1-byol-optimizer-code": byol_optimizer,
    "r1-finetune-protocol": whole_or_head,
    "r1-finetune-classes": settings,
    "r1-seg-b-model": hub,
    "r1-sam-protocol": automatic_masks,
    "r2-classify-classes": settings,
    "r2-seg-classes": settings,
    "r2-seg-a-protocol": settings,
    "r2-seg-b-protocol": settings,
    "r3-classify-a-protocol": settings,
    "r3-classify-b-protocol": settings,
    "r3-byol-protocol": settings,
    "r3-byol-optimizer-text": settings,
    "r3-byol-augment": settings,
    "r3-finetune-augment": reused,
    "r3-finetune-protocol": settings,
    "r3-finetune-classes": settings,
    "r3-finetune-table": finetune_table,
    "r3-seg-a-protocol": settings,
    "r3-seg-b-protocol": settings,
    "r3-seg-b-name": settings,
    "r4-classify-classes": settings,
    "r4-seg-a-name": settings,
    "r4-seg-b-protocol": settings,
    "r4-seg-classes": settings,
    "r4-score-format": score_lines,
    "r5-byol-protocol": settings,
    "r5-byol-augment": settings,
    "r5-finetune-protocol": settings,
    "r5-seg-classes": settings,
}
