"""Printed networks, compared with the ones that we build."""
