"""Which column of a caption file is which, and its values in one type.

Data sets name their columns differently. A known name is taken in the order of COLUMN_NAMES, in any case. `captions.columns`
in `audit.yaml` names another column. Further columns that may hold captions are listed by name, because which of them trained
the model decides every count.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.errors import InputError

COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "url": ("url", "image_url", "img_url"),
    "text": ("text", "caption", "prompt", "alt_text", "org_caption", "original_caption"),
    "score": ("aesthetic_score", "aesthetic"),
    "similarity": ("similarity",),
    "punsafe": ("punsafe",),
    "pwatermark": ("pwatermark",),
    "status": ("status",),
}
"""The names of the columns in LAION-400M, 2B, Aesthetics, Re-LAION, COYO, DataComp, DiffusionDB and img2dataset's output, in order of preference."""
IDENTITIES = (
    "image_name",
    "file_name",
    "filename",
    "image_path",
    "img_path",
    "image",
    "uid",
    "id",
    "key",
    "sha256",
    "md5",
)
"""Columns that tell one image from another in a file without addresses."""
REQUIRED = ("url", "text")
SCORES = ("score", "similarity", "punsafe", "pwatermark")
_CAPTIONS = {"caption", "captions", "text", "texts", "prompt", "prompts", "alt", "description"}
_ABOUT_CAPTIONS = re.compile(r"(length|len|nsfw|id|path|url|hash|score|similarity|lang|language|tokens|size|count)$")


@dataclass(frozen=True)
class Columns:
    """`ours` maps our name to the name in the file. `other_texts` are further columns that may hold captions."""

    ours: dict[str, str] = field(default_factory=dict)
    other_texts: tuple[str, ...] = ()

    def only(self, wanted: Iterable[str]) -> dict[str, str]:
        """Our name -> the name in the file, for the wanted columns that exist, each file's column once."""
        return {ours: name for ours, name in self.ours.items() if ours in set(wanted)}


def find_columns(
    where: str, there: Sequence[str], named: Mapping[str, str], types: Mapping[str, pa.DataType] | None = None
) -> Columns:
    """The columns of the file `where`, which has the columns `there`; `named` are those that `audit.yaml` names.

    `types` are the types of a file that declares them. InputError if `audit.yaml` names a column that does not exist, or if
    two columns differ only in case.
    """
    found = {}
    for ours, candidates in COLUMN_NAMES.items():
        if ours in named:
            if named[ours] not in there:
                raise InputError(
                    f"{where}: has no column {named[ours]!r}, which captions.columns of audit.yaml names for {ours}; "
                    f"it has {_listed(there)}."
                )
            found[ours] = named[ours]
            continue
        for candidate in candidates:
            if matches := _matching(where, there, candidate):
                found[ours] = matches
                break
    if types is not None and "status" not in named and "status" in found and not _is_text(types[found["status"]]):
        del found["status"]  # a number or yes and no, which is not what img2dataset writes
    for candidate in IDENTITIES:
        if (name := _matching(where, there, candidate)) and (types is None or _identifies(types[name])):
            found.setdefault("url", name)
            if name not in found.values():
                found["identity"] = name  # of rows that have no address
            break
    others = [name for name in there if name not in found.values() and _may_hold_captions(name)]
    if types is not None:
        others = [name for name in others if not pa.types.is_primitive(types[name])]
    return Columns(found, tuple(others) if "text" in found else ())


def holds_addresses(column: str, named: Mapping[str, str]) -> bool:
    """Whether the column that tells images apart has their addresses: by its own name, or because `audit.yaml` names it for `url`."""
    own = column.strip().lower()
    return own in COLUMN_NAMES["url"] or (column != "" and column == named.get("url") and own not in IDENTITIES)


def required(where: str, columns: Columns, there: Sequence[str], needed: Iterable[str]) -> None:
    """Raise InputError that names the first needed column that the file lacks. Nothing else identifies a caption than its row if no URL exists."""
    for ours in needed:
        if ours in columns.ours or ours in ("url", "identity", "status"):
            continue
        filtered = "" if ours in REQUIRED else ", or remove the filter on it"
        raise InputError(
            f"{where}: no column {' or '.join(map(repr, COLUMN_NAMES[ours]))} (in any case); the file has "
            f"{_listed(there)}. Name the right one in audit.yaml (captions: {{columns: {{{ours}: NAME}}}}){filtered}. "
            "A text file needs a first row with the names of its columns."
        )


def typed(where: str, name: str, column: pa.Array) -> pa.Array:
    """Text as `string` or `large_string`, scores as float64. The scan, not this function, checks UTF-8."""
    column = _plain(column)
    kind = column.type
    if name in SCORES:
        try:
            return pc.cast(column, pa.float64())
        except (pa.ArrowException, NotImplementedError) as error:
            raise InputError(
                f"{where}, column {name}: holds {kind}, not numbers ({error}); name the column of the score in "
                f"audit.yaml (captions: {{columns: {{{name}: NAME}}}}), or remove the filter on it."
            ) from error
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_binary(kind):
        return column.view(pa.string())
    if pa.types.is_large_binary(kind):
        return column.view(pa.large_string())
    if pa.types.is_null(kind) or (
        name in ("url", "identity") and (pa.types.is_integer(kind) or pa.types.is_decimal(kind))
    ):
        return column.cast(pa.string())
    raise InputError(
        f"{where}, column {name}: holds {'whole numbers' if pa.types.is_decimal(kind) else kind}, not text; name the right column in audit.yaml "
        f"(captions: {{columns: {{{name}: NAME}}}})."
    )


def lacks_value(column: pa.Array) -> pa.Array:
    """For each text, whether it is missing: null, blank, or what programs write for a missing value."""
    missing = pc.is_null(column)
    short = pc.fill_null(pc.less_equal(pc.binary_length(column), _LONGEST_MISSING), False)
    if not pc.any(short).as_py():
        return missing
    places = pc.indices_nonzero(short)
    plain = pc.ascii_lower(pc.ascii_trim_whitespace(column.take(places)))
    none = places.filter(pc.is_in(plain, pa.array(MISSING, plain.type)))
    found = missing.to_numpy(zero_copy_only=False)
    found[none.to_numpy()] = True
    return pa.array(found)


MISSING = ("", "null", "nan", "none", "n/a", "na", "<na>", "\\n", "-")
_LONGEST_MISSING = 12


def _plain(column: pa.Array) -> pa.Array:
    """The values of a column of dictionaries, runs or views."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.dictionary).take(column.indices)
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(column))
    if pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.large_binary())
    return column


def _matching(where: str, there: Sequence[str], candidate: str) -> str | None:
    matches = [name for name in there if name.strip().lower() == candidate]
    if len(matches) > 1:
        raise InputError(f"{where}: columns {matches} differ only in case or spaces; rename or drop one.")
    return matches[0] if matches else None


def _identifies(kind: pa.DataType) -> bool:
    while pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        is_one(kind)
        for is_one in (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def _is_text(kind: pa.DataType) -> bool:
    while pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    return not pa.types.is_primitive(kind)


def _may_hold_captions(name: str) -> bool:
    words = re.split(r"[^a-z]+", name.lower())
    return not _CAPTIONS.isdisjoint(words) and not _ABOUT_CAPTIONS.search(name.lower())


def _listed(there: Sequence[str]) -> str:
    return ", ".join(map(repr, there)) or "no columns"
