"""Frozen encoders that turn films and sound into features, and the files that keep them."""
