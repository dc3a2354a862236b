"""Encoders: images and labels to unit vectors."""

VERSION = 1
"""Of embeddings of images. Raise it if the same inputs give other rows."""
LABELS_VERSION = 2
"""Of embeddings of labels."""
