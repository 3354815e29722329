"""MNIST-1D's networks: printed parameter counts, and the same function as code from their equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference.models import MODELS, SIGNALS, build
from reference.models.mnist1d import Cnn1d, Gru1d, Logistic1d, Mlp1d
from reference.recipes import RECIPES

PRINTED = {"logistic": 410, "mlp": 15_210, "cnn": 5_210, "gru": 5_134}


def test_every_network_of_signals_is_here() -> None:
    assert dict.fromkeys(("logistic_1d", "mlp_1d", "cnn_1d", "gru_1d"), 40) == SIGNALS
    assert set(SIGNALS) <= set(MODELS)


@pytest.mark.parametrize(("name", "count"), PRINTED.items())
@pytest.mark.parametrize("shuffled", ["", "shuffled-"])
def test_the_recipes_network_has_the_printed_number_of_parameters(
    name: str, count: int, shuffled: str
) -> None:
    recipe = RECIPES[f"mnist1d-{shuffled}{name}"]
    model = build(recipe.model, num_classes=recipe.num_classes, width=recipe.width)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.fixture
def signals() -> Tensor:
    return torch.randn(6, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("name", SIGNALS)
def test_shapes_and_independence_within_a_batch(name: str, signals: Tensor, randomised) -> None:
    model = randomised(build(name, num_classes=5, width=4))
    with torch.inference_mode():
        logits = model(signals)
        torch.testing.assert_close(model(signals[2:4]), logits[2:4], rtol=1e-10, atol=1e-10)
    assert logits.shape == (6, 5)


@pytest.mark.parametrize("name", SIGNALS)
def test_the_gradient_reaches_every_parameter_and_position(name: str, signals: Tensor, randomised) -> None:
    model = randomised(build(name, num_classes=5, width=6))
    signals.requires_grad_()
    logits = model(signals)
    (logits * torch.arange(1.0, 31.0, dtype=torch.float64).reshape(6, 5)).sum().backward()
    assert all(parameter.grad.any() for parameter in model.parameters())
    assert (signals.grad.abs().sum(dim=0) > 0).all()


def test_logistic_regression_is_a_linear_map(signals: Tensor, randomised) -> None:
    model = randomised(Logistic1d())
    with torch.inference_mode():
        expected = signals @ model.classifier.weight.T + model.classifier.bias
        torch.testing.assert_close(model(signals), expected)


def test_mlp_adds_its_first_hidden_layer_to_its_second(signals: Tensor, randomised) -> None:
    model = randomised(Mlp1d())
    with torch.inference_mode():
        (w1, b1), (w2, b2), (w3, b3) = ((layer.weight, layer.bias) for layer in model.children())
        first = (signals @ w1.T + b1).clamp(min=0)
        expected = (first + (first @ w2.T + b2).clamp(min=0)) @ w3.T + b3
        torch.testing.assert_close(model(signals), expected)


def test_cnn_is_torchs_sequence_of_layers(signals: Tensor, randomised) -> None:
    model = randomised(Cnn1d())
    layers = nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.Conv1d(1, 25, 5, stride=2, padding=1), nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(125, 10),
    ).double()  # fmt: skip
    keys = layers.state_dict().keys()
    layers.load_state_dict(dict(zip(keys, model.state_dict().values(), strict=True)))
    with torch.inference_mode():
        torch.testing.assert_close(model(signals), layers(signals), rtol=1e-10, atol=1e-10)


def test_gru_is_the_cells_equations_in_both_directions(signals: Tensor, randomised) -> None:
    """Cho et al. 2014 in numpy, as torch's documentation writes them; outputs flattened by position."""
    model = randomised(Gru1d())
    state = {key: tensor.numpy() for key, tensor in model.state_dict().items()}

    def direction(x: np.ndarray, suffix: str) -> list[np.ndarray]:
        w, u = state[f"gru.weight_ih_l0{suffix}"], state[f"gru.weight_hh_l0{suffix}"]
        b, c = state[f"gru.bias_ih_l0{suffix}"], state[f"gru.bias_hh_l0{suffix}"]
        hidden, outputs = np.zeros((len(x), 6)), []
        for position in range(40):
            of_input, of_state = x[:, position : position + 1] @ w.T + b, hidden @ u.T + c
            reset, update = (
                1 / (1 + np.exp(-(of_input[:, part] + of_state[:, part])))
                for part in (np.s_[:6], np.s_[6:12])
            )
            new = np.tanh(of_input[:, 12:] + reset * of_state[:, 12:])
            hidden = (1 - update) * new + update * hidden
            outputs.append(hidden)
        return outputs

    x = signals.numpy()
    forward, backward = direction(x, ""), direction(x[:, ::-1], "_reverse")[::-1]
    flat = np.stack([np.concatenate(pair, axis=1) for pair in zip(forward, backward, strict=True)], axis=1)
    expected = flat.reshape(6, 480) @ state["classifier.weight"].T + state["classifier.bias"]
    with torch.inference_mode():
        np.testing.assert_allclose(model(signals).numpy(), expected, rtol=1e-9, atol=1e-9)
