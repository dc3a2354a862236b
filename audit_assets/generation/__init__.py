"""Imitations: images that a model draws when a prompt names a subject, or images that an operator supplies in a folder."""

VERSION = 5
"""The version of imitations that a model draws. Raise it if the same inputs give other rows."""

SUPPLIED_VERSION = 9
"""The version of imitations that an operator supplied. Raise it if the same files give other rows."""

API_VERSION = 2
"""The version of imitations that a server draws. Raise it if the same answers give other rows."""

ARM_VERSION = 1
"""The version of images of a protocol's arms. Raise it if the same inputs give other rows."""
