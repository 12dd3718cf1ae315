"""How long a program may take that a test has started: only so that none waits without an end."""

HANGS = 300.0
"""Seconds; far more than any takes, also on a machine that is busy with other work."""
