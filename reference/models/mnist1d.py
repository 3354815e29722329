"""The networks of MNIST-1D: (B, 40) signals in, (B, num_classes) logits out, torch's own initial weights.

==================  ===========  =======================================  ==========
name in ``MODELS``  class        ``width`` is                             parameters
==================  ===========  =======================================  ==========
logistic_1d         Logistic1d   not used                                 410
mlp_1d              Mlp1d        the hidden size, 100                     15,210
cnn_1d              Cnn1d        the channels, 25                         5,210
gru_1d              Gru1d        the hidden size of either direction, 6   5,134
==================  ===========  =======================================  ==========

Source: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

LENGTH = 40
"""Number of values in a signal."""


class Logistic1d(nn.Module):
    """Logistic regression: one linear layer. 410 parameters for 10 classes; ``width`` changes nothing."""

    def __init__(self, *, num_classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.classifier = nn.Linear(LENGTH, num_classes)

    def forward(self, signals: Tensor) -> Tensor:
        """(B, 40) float → (B, num_classes) logits."""
        logits: Tensor = self.classifier(signals)
        return logits


class Mlp1d(nn.Module):
    """Two hidden layers, the second with a residual connection. 15,210 parameters at width 100."""

    def __init__(self, *, num_classes: int = 10, width: int = 100) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(LENGTH, width)
        self.hidden2 = nn.Linear(width, width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, signals: Tensor) -> Tensor:
        """(B, 40) float → (B, num_classes) logits."""
        hidden = F.relu(self.hidden1(signals))
        hidden = hidden + F.relu(self.hidden2(hidden))
        logits: Tensor = self.classifier(hidden)
        return logits


class Cnn1d(nn.Module):
    """Three convolutions of stride 2, then a linear layer. 5,210 parameters at width 25."""

    def __init__(self, *, num_classes: int = 10, width: int = 25) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, width, kernel_size=5, stride=2, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.classifier = nn.Linear(width * 5, num_classes)

    def forward(self, signals: Tensor) -> Tensor:
        """(B, 40) float → (B, num_classes) logits."""
        features = F.relu(self.conv1(signals.unsqueeze(1)))  # (B, width, 19)
        features = F.relu(self.conv2(features))  # (B, width, 10)
        features = F.relu(self.conv3(features))  # (B, width, 5)
        logits: Tensor = self.classifier(features.flatten(1))
        return logits


class Gru1d(nn.Module):
    """A bidirectional GRU whose 40 outputs feed a linear layer. 5,134 parameters at width 6."""

    def __init__(self, *, num_classes: int = 10, width: int = 6) -> None:
        super().__init__()
        self.gru = nn.GRU(input_size=1, hidden_size=width, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * width * LENGTH, num_classes)

    def forward(self, signals: Tensor) -> Tensor:
        """(B, 40) float → (B, num_classes) logits."""
        outputs, _ = self.gru(signals.unsqueeze(2))  # (B, 40, 2·width), initial state zero
        logits: Tensor = self.classifier(outputs.flatten(1))
        return logits
