"""What to run next: hours, memory, the nightly."""
