"""Models and encoders: the entries of audit.yaml, resolved to files with their hashes, or refused."""

VERSION = 1
"""Of the tables of models and encoders. No hash contains it, because every run makes them again."""
