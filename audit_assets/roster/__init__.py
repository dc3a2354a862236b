"""The roster: the names in the captions, the artists that are audited, and the control names."""

VERSION = 10
"""The version of every table here. Raise it if the same captions and names give other rows."""
CONTROLS_VERSION = 1
"""The version of control names alone. Raise it, and not VERSION, if the same artists give other ones: counts of captions then stay."""
