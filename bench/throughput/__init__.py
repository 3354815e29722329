"""Timings: measured, stored and compared."""
