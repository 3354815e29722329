"""What the reports say: claims, their schema, the ledgers and the data they speak of."""
