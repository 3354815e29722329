"""The runner: command line, tiers, runs, records, grades, tables. Imports reference, never suites."""
