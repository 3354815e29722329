"""What the five reports describe, readable alone: networks, losses, metrics, data, recipes, training."""
