"""Imitations: images that a model draws when a prompt names a subject, or images that an operator supplies in a folder."""

VERSION = 2
"""Of imitations. Raise it if the same inputs give other rows."""
