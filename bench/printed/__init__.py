"""Printed networks, held against the ones we build."""
