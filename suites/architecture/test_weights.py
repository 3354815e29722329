"""Pretrained weights: found, checked, renamed, refused. The files are made here; nothing is downloaded."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from reference.errors import InputError, WeightsMissingError
from reference.models import MODELS, build
from reference.models.weights import (
    WEIGHTS,
    KeyMap,
    find_weights,
    key_map_of,
    load_pretrained,
    load_weights,
    translate,
    weights_folder,
)


def on_meta(name: str, num_classes: int = 7, **args) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=num_classes, **args)


def named_by_hash(path: Path, stem: str) -> Path:
    """Rename a file as torchvision names its own."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"{stem}-{digest[:8]}.pth"))


def save(folder: Path, stem: str, state) -> Path:
    torch.save(state, folder / "file")
    return named_by_hash(folder / "file", stem)


@pytest.fixture(scope="module")
def resnet34_state():
    return torchvision.models.resnet34(weights=None).state_dict()


@pytest.fixture(scope="module")
def hollow_state(resnet34_state):
    """The same keys and shapes, zeros without memory of their own: a file of a few kilobytes."""
    zero = {tensor.dtype: torch.zeros((), dtype=tensor.dtype) for tensor in resnet34_state.values()}
    return {key: zero[tensor.dtype].expand(tensor.shape) for key, tensor in resnet34_state.items()}


@pytest.fixture
def provide(tmp_path, monkeypatch):
    """A function (name, state) that puts a state dict where ``find_weights`` finds it; answers the folder."""

    def put(name: str, state) -> Path:
        path = save(tmp_path, name, state)
        monkeypatch.setitem(WEIGHTS, name, path.name)
        return tmp_path

    return put


def test_the_table_names_torchvisions_own_files():
    urls = {weights.url for name in torchvision.models.list_models() for weights in _published(name)}
    names = {url.rsplit("/", 1)[1] for url in urls}
    assert set(WEIGHTS.values()) <= names
    for name, file in WEIGHTS.items():
        assert file.startswith(name + "-")


def _published(name: str):
    return list(torchvision.models.get_model_weights(name))


def test_every_weights_file_fits_a_network():
    fitting = {weights for name in MODELS for weights in getattr(on_meta(name), "pretrained", {})}
    assert fitting == set(WEIGHTS)


# --- finding ---------------------------------------------------------------------------------------


def test_the_given_folder_comes_first_then_torch_home_then_the_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    assert weights_folder(tmp_path) == tmp_path
    assert weights_folder() == tmp_path / "home" / "hub" / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    assert weights_folder() == Path(torch.hub.get_dir()) / "checkpoints"


def test_missing_weights_say_where_and_how_in_one_line(tmp_path):
    with pytest.raises(WeightsMissingError) as caught:
        find_weights("vgg16", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "vgg16-397923af.pth",
        str(tmp_path),
        "curl -L",
        "https://download.pytorch.org/models/vgg16-",
    ):
        assert part in message


def test_unknown_weights_list_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="resnet152") as caught:
        find_weights("vgg19", tmp_path)
    assert not isinstance(caught.value, WeightsMissingError)


def test_a_folder_of_the_files_name_is_not_the_file(tmp_path):
    (tmp_path / WEIGHTS["vgg16"]).mkdir()
    with pytest.raises(WeightsMissingError):
        find_weights("vgg16", tmp_path)


# --- reading ---------------------------------------------------------------------------------------


def test_tensors_come_back_as_they_were(tmp_path):
    state = {"a": torch.rand(3), "b": torch.arange(4)}
    read = load_weights(save(tmp_path, "some", state))
    assert all(torch.equal(read[key], state[key]) for key in state)


def test_another_hash_is_refused(tmp_path):
    torch.save({"a": torch.rand(3)}, tmp_path / "some-00000000.pth")
    with pytest.raises(InputError, match="its name says 00000000"):
        load_weights(tmp_path / "some-00000000.pth")


def test_a_name_without_a_hash_is_refused(tmp_path):
    torch.save({"a": torch.rand(3)}, tmp_path / "some.pth")
    with pytest.raises(InputError, match="ends in the file's SHA-256"):
        load_weights(tmp_path / "some.pth")


def test_a_truncated_file_is_refused(tmp_path):
    path = save(tmp_path, "some", {"a": torch.rand(3000)})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        load_weights(path)
    with pytest.raises(InputError, match="not a torch file"):
        load_weights(named_by_hash(path, "some"))


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", b"\x80\x02.", b"PK\x03\x04" + bytes(100)]
)
def test_anything_but_a_torch_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_weights(named_by_hash(tmp_path / "file", "some"))
    assert "\n" not in str(caught.value)


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return (os.mkdir, (str(self.witness),))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    witness = tmp_path / "ran"
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))):
        write({"a": Payload(witness)}, tmp_path / "file")
        with pytest.raises(InputError, match="not a torch file of tensors"):
            load_weights(named_by_hash(tmp_path / "file", "evil"))
        assert not witness.exists()


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"epoch": 3}, {"state": {"a": torch.zeros(2)}}])
def test_anything_but_a_state_dict_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="other than a state dict"):
        load_weights(save(tmp_path, "some", value))


# --- loading into networks -------------------------------------------------------------------------


@pytest.mark.parametrize(("num_classes", "same_head"), [(1000, True), (50, False)])
def test_classifier_takes_all_but_a_head_of_other_classes(provide, resnet34_state, num_classes, same_head):
    folder = provide("resnet34", resnet34_state)
    model = build("resnet34", num_classes=num_classes)
    before = model.fc.weight.clone()
    digest = load_pretrained(model, "resnet34", folder)
    assert digest == hashlib.sha256((folder / WEIGHTS["resnet34"]).read_bytes()).hexdigest()
    loaded = model.state_dict()
    for key, tensor in resnet34_state.items():
        if not key.startswith("fc.") or same_head:
            assert torch.equal(loaded[key], tensor), key
    assert torch.equal(model.fc.weight, before) != same_head


@pytest.mark.parametrize("name", ["fcn8s_resnet34", "fcn32s_resnet34"])
def test_resnet_stages_compute_what_torchvisions_layers_do(provide, resnet34_state, name, images):
    model = build(name, num_classes=7)
    load_pretrained(model, "resnet34", provide("resnet34", resnet34_state))
    theirs = torchvision.models.resnet34(weights=None)
    theirs.load_state_dict(resnet34_state)
    x = images(1, 64, 64).float()
    with torch.inference_mode():
        y = theirs.eval().maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        eighth = theirs.layer2(theirs.layer1(y))
        sixteenth = theirs.layer3(eighth)
        for ours, expected in zip(
            model.eval().stages(x), (eighth, sixteenth, theirs.layer4(sixteenth)), strict=True
        ):
            # One float32 implementation on both sides.
            torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_files_older_than_the_batch_counter_load(provide, hollow_state):
    old = {key: tensor for key, tensor in hollow_state.items() if "num_batches" not in key}
    model = build("resnet34", num_classes=3)
    load_pretrained(model, "resnet34", provide("resnet34", old))
    assert not model.conv1.weight.any()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("layer2.1.bn2.bias"), "layer2.1.bn2.bias"),
        (lambda state: state.update({"layer9.0.weight": torch.zeros(1)}), "layer9.0.weight"),
        (
            lambda state: state.update({"layer3.0.conv1.weight": torch.zeros(3)}),
            "'layer3.0.conv1.weight': found (3,), expected (256, 128, 3, 3)",
        ),
        (lambda state: state.pop("layer3.2.bn1.running_mean"), "layer3.2.bn1.running_mean"),
    ],
)
def test_the_first_key_that_does_not_fit_is_named(provide, hollow_state, change, named):
    state = dict(hollow_state)
    change(state)
    folder = provide("resnet34", state)
    with pytest.raises(InputError) as caught:
        load_pretrained(on_meta("resnet34", 3), "resnet34", folder)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_prefix_is_an_error_for_a_segmentation_network(provide, hollow_state):
    folder = provide("resnet34", {**hollow_state, "extra.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"'extra.weight' is unexpected"):
        load_pretrained(on_meta("fcn8s_resnet34", 3), "resnet34", folder)


def test_a_refused_file_leaves_the_model_as_it_was(provide, hollow_state):
    state = dict(hollow_state)
    state.pop("layer4.2.bn2.bias")
    model = build("resnet34", num_classes=3)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(InputError):
        load_pretrained(model, "resnet34", provide("resnet34", state))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_a_damaged_file_is_not_loaded(provide):
    """One bit of one weight, which no reader of the format would notice."""
    folder = provide("resnet18", build("resnet18", num_classes=1000).state_dict())
    path = folder / WEIGHTS["resnet18"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_pretrained(on_meta("resnet18", 1000), "resnet18", folder)


def test_a_narrower_network_is_refused(provide, hollow_state):
    with pytest.raises(InputError, match="width 64 only, found width 8"):
        load_pretrained(on_meta("resnet34", 3, width=8), "resnet34", provide("resnet34", hollow_state))


def test_weights_of_another_network_are_refused(provide, hollow_state):
    with pytest.raises(InputError, match="those that do: resnet18"):
        load_pretrained(on_meta("resnet18", 3), "resnet34", provide("resnet34", hollow_state))
    with pytest.raises(InputError, match="those that do: none"):
        load_pretrained(nn.Linear(1, 1), "resnet34", provide("resnet34", hollow_state))


def translated(name: str, weights: str, num_classes: int = 7, **args) -> tuple[nn.Module, dict]:
    """torchvision's keys and shapes, without the numbers, translated for a network."""
    with torch.device("meta"):
        state = torchvision.models.get_model(weights, weights=None).state_dict()
    model = on_meta(name, num_classes, **args)
    return model, translate(state, model, key_map_of(model, weights), Path("file"))


@pytest.mark.parametrize("num_classes", [1000, 50])
@pytest.mark.parametrize("name", ["vgg13", "vgg16_bn", "resnet18", "resnet50", "resnet152"])
def test_every_classifier_is_covered_by_its_file(name, num_classes):
    model, found = translated(name, name, num_classes)
    left = [key for key in model.state_dict() if key not in found]
    head = {"vgg": ["classifier.6.weight", "classifier.6.bias"], "res": ["fc.weight", "fc.bias"]}[name[:3]]
    assert left == ([] if num_classes == 1000 else head)


@pytest.mark.parametrize(
    ("name", "weights", "args"),
    [
        ("fcn32s", "vgg16", {}),
        ("fcn32s", "vgg16", {"padding": 1, "score_relu": True, "deconv_bias": True}),
        ("fcn32s", "vgg16_bn", {"batch_norm": True}),
        ("fcn8s_vgg16", "vgg16", {}),
        ("fcn8s_vgg16", "vgg16_bn", {"batch_norm": True}),
    ],
)
def test_vgg_fcns_take_the_features_and_nothing_else(name, weights, args):
    model, found = translated(name, weights, **args)
    assert set(found) == {key for key in model.state_dict() if key.startswith("features.")}


def test_r2s_fcn32s_takes_the_features():
    model, found = translated("fcn32s_leaky", "vgg16")
    assert set(found) == {key for key in model.state_dict() if key.startswith("features5.")}


@pytest.mark.parametrize(("weights", "batch_norm"), [("vgg16_bn", True), ("vgg16", False)])
def test_r2s_fcn8s_takes_the_features_in_three_pieces(weights, batch_norm):
    model, found = translated("fcn8s_leaky", weights, batch_norm=batch_norm)
    assert set(found) == {key for key in model.state_dict() if key.startswith("features")}
    assert found["features4.0.weight"].shape == (512, 256, 3, 3)
    assert all(
        isinstance(part[-1], nn.MaxPool2d) for part in (model.features3, model.features4, model.features5)
    )
    with torch.device("meta"):
        theirs = getattr(torchvision.models, weights)(weights=None)
    keys = model.pretrained[weights]
    # In the same order: no layer went to another one's place.
    ours = [keys.rename(key) for key in theirs.state_dict() if key.startswith("features.")]
    assert ours == [key for key in model.state_dict() if key.startswith("features")]


@pytest.mark.parametrize("aux", [True, False])
@pytest.mark.parametrize("num_classes", [21, 7])
def test_deeplab_takes_all_of_a_coco_file_but_heads_of_other_classes(num_classes, aux):
    with torch.device("meta"):
        state = torchvision.models.segmentation.deeplabv3_resnet50(
            weights=None, weights_backbone=None, aux_loss=True
        ).state_dict()
    model = on_meta("deeplabv3_resnet50", num_classes, aux=aux)
    found = translate(state, model, key_map_of(model, "deeplabv3_resnet50_coco"), Path("file"))
    left = {key for key in model.state_dict() if key not in found}
    heads = {"classifier.4.weight", "classifier.4.bias"}
    heads |= {"aux_classifier.4.weight", "aux_classifier.4.bias"} if aux else set()
    assert left == (set() if num_classes == 21 else heads)


def test_deeplab_takes_a_resnet50_as_its_backbone():
    model, found = translated("deeplabv3_resnet50", "resnet50")
    assert set(found) == {key for key in model.state_dict() if key.startswith("backbone.")}


@pytest.mark.parametrize(("name", "fc"), [("linear", 0), ("mlp", 0), ("dropout", 2)])
def test_fine_tuning_takes_the_backbone(name, fc):
    model, found = translated(f"resnet50_{name}", "resnet50", 65)
    assert set(found) == {key for key in model.state_dict() if key.startswith("backbone.")}
    assert sum(key.startswith("backbone.fc.") for key in found) == fc


def test_deeplab_file_is_loaded_and_both_heads_keep_their_initial_weights(provide):
    """The real sizes, file and all: 168 MB."""
    theirs = torchvision.models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, aux_loss=True
    ).state_dict()
    model = build("deeplabv3_resnet50", num_classes=7)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    load_pretrained(model, "deeplabv3_resnet50_coco", provide("deeplabv3_resnet50_coco", theirs))
    for key, tensor in model.state_dict().items():
        source = before if key.startswith(("classifier.4.", "aux_classifier.4.")) else theirs
        assert torch.equal(tensor, source[key]), key


@pytest.mark.parametrize("name", ["fcn32s", "fcn8s_vgg16"])
def test_a_transplant_also_fills_fc6_and_fc7(name):
    model, found = translated(name, "vgg16", transplant=True)
    wanted = {key for key in model.state_dict() if key.startswith(("features.", "fc6.", "fc7."))}
    assert set(found) == wanted
    assert found["fc6.weight"].shape == (4096, 512, 7, 7)
    assert found["fc7.weight"].shape == (4096, 4096, 1, 1)


def test_a_transplanted_layer_computes_what_the_classifiers_did():
    """fc6 over a 7×7 map is the linear layer over the same map, flattened."""
    linear, conv = nn.Linear(2 * 49, 5).double(), nn.Conv2d(2, 5, 7).double()
    conv.num_classes = 5
    keys = KeyMap(prefixes={"": ""}, reshaped=("weight",))
    conv.load_state_dict(translate(linear.state_dict(), conv, keys, Path("file")))
    x = torch.rand(3, 2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # The same sums in another order.
    torch.testing.assert_close(conv(x).flatten(1), linear(x.flatten(1)), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_vgg16_file_fills_an_fcn32s(provide, images):
    """The real sizes once, file and all: 553 MB."""
    theirs = torchvision.models.vgg16(weights=None, init_weights=False).eval()
    folder = provide("vgg16", theirs.state_dict())
    model = build("fcn32s", num_classes=7, transplant=True).eval()
    load_pretrained(model, "vgg16", folder)
    x = torch.zeros(1, 512, 7, 7).uniform_(0, 1, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs.classifier[:5](x.flatten(1)).flatten()
        ours = model.relu7(model.fc7(model.relu6(model.fc6(x)))).flatten()
    # Sums of 25,088 float32 products in another order.
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert not model.score_fr.weight.any()
