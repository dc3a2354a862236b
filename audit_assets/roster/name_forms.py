"""Names that are written as no model and no caption would have them: as in a catalogue, with letters that a program lost, in brackets."""

import html
import re
from collections.abc import Iterable

from audit_assets.roster.normalise import tokens

_SUFFIX = re.compile(
    r"(jr|sr|jun|sen|junior|senior|ii|iii|iv|esq|ph\.?d|m\.?d|r\.?a|obe|mbe|[cdk]be|d\. ?[äj])\.?", re.IGNORECASE
)
"""What follows a comma in a name that is not turned: "Example, Jr."."""
_ENCODINGS = ("cp1252", "mac_roman", "cp437")
"""Those in which programs read UTF-8 by mistake."""
_QUOTED = re.compile(
    r"""["'\u201c\u201d\u201e\xab\xbb\u2018\u2019\u2039\u203a\u300c\u300e](.+)["'\u201c\u201d\xab\xbb\u2018\u2019\u2039\u203a\u300d\u300f]"""
)
_BRACKETS = re.compile(r"\s*[(\[{\uff08\u3010][^)\]}\uff09\u3011]*[)\]}\uff09\u3011]\s*")
_ADDRESS = re.compile(r"@\w|https?:|www\.|\S+@\S+\.\w+$", re.IGNORECASE)
EMPTY = frozenset({"nan", "NaN", "None", "NULL", "null", "NaT", "<NA>", "#N/A", "N/A", "n/a", "#NAME?", "#REF!"})
"""What programs write into a cell that is empty, or that they could not fill."""


def misread(name: str, aliases: Iterable[str] = ()) -> str | None:
    """Return what is wrong with the form of a name, and the remedy. None if a model can be asked for it as it is.

    If the form is what the artist uses, the other form is among the aliases, and the name stays.
    """
    if name in EMPTY:
        return f"{name!r} is what programs write for an empty cell; write the name, or delete the row"
    if _ADDRESS.match(name):
        return f"{name!r} is a handle or an address, not a name; write the name, and the handle in its own column"
    if "\ufffd" in name or re.search(r"\w\?+\w", name):
        return f"{name!r} has lost a letter; write the name anew, and save the file as UTF-8"
    found = _other_form(name)
    if found is None:
        return None
    what, mended = found
    if any(tokens(alias) == tokens(mended) for alias in aliases):
        return None
    return (
        f"{name!r} {what}; write {mended!r}. If the name is right as it is, keep it and add {mended!r} to the aliases"
    )


def _other_form(name: str) -> tuple[str, str] | None:
    for encoding in _ENCODINGS:
        try:
            mended = name.encode(encoding).decode()
        except UnicodeError:
            continue
        if mended != name:
            return "was saved as UTF-8 and read in another encoding", mended
    if (mended := html.unescape(name)) != name:
        return "has a letter in the form of HTML", mended
    if quoted := _QUOTED.fullmatch(name):
        return "stands in quotation marks", quoted[1].strip()
    if (mended := _BRACKETS.sub(" ", name).strip()) != name and tokens(mended):
        return "has brackets, as for dates or a profession", mended
    last, comma, first = (part.strip() for part in name.replace("\uff0c", ",").partition(","))
    if comma and first and not _SUFFIX.fullmatch(first):
        return "has a comma, as in a catalogue", f"{first} {last}"
    return None
