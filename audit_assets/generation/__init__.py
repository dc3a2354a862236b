"""Imitations: what a model draws when it is asked for a subject by name, or a folder of images that somebody supplied."""

VERSION = 2
"""Of imitations. Raise it if the same inputs give other rows."""
