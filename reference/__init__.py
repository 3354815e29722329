"""The networks, losses, metrics, data, recipes and training of the six reports; needs nothing of bench."""
