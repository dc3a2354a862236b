"""What a file says about how its image was made, and what any program's settings say of adapters and of other images."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

FROM_AN_IMAGE = "was made also from another image"
UNSTATED = "was made from words that its file does not state"
A_GRID = "is a grid of several images"
_IMAGE = re.compile(
    r"initimage\w*|imagepaths?|control(net|image|layer)\w*|(ip|t2i)adapters?|ref(erence)?images?\w*|promptimages?|referencestrengthmultiple"
)
"""Settings that have a value only if an image was given to the model, in small letters without `_`."""
_ADAPTER = re.compile(r"(use)?loras?(paths?|models?)?(combined\d+)?")
_MODE = re.compile(r"im(a)?ge?2im(a)?ge?|inpaint|outpaint|infill", re.I)
_MODES = ("generation_mode", "request_type", "type")
_MOST_ADAPTERS = 20
_DEEPEST = 4


class Said(NamedTuple):
    """This is what a file says about its making. None stands for what it does not say."""

    prompt: str | None
    seed: int | None
    model: str | None
    """The model, and the adapters that it was drawn with."""
    origin: str
    """Where in the file the values were found."""
    apart: str | None = None
    """Why the image is no answer to the prompt alone, as the end of a sentence that begins with "it"."""
    texts: tuple[str, ...] = ()
    """The words that the file states, if `prompt` is None because they may not be the prompt, or not all of it."""


def of_texts(texts: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the one prompt that texts state, or else the texts. Texts that differ in spaces alone are one."""
    stated: dict[str, str] = {}
    for text in texts:
        if isinstance(text, str) and text.strip():
            stated.setdefault(" ".join(text.split()), text.strip())
    different = tuple(stated.values())
    return (different[0], ()) if len(different) == 1 else (None, different)


def whole(value: Any) -> int | None:
    """Return a whole number that is written as a number or as digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def with_adapters(model: Any, adapters: Iterable[str]) -> Any:
    """Return the name of a model together with those of its adapters."""
    names = list(dict.fromkeys(name.strip() for name in adapters if name.strip() and name.lower() != "none"))
    return f"{model or 'a model'} with {', '.join(names[:_MOST_ADAPTERS])}" if names else model


def adapters_of(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the adapters that a program's settings list, in whatever form."""
    for key, value in found.items():
        if _ADAPTER.fullmatch(_plain(key)):
            for one in value if isinstance(value, list) else [value]:
                yield from _name(one)


def _name(one: Any) -> Iterator[str]:
    if isinstance(one, Mapping):
        one = next((one[key] for key in ("name", "model_name", "lora", "model", "file") if one.get(key)), None)
        yield from _name(one)
    elif isinstance(one, list):
        yield from _name(next((part for part in one if isinstance(part, str)), None))
    elif isinstance(one, str):
        yield one


def image_in(found: Mapping[str, Any]) -> str | None:
    """Return FROM_AN_IMAGE if a program's settings say that the model was given an image too."""
    modes = [found[key] for key in _MODES if isinstance(found.get(key), str)]
    given = any(_MODE.search(mode) for mode in modes) or _given(found, _DEEPEST)
    return FROM_AN_IMAGE if given else None


def _given(found: Mapping[str, Any], depth: int) -> bool:
    for key, value in found.items():
        if _IMAGE.fullmatch(_plain(key)) and not _nothing(value):
            return True
        if depth and isinstance(value, Mapping) and _given(value, depth - 1):
            return True
    return False


def _nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_nothing(part) for key, part in value.items() if key != "version")
    if isinstance(value, str):
        return value.strip().lower() in ("", "none", "false", "0")
    return not value


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace(" ", "")
