"""Texts of an image file that are no program's record: which can state a prompt, and which never do.

A field that is named after a prompt states one. A title, description, comment, caption or subject may state one: whoever
saved the file knows. Marks of programs and cameras, file names, dates and addresses are no prompt. Other fields (software,
author, copyright, date) are not read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

_STATES = re.compile(r"(?!.*neg)(parameters|dream|([\w -]*[ _-])?prompt([ _-]?(text|g|l|[0-9]))?)", re.I)
_MAY_STATE = re.compile(
    r"(image ?)?(title|description|comments?|caption|subject|headline|abstract|summary|alt[ _]?text)|user ?comment",
    re.I,
)
_PROGRAM = (
    r"(the )?(gimp|adobe|photoshop|lightroom|firefly|illustrator|paint(\.net|brush)?|imagemagick|inkscape|krita|affinity|canva|figma|"
    r"midjourney|google|gemini|imagen|openai|chatgpt|dall[-·. ]?e|stable diffusion|comfyui|invokeai|novelai|ffmpeg|lavc\w*|"
    r"jpegmini|ezgif(\.com)?|tinypng|snipping tool|sharex|matplotlib|pillow|libvips|macos|windows|ios|android)"
)
_MARK = re.compile(
    rf"((image|picture|photo|file) )?((created|made|generated|edited|saved|exported|converted|compressed|optimi[sz]ed|processed) )?((with|by|in|using|from) )?{_PROGRAM}"
    r"(\b(ai|cc|cs|pro|plus|classic|photoshop|lightroom|firefly|illustrator|express|image|generator|for|on|the|web|windows|macintosh|macos|linux|android|ios|version)\b|[\s\d.,:;=%()v/-])*",
    re.I,
)
_CAMERA = re.compile(
    r"(olympus|sony|kodak|samsung|minolta|konica minolta|nikon|canon|fuji(film)?|panasonic|pentax|ricoh|casio|digital)( (digital|still|camera|dsc|imaging|[a-z]*\d[\w-]*))*|"
    r"exif_jpeg_picture|(lead technologies|creator: gd-jpeg|file written by|intel\(r\)|jpeg encoder)[\x20-\x7e]{0,80}",
    re.I,
)
_PLACEHOLDER = re.compile(
    r"(untitled|image|images|img|photo|picture|screenshot|screen shot|title|description|comment|default|none|null|n/a|test|output|download|edited|final|copy|dav|sdr|hdr|cof|ascii)?[\W\d_]*",
    re.I,
)
_LONGEST_MARK = 200
_FILE_NAME = re.compile(
    r"\S*[\d_]\S*|\S+\.(png|jpe?g|webp|avif|gif|tiff?|bmp|heic|psd)|https?://\S+|[0-9a-f-]{16,}", re.I
)


def stated(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield field and text of each field that is named after a prompt. `texts` has the fields' names in small letters."""
    for key, text in texts.items():
        if _STATES.fullmatch(key):
            for own in _of_json(text, key):
                yield key, own


def perhaps_stated(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield field and text of each field that may state a prompt, if its text can be one."""
    for key, text in texts.items():
        if _MAY_STATE.fullmatch(key):
            for own in _of_json(text, key):
                if not is_no_prompt(own):
                    yield key, own


def is_no_prompt(text: str) -> bool:
    """Whether a title or comment is what programs and cameras write, a file's name, a date, a number or an address."""
    plain = " ".join(text.split())
    return len(plain) < _LONGEST_MARK and any(
        pattern.fullmatch(plain) for pattern in (_MARK, _CAMERA, _PLACEHOLDER, _FILE_NAME)
    )


def _of_json(text: str, key: str) -> Iterator[str]:
    """The text; or, if it is JSON, what its fields that are named after a prompt hold."""
    with suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(text), (dict, list)):
            yield from _prompts_in(found, 6)
            return
        if not isinstance(found, str):
            return
        text = found
    words = re.split(r"(?:^|\n)Negative prompt:", text)[0].strip() if key == "parameters" else text.strip()
    if words:
        yield words


def _prompts_in(found: Any, depth: int) -> Iterator[str]:
    if isinstance(found, list) and depth:
        for part in found:
            yield from _prompts_in(part, depth - 1)
    elif isinstance(found, dict) and depth:
        for key, value in found.items():
            if isinstance(value, str):
                if _STATES.fullmatch(key) and value.strip():
                    yield value.strip()
            else:
                yield from _prompts_in(value, depth - 1)
