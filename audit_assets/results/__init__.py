"""Result tables: what the measurement makes of the embeddings of one audit."""

VERSION = 8
"""Raise it if the same inputs give other rows."""
