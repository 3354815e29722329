"""Placeholder until the rest stands."""


def write_claims(audit, path, options): ...
