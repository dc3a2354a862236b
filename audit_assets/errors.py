"""The one error that the user is meant to read and repair."""


class InputError(ValueError):
    """bad input from the user's files: the message names file, field or row, and the remedy"""
