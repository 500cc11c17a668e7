"""Trials of what must not break: kills at any moment, files of strangers, long load."""
