"""The roster: whom the captions name, who is audited, and the names that nobody trained on as controls."""

VERSION = 2
"""Of every table here. Raise it if the same captions and names give other rows."""
