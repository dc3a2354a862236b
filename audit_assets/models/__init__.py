"""This package resolves the models and encoders of audit.yaml to files with their hashes, or refuses them."""

VERSION = 1
"""This is the version of the tables of models and encoders. No hash contains it, because every run makes them again."""
