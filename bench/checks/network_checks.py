"""Compare what reports say of their networks with what we count on the networks of ``reference``.

The printed value is a fact as the claims file has it. The found value is the same sentence with our counts in
place of its numbers, or another sentence if the fact does not hold. So every word of a fact is checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.checks import tiny
from bench.claims.claim import Claim
from bench.printed.printed_layers import PrintedLayer, channels, rows_of
from reference.recipes import RECIPES
from reference.recipes.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from reference.models.byol import BYOL

Finding = tuple[Any, Any]
"""What is printed and what we find."""

_TRUNKS = ("encoder.", "backbone.", "features", "stage", "conv1", "bn1", "layer")
_WEIGHTED = ("Conv2d", "Linear")


# Networks ----------------------------------------------------------------------------------------------


@cache
def built(model: str, num_classes: int, args: tuple[tuple[str, Any], ...] = ()) -> nn.Module:
    """Build one of our networks in evaluation mode, with shapes alone."""
    from reference.models import build
    from reference.models.shapes import shapes_only

    with shapes_only():
        return build(model, num_classes=num_classes, **dict(args)).eval()


def network_of(recipe: Recipe) -> nn.Module:
    """Build the network that a recipe trains, with shapes alone."""
    return built(recipe.model, recipe.num_classes, recipe.model_args)


def network(claim: Claim) -> nn.Module:
    """Build the network that a claim names, with its recipe's arguments if the recipe trains this network."""
    recipe = RECIPES[claim.recipe or ""]
    assert claim.model is not None
    return built(claim.model, recipe.num_classes, recipe.model_args if recipe.model == claim.model else ())


@cache
def torchvisions(name: str, num_classes: int) -> nn.Module:
    """Build torchvision's network of that name, with shapes alone."""
    import torchvision

    from reference.models.shapes import shapes_only

    segments = {"aux_loss": True, "weights_backbone": None} if name.startswith("deeplabv3") else {}
    with shapes_only():
        model: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_classes, **segments
        )
    return model.eval()


def is_torchvisions(model: nn.Module, name: str, num_classes: int) -> bool:
    """Whether the network has exactly the tensors of torchvision's."""
    ours, theirs = (net.state_dict() for net in (model, torchvisions(name, num_classes)))
    return {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in theirs.items()}


@cache
def built_layers(model: nn.Module) -> tuple[PrintedLayer, ...]:
    """Return the layers of a network; kept, since the network does not change any more."""
    return tuple(rows_of(model))


def weighted(layers: Sequence[PrintedLayer]) -> list[PrintedLayer]:
    """Return the layers with weights on the main path, which the number in a network's name counts."""
    return [row for row in layers if row.type in _WEIGHTED and ".downsample." not in f".{row.path}"]


def trunk(model: nn.Module) -> list[PrintedLayer]:
    """Return the layers that pretrained weights fill, without a classifier's last layer."""
    return [row for row in built_layers(model) if row.path.startswith(_TRUNKS) and row.type != "Linear"]


def trunk_name(model: nn.Module) -> str:
    """Recognise a trunk by its shape: ``"resnet50"``, ``"vgg16_bn"``. Its own linear layers count too."""
    layers = trunk(model)
    if any(".downsample." in row.path for row in layers):
        return f"resnet{len(weighted(layers)) + 1}"
    norm = "_bn" if any(row.type == "BatchNorm2d" for row in layers) else ""
    return f"vgg{len(weighted(layers)) + 3}{norm}"


def branches(model: nn.Module) -> list[PrintedLayer]:
    """Return the parallel convolutions of ASPP, which all see the same map."""
    dilated = [row.path for row in built_layers(model) if _dilation(row) > 1 and not _in(row, "backbone")]
    if not dilated:
        return []
    container = dilated[0].rsplit(".", 2)[0]
    return [row for row in built_layers(model) if _in(row, container) and row.type == "Conv2d"]


def _in(row: PrintedLayer, container: str) -> bool:
    return row.path.startswith(f"{container}.")


def _dilation(row: PrintedLayer) -> int:
    return row.number("dilation") or 1


def output_size(model: nn.Module, size: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Return the shape of the output for an image of that size, and of each layer's output."""
    import torch

    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[[Any, Any, Tensor], None]:
        def hook(module: Any, inputs: Any, output: Tensor) -> None:
            shapes[name] = tuple(output.shape)

        return hook

    layers = [
        (name, layer) for name, layer in model.named_modules() if not any(True for _ in layer.children())
    ]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers]
    try:
        with torch.no_grad():
            answer = model(torch.empty(1, 3, size, size, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(answer.shape), shapes


def weights(recipe: Recipe, model: nn.Module) -> str:
    """Say whether a recipe starts from published weights that fit its network."""
    return "pretrained weights" if recipe.init in getattr(model, "pretrained", {}) else "random weights"


# Facts -------------------------------------------------------------------------------------------------


def vgg13(claim: Claim) -> list[str]:
    """Count VGG13's blocks and linear layers."""
    layers = built_layers(network(claim))
    ends = [index for index, row in enumerate(layers) if row.type == "MaxPool2d"]
    starts = [0, *(end + 1 for end in ends)]
    blocks = [_pairs([row.type for row in layers[a:b]]) for a, b in zip(starts, ends, strict=False)]
    kinds = " or ".join(dict.fromkeys(blocks))
    linear = sum(row.type == "Linear" for row in layers[starts[-1] :])
    return [f"{len(blocks)} blocks of {kinds} and a max-pool", f"{linear} fully connected layers at the end"]


def _pairs(types: list[str]) -> str:
    count = types.count("Conv2d")
    if types == ["Conv2d", "ReLU"] * count:
        return f"{count} x (convolution, ReLU)"
    return f"({', '.join(types)})"


def resnet152(claim: Claim) -> list[str]:
    """Check depth, image size and start; the default size is that of torchvision's evaluation."""
    import torchvision

    from reference.models.weights import WEIGHTS

    model, recipe = network(claim), RECIPES[claim.recipe or ""]
    published = torchvision.models.get_model_weights(claim.model)
    sizes = [w.transforms().crop_size[0] for w in published if w.url.endswith(WEIGHTS.get(recipe.init, "/"))]
    default = sizes[0] if sizes else "unknown"
    size = default if default == recipe.image_size else f"{default} px, the recipe's {recipe.image_size}"
    return [
        f"{len(weighted(built_layers(model)))} layers",
        f"default input {size} px",
        weights(recipe, model),
    ]


def depth(claim: Claim) -> list[str]:
    """Count the layers of ResNet34 and of R4's other trunk."""
    return [f"{len(weighted(built_layers(network(claim))))} layers with weights on the main path"]


def depth_in_words(claim: Claim) -> str:
    """Write the sentence that compares both depths."""
    resnet, vgg = network(claim), built("vgg16_bn", RECIPES[f"{claim.report}-classify"].num_classes)
    names = [trunk_name(net).removesuffix("_bn") for net in (resnet, vgg)]
    first, second = names[0].replace("resnet", "ResNet"), names[1].replace("vgg", "VGG")
    layers = [len(weighted(built_layers(net))) for net in (resnet, vgg)]
    return f"{first} has {layers[0]} layers where {second} has {layers[1]}."


def finetune_dropout(claim: Claim) -> list[str]:
    """Describe R3's head, which follows the convolutions."""
    model = network(claim)
    name = trunk_name(model).replace("resnet", "ResNet")
    layers = [row for row in built_layers(model) if row.type in ("Linear", "Dropout")]
    backbone_layers = [row for row in layers if _in(row, "backbone")]
    kept = f"{backbone_layers[0].layer} is kept" if backbone_layers else "last layer is left out"
    between = layers[len(backbone_layers)].type if len(layers) > len(backbone_layers) else "nothing"
    last = layers[-1]
    return [
        f"{name}'s own {kept}",
        f"{between} after it",
        f"Linear {last.number('in_features')} to {last.number('out_features')}",
    ]


def finetune_mlp(claim: Claim) -> list[str]:
    """Describe R5's head."""
    head = [row for row in built_layers(network(claim)) if _in(row, "head")]
    linear = [row for row in head if row.type == "Linear"]
    dropout = [row.arg("p") for row in head if row.type == "Dropout"]
    hidden = " and ".join(str(row.number("out_features")) for row in linear[:-1]) or "none"
    return [
        f"{len(linear)} fully connected layers",
        f"hidden size {hidden}",
        f"Dropout {' and '.join(map(str, dropout)) or 'none'}",
    ]


def second_last(claim: Claim) -> list[str]:
    """Name the layer before VGG13's last one; pools, convolutions and linear layers count."""
    layers = [row for row in built_layers(network(claim)) if row.type in (*_WEIGHTED, "MaxPool2d")]
    last_pool = max(index for index, row in enumerate(layers) if row.type == "MaxPool2d")
    follow = len(layers) - 1 - last_pool
    if layers[-2].type == "MaxPool2d":
        return ["the second last layer is where the convolutions end"]
    return [f"the second last layer is {layers[-2].layer}; {follow} layers follow where the convolutions end"]


# Facts about segmentation ------------------------------------------------------------------------------


def fully_convolutional(claim: Claim) -> list[str]:
    """Check that each of VGG16's linear layers has become a convolution with as many weights."""
    classes = RECIPES[claim.recipe or ""].num_classes
    layers = [row for row in built_layers(network(claim)) if not row.path.startswith(_TRUNKS)]
    linear = [row for row in built_layers(torchvisions("vgg16", classes)) if row.type == "Linear"]
    left = sum(row.type == "Linear" for row in layers)
    same = [_weights(row) for row in layers if row.type == "Conv2d"] == [_weights(row) for row in linear]
    if left:
        return [f"fully connected layers: {left} of {len(linear)} left"]
    return [f"fully connected layers replaced by convolutional ones{'' if same else ' of other sizes'}"]


def _weights(row: PrintedLayer) -> int:
    takes, gives = channels(row)
    return (takes or 0) * (gives or 0) * (row.number("kernel_size") or 1) ** 2


def fcn32s_in_words(claim: Claim) -> list[str]:
    """Describe R3's model A by the sizes of its maps for an image of the recipe's size."""
    model, recipe = network(claim), RECIPES[claim.recipe or ""]
    answer, shapes = output_size(model, recipe.image_size)
    layers = built_layers(model)
    pools = [row for row in layers if row.type == "MaxPool2d"]
    last = shapes[pools[-1].path][-1]
    extra = [row for row in layers if row.type == "Conv2d" and not row.path.startswith(_TRUNKS)]
    extra = [row for row in extra if row.number("out_channels") != recipe.num_classes]  # all but the scores
    up = [row for row in layers if row.type == "ConvTranspose2d"]
    size = (
        "the input's size" if answer[-1] == recipe.image_size else f"{answer[-1]} of {recipe.image_size} px"
    )
    shrunk = f"size / 2^{len(pools)} = size / {recipe.image_size / last:g}"
    return [
        f"{len(pools)} blocks, each with a max-pool: {shrunk}",
        " and ".join(f"conv{len(pools) + index}" for index, _ in enumerate(extra, start=1)),
        f"{' and '.join(row.type for row in up) or 'no transposed convolution'} to {size}",
    ]


def deeplab(claim: Claim) -> list[str]:
    """Check R3's model B: torchvision's network, its start and its dilation."""
    model, recipe = network(claim), RECIPES[claim.recipe or ""]
    dilated = any(_dilation(row) > 1 for row in built_layers(model))
    same = is_torchvisions(model, claim.model or "", recipe.num_classes)
    start = weights(recipe, model) if same else "another network than torchvision's"
    return [start, "dilated convolutions" if dilated else "no dilated convolution"]


def aspp_rates(claim: Claim) -> list[str]:
    """Return the rates of torchvision's network, which R1 loads."""
    model = torchvisions(claim.model or "", RECIPES[claim.recipe or ""].num_classes)
    rates = [_dilation(row) for row in branches(model) if _dilation(row) > 1]
    return [f"ASPP dilation rates: {', '.join(map(str, rates))}"]


def aspp_pooling(claim: Claim) -> list[str]:
    """Return the layers of ASPP's pooling branch, in order."""
    layers = built_layers(network(claim))
    pools = [row for row in layers if row.type.startswith("Adaptive") and not _in(row, "backbone")]
    if not pools:
        return ["ASPP pooling: none"]
    steps = []
    for row in layers:
        if _in(row, pools[0].path.rpartition(".")[0]):
            size = row.number("kernel_size")
            steps.append(f"{row.type} {size}x{size}" if size else row.type)
    return [f"ASPP pooling: {', then '.join(steps[:2])}"]


def auxiliary_head(claim: Claim) -> list[str]:
    """Check that the auxiliary classifier of R1's model B and its model A have only convolutions."""
    own = [row for row in built_layers(network(claim)) if _in(row, "aux_classifier")]
    if not own:
        return ["auxiliary classifier: none"]
    other = built_layers(network_of(RECIPES["r1-seg-a"]))
    linear, model_a = (any(row.type == "Linear" for row in rows) for rows in (own, other))
    kind = "a linear layer" if linear else "convolutions and no linear layer"
    return [f"auxiliary classifier: {kind}, {'as in' if linear == model_a else 'unlike'} model A"]


def aspp_kernels(claim: Claim) -> list[str]:
    """Check that DeepLab's parallel branches have several kernel sizes, as the report says."""
    parallel = branches(network(claim))
    if len({row.number("kernel_size") for row in parallel}) > 1:
        return ["parallel branches of different kernel sizes, concatenated"]
    sizes = [f"{row.number('kernel_size')}x{row.number('kernel_size')}" for row in parallel]
    rates = [str(_dilation(row)) for row in parallel]
    return [
        f"parallel branches of kernel sizes {', '.join(sizes)} and dilations {', '.join(rates)}, concatenated"
    ]


def has_decoder(model: nn.Module, size: int) -> bool:
    """Whether a head uses a finer map than the last one of its backbone, as DeepLabv3+ does."""
    _, shapes = output_size(model, size)
    last = [shape for name, shape in shapes.items() if name.startswith("backbone.") and len(shape) == 4][-1]
    heads = [row for row in built_layers(model) if row.type == "Conv2d" and not _in(row, "backbone")]
    return any(shapes[row.path][-1] > last[-1] for row in heads if row.path in shapes)


# Facts about BYOL --------------------------------------------------------------------------------------


def _traffic(claim: Claim) -> tuple[BYOL, Counter[str], bool]:
    """Run a step of a small BYOL: images through each part, and whether its target got a gradient."""
    from reference.losses import BYOL as LOSSES

    recipe = RECIPES[claim.recipe or ""]
    model = tiny.byol(recipe.model_args)
    seen: Counter[str] = Counter()

    def count(name: str) -> Callable[[Any, tuple[Tensor, ...], Any], None]:
        def hook(module: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
            seen[name] += len(inputs[0])

        return hook

    for name, part in model.named_children():
        part.register_forward_hook(count(name))
    answer = model(*tiny.views())
    LOSSES[recipe.loss](*answer).backward()  # type: ignore[no-untyped-call]
    targets = [p for name, p in model.named_parameters() if name.startswith("target_")]
    gradient = any(p.grad is not None for p in targets) or answer.target1.requires_grad
    return model, seen, gradient


def byol_r1(claim: Claim) -> list[str]:
    """Check which views go through which part, where the gradient goes, and which parts are kept."""
    _, seen, gradient = _traffic(claim)
    both = all(seen[name] == 2 * tiny.IMAGES for name in ("encoder", "target_encoder"))
    kept = _kept(claim)
    return [
        f"{'both augmented views go' if both else 'not every augmented view goes'} through both networks",
        f"the target branch has {'a' if _target_predicts(seen) else 'no'} predictor"
        f" and gets {'a' if gradient else 'no'} gradient",
        f"after training only the {' and '.join(kept)} is kept",
    ]


def _target_predicts(seen: Counter[str]) -> bool:
    return seen["predictor"] > 2 * tiny.IMAGES or seen["target_predictor"] > 0


def _kept(claim: Claim) -> list[str]:
    """Return the parts of a pre-trained BYOL that its fine-tuning takes over."""
    import torch

    after = next(r for r in RECIPES.values() if r.init == f"run:{claim.recipe}")
    model, tuned = (tiny.network(claim.model or "", 1), tiny.network(after.model, after.num_classes))
    tuned.load_encoder(model.state_dict())  # type: ignore[operator]
    values = [value for value in tuned.state_dict().values() if value.numel() > 1]
    parts = (
        name.partition(".")[0]
        for name, parameter in model.named_parameters()
        if any(parameter.shape == value.shape and torch.equal(parameter, value) for value in values)
    )
    return [part for part, _ in groupby(parts)]


def byol_r3(claim: Claim) -> list[str]:
    """Check the predictor's place and what the target is."""
    model, seen, _ = _traffic(claim)
    online = "a predictor" if seen["predictor"] else "no predictor"
    target = "one" if _target_predicts(seen) else "none"
    average = "an exponential moving average" if _is_average(model) else "no exponential moving average"
    return [f"the online network has {online}, the target has {target}", f"the target is {average}"]


def _is_average(model: BYOL) -> bool:
    """Whether two updates leave the decay's square of the target and take the rest from the online side."""
    import torch

    decay, start = 0.75, {name: value.clone() for name, value in model.named_parameters()}
    for _ in range(2):
        model.ema_update(decay)
    after = dict(model.named_parameters())
    return all(
        torch.allclose(after[name], decay**2 * old + (1 - decay**2) * start[name.removeprefix("target_")])
        for name, old in start.items()
        if name.startswith("target_")
    )


def byol_r5(claim: Claim) -> list[str]:
    """Check that there are two networks over a ResNet50."""
    model, seen, _ = _traffic(claim)
    both = seen["encoder"] and seen["target_encoder"] and model.encoder is not model.target_encoder
    name = trunk_name(network(claim)).replace("resnet", "ResNet")
    return ["an online and a target network" if both else "one network", f"backbone {name}"]


# Checks ------------------------------------------------------------------------------------------------


def parameters(claim: Claim) -> list[str]:
    """Count the parameters of the recipe's network at the recipe's width."""
    recipe = RECIPES[claim.recipe or ""]
    model = built(recipe.model, recipe.num_classes, (("width", recipe.width), *recipe.model_args))
    return [f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters"]


FACTS: dict[str, Callable[[Claim], list[str]]] = {
    "r1-byol-network": byol_r1,
    "r1-seg-a-network": fully_convolutional,
    "r1-aspp-rates": aspp_rates,
    "r1-aspp-pooling": aspp_pooling,
    "r1-seg-b-auxiliary": auxiliary_head,
    "r3-vgg13": vgg13,
    "r3-resnet152": resnet152,
    "r3-finetune-network": finetune_dropout,
    "r3-byol-network": byol_r3,
    "r3-seg-a-network": fcn32s_in_words,
    "r3-seg-b-network": deeplab,
    "r3-seg-b-kernels": aspp_kernels,
    "r3-second-last-layer": second_last,
    "r4-depth": depth,
    "r5-finetune-network": finetune_mlp,
    "r5-byol-network": byol_r5,
    **dict.fromkeys(
        (f"mnist1d-{network}-parameters" for network in ("logistic", "mlp", "cnn", "gru")), parameters
    ),
}
"""Claim → its facts as we find them."""


def facts(claim: Claim) -> Finding:
    """Return a claim's facts as printed and as found; for ``r4-depth`` also its comparison."""
    printed, ours = list(claim.facts), FACTS[claim.id](claim)
    if claim.id == "r4-depth":
        return [claim.text, *printed], [depth_in_words(claim), *ours]
    return printed, ours
