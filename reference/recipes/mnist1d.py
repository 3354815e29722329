"""MNIST-1D (Greydanus and Kobak, ICML 2024): four networks on 4,000 signals, in order and shuffled.

Printed (table of the project's README, accuracy on the 1,000 test signals): logistic regression 32 %, MLP
68 %, CNN 94 %, GRU 91 %; with all positions shuffled 32 %, 68 %, 56 %, 57 %. The protocol is stated in full:
Adam at 0.01, batches of 100 in the order of the data set, steps 0 to 6,000, an evaluation after every 250th,
the last one reported. One core takes 2 s a seed for logistic regression, 5 s for the MLP, 15 s for the CNN
and 75 s for the GRU: ``bench run mnist1d``.
"""

from __future__ import annotations

from dataclasses import replace

from reference.recipes.recipe import Phase, Recipe

LOGISTIC = Recipe(
    slug="mnist1d-logistic",
    printed="32",
    report="mnist1d",
    title="logistic regression",
    task="classify",
    data="mnist1d",
    model="logistic_1d",
    num_classes=10,
    image_size=40,
    init="scratch",
    loss="cross_entropy",
    batch_size=100,
    phases=(Phase(optimizer="adam", lr=0.01, epochs=25),),
    augment=(),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    selection="final",
    assumptions=(),
    eval_batch_size=1000,
    order="fixed",
    eval_steps=250,
    score_train=True,
)
MLP = replace(
    LOGISTIC, slug="mnist1d-mlp", printed="68", title="MLP of two hidden layers", model="mlp_1d", width=100
)
CNN = replace(
    LOGISTIC, slug="mnist1d-cnn", printed="94", title="CNN of three convolutions", model="cnn_1d", width=25
)
GRU = replace(LOGISTIC, slug="mnist1d-gru", printed="91", title="bidirectional GRU", model="gru_1d", width=6)


def _shuffled(recipe: Recipe, printed: str) -> Recipe:
    """Return the same training on the data with shuffled positions."""
    return replace(
        recipe,
        slug=recipe.slug.replace("mnist1d-", "mnist1d-shuffled-"),
        printed=printed,
        title=f"{recipe.title}, positions shuffled",
        data="mnist1d-shuffled",
    )


SHUFFLED_LOGISTIC = _shuffled(LOGISTIC, "32")
SHUFFLED_MLP = _shuffled(MLP, "68")
SHUFFLED_CNN = _shuffled(CNN, "56")
SHUFFLED_GRU = _shuffled(GRU, "57")
