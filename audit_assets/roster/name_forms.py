"""Names that are written as no model and no caption would have them: as in a catalogue, with dates, with letters that a program lost, as a line of a list.

Each function `_without_...` undoes one such form. `mended` applies them until none has anything to undo, so that the form that an error tells to
write is itself accepted.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

from audit_assets.roster.normalise import tokens, words

EMPTY = frozenset({"nan", "NaN", "None", "NULL", "null", "NaT", "<NA>", "#N/A", "N/A", "n/a", "#NAME?", "#REF!"})
"""What programs write into a cell that is empty, or that they could not fill."""
_NOBODY = frozenset(
    {
        "unknown artist",
        "anonymous",
        "various",
        "various artists",
        "et al.",
        "tbd",
        "todo",
        "n.n.",
        "n. n.",
        "unbekannt",
    }
)
_ADDRESS = re.compile(
    r"@\w|https?:|www\.|\S+@\S+\.\w+$|[ur]/\w|[\w-][\w.-]*\.[a-z]{2,}/\S|[\w-]+\.(?:com|net|org)$", re.IGNORECASE
)
_FORMULA = re.compile(
    r"=\s*(?:\$?[a-z]{1,3}\$?\d|[a-z][a-z.]*\(|[\w']+!|[\"{(\d+-])|#[A-Z]+(?:/\d)?[!?]$", re.IGNORECASE
)
_LOST = re.compile("[?\ufffd\u25a1]|(?<=\\w)\xbf")
"""What stands in place of a letter that an encoding does not have."""

_YEAR = r"(?:1\d|20)\d\d"
_MONTH = (
    r"(?:jan|f[eé]b|feb|fév|mar|mär|mrz|a[pvb]r|may|mai|maj|mei|mag|jun|juin|jul|juil|lug|aug|ago|ao[uû]t|sep|sept|set|oct|ok?t|ott|nov|"
    r"dec|dez|déc|dic)[a-zäé]*\.?"
)
_DATE = re.compile(
    rf"\d{{1,2}}[-/.]{_YEAR}|\d{{1,2}}:\d\d(?::\d\d)?|\d{{1,4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,4}})?(?:[ T]\d{{1,2}}:\d\d(?::\d\d)?)?|{_MONTH}[-/]\d{{1,4}}|\d{{1,2}}[-/]{_MONTH}(?:[-/]\d{{2,4}})?"
    rf"|\d{{1,2}}\. ?{_MONTH}(?: ?\d{{2,4}})?|\d[.,]?\d*e[+-]\d+",
    re.IGNORECASE,
)
"""What a spreadsheet makes of a cell that it takes for a date or a number."""

_DAY = rf"(?:\d{{1,2}}[./-]\d{{1,2}}[./-]{_YEAR}|{_YEAR}[./-]\d{{1,2}}[./-]\d{{1,2}})"
_BEGAN = r"(?:(?:b|born|c|ca|circa|fl|active|geb|n[ée]e?|nat[oa])\b\.?:?\s*(?:in\s+)?|\*\s*)"
_ENDED = r"(?:(?:d|died|c|ca|circa|gest|mort[eo]?)\b\.?:?\s*(?:in\s+)?|[\u2020+]\s*)"
_DASH = r"\s*[-\u2010-\u2015\u2212/]\s*"
_DATES = re.compile(
    rf"[\s,;:()\[\]]*(?:(?<!\w)(?:{_BEGAN}?(?:{_DAY}|{_YEAR}\??){_DASH}{_ENDED}?(?:{_DAY}|\d{{2,4}}|present|today|heute)?"
    rf"|{_BEGAN}(?:{_DAY}|{_YEAR})|{_ENDED}(?:{_DAY}|{_YEAR})|{_DAY})|,\s*{_YEAR})(?!\w)[\s,;:.()\[\]]*",
    re.IGNORECASE,
)
_LAST_YEAR = re.compile(rf"(.+?)\s+{_YEAR}$")

_ENCODINGS = ("cp1252", "mac_roman", "cp437")
"""Those in which programs read UTF-8 by mistake."""
_LATIN, _CYRILLIC = (
    "AaBCcEeHIiJjKMOoPpSsTXxYy",
    "\u0410\u0430\u0412\u0421\u0441\u0415\u0435\u041d\u0406\u0456\u0408\u0458\u041a\u041c\u041e\u043e\u0420\u0440\u0405\u0455\u0422\u0425\u0445\u0423\u0443",
)
"""Letters of two scripts that look alike."""
_TO_LATIN, _TO_CYRILLIC = str.maketrans(_CYRILLIC, _LATIN), str.maketrans(_LATIN, _CYRILLIC)
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})|\\x([0-9a-f]{2})", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>|\*\*", re.IGNORECASE)
_BREAK = re.compile(r"</?(?:br|p|div|li|td|tr)\b[^<>]*>", re.IGNORECASE)
_QUOTED = re.compile(
    r"""["'\u201c\u201d\u201e\xab\xbb\u2018\u2019\u2039\u203a\u300c\u300e]([^"\u201c\u201d\u201e\xab\xbb\u300c-\u300f]+)["'\u201c\u201d\xab\xbb\u2018\u2019\u2039\u203a\u300d\u300f]"""
)
_BRACKETS = re.compile(r"\s*[(\[{\uff08\u3010][^)\]}\uff09\u3011]*[)\]}\uff09\u3011]\s*")
_MARK = re.compile(
    r"(?:[\u2022\u00b7\u2023\u25aa\u25ab\u25cf\u25cb\u25e6\u2043\u2219\u27a2\u2192\xbb\u2013\u2014>~]|[*+-](?=\s)|\(?\d{1,5}[.):](?=\s)|\(?\d{1,5}\)|\d{1,5}\.(?=[^\W\d])|0\d*(?=\s)|\(?[a-z]\)(?=\s)|"
    r"#\s*\d+[.):]?(?=\s)|\d{1,5}(?=\s+\S+\s+\S))\s*",
    re.IGNORECASE,
)
"""A bullet or a number before the entry of a list. A number before one word stays ("50 Cent")."""
_COMMENT = re.compile(r"^(?:#|//|--)")
_FOOTNOTE = re.compile(r"[*\u2020\u2021\xb9\xb2\xb3\u2070-\u2079]+$")

_DESCRIPTIONS = frozenset(
    re.findall(
        r"\w+",
        "painter illustrator artist photographer sculptor designer printmaker engraver draughtsman architect american australian austrian belgian "
        "british canadian chinese czech danish dutch english finnish flemish french german greek hungarian indian irish italian japanese korean "
        "mexican norwegian polish portuguese russian scottish spanish swedish swiss turkish ukrainian welsh",
    )
)
"""What stands in a catalogue after a comma, and is no part of the name."""
_ADDED = re.compile(
    r"(jr|sr|jun|sen|junior|senior|ii|iii|iv|esq|ph\.?d|m\.?d|r\.?a|obe|mbe|[cdk]be|d\. ?[äj]|inc|ltd|llc|llp|gmbh|corp|plc|co\.|s\.a|"
    r"the \S.*|l['\u2019]ancien|le jeune|d(er|ie) (ältere|jüngere))\.?",
    re.IGNORECASE,
)
"""What follows a comma in a name that is not turned: "Example, Jr.", "Example, the Elder", "Example, Inc."."""
_ADDED_LAST = re.compile(r"(.+\S)\s+((?:jr|sr|ii|iii|iv)\.?|the \S+)", re.IGNORECASE)
_PARTICLES = frozenset(
    re.findall(
        r"\w+",
        "af al bin bint da das de del della den der di do dos du e el ibn la las le los of ter van von y zu zum zur",
    )
)
_JOINED = re.compile(r"[&+]|\b(?:and|und|et)\b", re.IGNORECASE)
_COMMA = re.compile(r"(?<!\d)[,\uff0c\u060c]|[,\uff0c\u060c](?!\d)")

_ANEW = "write the name anew, and save the file as UTF-8"
_ALONE = "write the name alone, as people say it, and one artist per row"
_DOUBTS = (
    (_LOST, "has lost a letter, or has a question mark for one", _ANEW),
    (_COMMENT, "begins like a comment", "delete the row if it is one, or write the name alone"),
    (re.compile(r"[;\uff1b\u3001]|\w\w\s*\|\s*\w\w|\s[/|]\s|\w\s+\S+/\S+\s+\w"), "may be several people", _ALONE),
    (
        re.compile(r"\s[-\u2013\u2014]\s"),
        "has a dash between spaces, as before a profession or the name of a page",
        _ALONE,
    ),
    (
        re.compile(r"^(?:attributed to|(?:circle|follower|workshop|manner) of)\s", re.IGNORECASE),
        "is an attribution of a catalogue",
        _ALONE,
    ),
    (re.compile(r"[()\[\]{}<>\uff08\uff09]"), "has one bracket without the other", _ALONE),
)
"""Forms from which no other form follows, with the remedy."""
_SIGNS = re.compile(r"[,\uff0c\u060c;\uff1b\u3001|()\[\]{}<>\uff08\uff09/#]|\s[-\u2013\u2014]\s")


class Form(NamedTuple):
    """This is what is wrong with the form of a name."""

    what: str
    written: str | None
    """The name in the form that people use. None if it does not follow from what stands there."""
    remedy: str
    alias: str
    """The alias by which a person says that the name is right as it is."""


def misread(name: str, aliases: Iterable[str] = ()) -> str | None:
    """Return what is wrong with the form of a name, and the remedy. None if a model can be asked for it as it is.

    If the form is what the artist uses, the other form is among the aliases, and the name stays.
    """
    wrong = fault(name)
    form = None if wrong is None or _no_name(name) else _form_of(name)
    if form is None:
        return wrong
    if any(tokens(alias) == tokens(form.alias) and not _LOST.search(alias) for alias in aliases):
        return None
    return f"{wrong}. If the name is right as it is, keep it and add {form.alias!r} to the aliases"


def fault(name: str) -> str | None:
    """`misread` of a name that has no aliases and cannot get any, such as that of a folder."""
    if wrong := _no_name(name):
        return f"{name!r} {wrong}"
    form = _form_of(name)
    return f"{name!r} {form.what}; {form.remedy}" if form else None


def mended(name: str) -> str | None:
    """The name in the form that people use, if it has another one and the form follows from what stands there."""
    form = None if _no_name(name) else _form_of(name)
    return form.written if form else None


def damage(name: str) -> str | None:
    """What a program did to the letters of a name."""
    return next((what for what, undo in _FORMS[:2] if (undo(name) or name) != name), None) or (
        "has lost a letter" if _LOST.search(name) else None
    )


def numbered(names: Sequence[str]) -> set[int]:
    """The places of names whose first words count up from one row to the next, as in a list. One such name alone can be right ("50 Cent")."""
    numbers = [int(found[1]) if (found := re.match(r"(\d{1,6})\s+\S", name)) else None for name in names]
    pairs = [n for n, (one, other) in enumerate(pairwise(numbers)) if one is not None and other == one + 1]
    return {place for n in pairs for place in (n, n + 1)}


def _form_of(name: str) -> Form | None:
    said, now = "", name
    for _ in range(20):
        step = next(((what, new) for what, undo in _FORMS if (new := undo(now)) and new != now and tokens(new)), None)
        if step is None:
            break
        said, now = said or step[0], step[1]
    doubt = _doubt(now)
    if doubt or (said and _no_name(now)):
        what, remedy = doubt or ("", _ALONE)
        plain = " ".join(_SIGNS.sub(" ", _LOST.sub("", now)).split())
        return Form(said or what, None, remedy, plain)
    return Form(said, now, f"write {now!r}", now) if said else None


def _no_name(name: str) -> str | None:
    """Why a text is no name at all, with the remedy."""
    if name in EMPTY:
        return "is what programs write for an empty cell; write the name, or delete the row"
    if name.casefold() in _NOBODY:
        return "names nobody; write the name, or delete the row"
    if "\ufffd" in name:
        return f"has lost a letter; {_ANEW}"
    if _FORMULA.match(name):
        return "is a formula or an error of a spreadsheet; write the name, as text"
    if _ADDRESS.match(name):
        return "is a handle or an address, not a name; write the name, and the handle in its own column"
    if _DATE.fullmatch(name) or _DATES.fullmatch(name):
        return "is a date or a number as a spreadsheet writes it; write the name, and format the column as text"
    return None


def _doubt(name: str) -> tuple[str, str] | None:
    if found := next(((what, remedy) for sign, what, remedy in _DOUBTS if sign.search(name)), None):
        return found
    parts = _parts(name)
    if len(parts) > 1 and not _are_added(parts[1:]):
        return "has a comma, as in a catalogue or between several people", _ALONE
    return None


def _read_anew(name: str) -> str | None:
    for encoding in _ENCODINGS:
        try:
            read = name.encode(encoding).decode()
        except UnicodeError:
            continue
        if read != name:
            return read
    return None


def _in_one_script(name: str) -> str:
    """The name without single letters of another script that look like those of the word, as in a text that a camera read."""
    return re.sub(r"[^\W\d_]+", lambda word: _word_in_one_script(word[0]), name)


def _word_in_one_script(word: str) -> str:
    for table in (_TO_LATIN, _TO_CYRILLIC):
        other = word.translate(table)
        if other != word and len({unicodedata.name(c, "").partition(" ")[0] for c in other}) == 1 < len(
            {unicodedata.name(c, "").partition(" ")[0] for c in word}
        ):
            return other
    return word


def _without_escapes(name: str) -> str:
    plain = html.unescape(_ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), name))
    with suppress(UnicodeError):
        plain = unquote(plain, errors="strict") if re.search("%[0-9a-fA-F]{2}", plain) else plain
    plain = plain.replace("\xa0", " ").strip()
    return plain if plain.isprintable() else name


def _without_quotes(name: str) -> str | None:
    if quoted := _QUOTED.fullmatch(name):
        return quoted[1].strip()
    alone = len(re.findall('["\u201c\u201d\u201e]', name)) == 1
    return name.strip('"\u201c\u201d\u201e').strip() if alone else None


def _without_mark(name: str) -> str:
    found = _MARK.match(name)
    return (name[found.end() :] if found else name).rstrip(" \u2022\u00b7\u25cf")


def _without_brackets(name: str) -> str | None:
    outside = _BRACKETS.sub(" ", name).strip()
    return (
        outside
        if tokens(outside)
        else _BRACKETS.sub(lambda found: found[0].strip(" ()[]{}\uff08\uff09\u3010\u3011"), name)
    )


def _without_dates(name: str) -> str | None:
    rest = _DATES.sub(" ", name).strip(" ,;:") if _DATES.search(name) else name
    found = _LAST_YEAR.fullmatch(rest)
    return found[1].rstrip(" ,;:") if found and len(words(found[1])) > 1 else rest


def _turned(name: str) -> str | None:
    """A name of a catalogue, "Last, First", as people say it."""
    parts = [part for part in _parts(name) if part]
    kept = [part for n, part in enumerate(parts) if not (n and _is_description(part))]
    if len(kept) == 1:
        return kept[0]
    if len(kept) < len(parts):
        return ", ".join(kept)
    if _are_added(parts[1:]) or len(parts) > 3 or _JOINED.search(name):
        return None
    last, first, *more = parts
    if more:
        if _are_added([first]):  # "Davis, Jr., Sammy"
            return f"{more[0]} {last}, {first}"
        both = _turned(f"{last}, {first}")
        return f"{both}, {more[0]}" if both and _are_added(more) else None
    if max(len(last.split()), len(first.split())) > 4:
        return None
    if first[0].islower() and not last[0].islower():
        said = first.split()
        if said[0] not in _PARTICLES:
            return None
        return f"{first} {last}" if len(said) == 1 else f"{last} {first}"
    if added := _ADDED_LAST.fullmatch(first):
        return f"{added[1]} {last} {added[2]}"
    return f"{first} {last}"


def _parts(name: str) -> list[str]:
    return [part.strip() for part in _COMMA.split(name)]


def _are_added(parts: list[str]) -> bool:
    return all(_ADDED.fullmatch(part) for part in parts)


def _is_description(part: str) -> bool:
    return part[0].isdigit() or any(word in _DESCRIPTIONS for word in part.casefold().split())


_FORMS: tuple[tuple[str, Callable[[str], str | None]], ...] = (
    ("was saved as UTF-8 and read in another encoding", _read_anew),
    ("has a letter of another script within a word", _in_one_script),
    ("has a letter in the form of HTML or of an address", _without_escapes),
    ("has marks of HTML", lambda name: " ".join(_TAG.sub("", _BREAK.sub(" ", name)).split())),
    ("stands in quotation marks", _without_quotes),
    ("has the mark or the number of a list", _without_mark),
    ("has brackets, as for dates or a profession", _without_brackets),
    ("has dates", _without_dates),
    (
        "has underscores in place of spaces",
        lambda name: " ".join(name.replace("_", " ").split()) if "_" in name else None,
    ),
    ("has the mark of a footnote", lambda name: _FOOTNOTE.sub("", name).strip()),
    ("has a handle behind it", lambda name: re.sub(r"\s+@\S+$", "", name)),
    ("has a mark at its end", lambda name: name.rstrip(" ,;:\uff0c")),
    ("has a comma, as in a catalogue", lambda name: _turned(name) if len(_parts(name)) > 1 else None),
)
"""What is wrong with a form, and the function that undoes it."""
