"""What the six reports describe, readable alone: networks, losses, metrics, data, recipes, training."""
