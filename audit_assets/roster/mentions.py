"""Counts of captions per name. They decide the roster and the controls.

One pass over each shard looks for every artist and every candidate control. It writes two tables into the warehouse:
`mention_rows/<shard>` has one row per mention, with the digest that identifies duplicates; `artist_mentions/<shard>` has
the counts of the shard. `artist_mentions` merges all shards and counts each (URL, text) once.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_assets.config import Audit
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.roster import CONTROLS_VERSION, VERSION
from audit_assets.roster.artists import artists_of
from audit_assets.roster.caption_columns import SCORES, holds_addresses
from audit_assets.roster.captions import (
    Filters,
    Reading,
    Seen,
    Shard,
    caption_batches,
    caption_shards,
    declared,
    notes,
    out_of_range,
    sample_batches,
    score_version,
)
from audit_assets.roster.controls import draw_controls
from audit_assets.roster.examples import Examples
from audit_assets.roster.normalise import names_in, tokens
from audit_assets.roster.origins import origins_of
from audit_assets.roster.parts import countable
from audit_assets.roster.pieces import token_counter
from audit_assets.warehouse.places import local_copy
from audit_assets.warehouse.store import Warehouse, stamp

_COUNTED = ("rows_read", "rows_kept", "rows_naming", "rows_failed", "rows_unaddressed", "rows_not_utf8")
# Captions times names that the plain reference counts again per shard; this takes half a second.
_RECOUNTED = 300_000


class MentionScan:
    """The scan of one audit: its files, its filters and the names to look for.

    The scan recognises its inputs by content: it does not scan a shard again that was scanned for the same names. An object
    looks at each file once in its lifetime.
    """

    def __init__(self, audit: Audit, warehouse: Warehouse) -> None:
        self.audit, self.warehouse = audit, warehouse
        self._described: dict[str, pd.DataFrame] = {}

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """Key -> file, in order of the keys; empty if the audit has no captions."""
        captions = self.audit.captions
        return {s.key: s for s in caption_shards(captions.path, self.audit.base, self.reading)} if captions else {}

    @cached_property
    def reading(self) -> Reading:
        """How the audit file says that the caption files are to be read."""
        c = self.audit.captions
        if c is None:
            return Reading()
        return Reading({str(ours): name for ours, name in c.columns.items()}, c.encoding, c.failed_downloads)

    @cached_property
    def filters(self) -> Filters:
        c = self.audit.captions
        return Filters(c.minimum_score, c.maximum_punsafe, c.maximum_pwatermark) if c else Filters()

    @cached_property
    def artists(self) -> pd.DataFrame:
        return artists_of(self.audit)

    # ---- names
    @cached_property
    def candidates(self) -> pd.DataFrame:
        """The control names drawn. They are stored at the first draw, because another version of Faker would draw others.

        An edit of a `locale` draws again. Latin names that all come from the audit's own locale keep the draw of an earlier version.
        """
        a = self.audit
        own, origins = self.artists[["name", "kind", "aliases"]].to_json(), origins_of(self.artists, a.controls.locale)
        encoder = next(e for e in a.encoders if e.kind == "image_text").path if a.controls.nonsense else None
        known = set(origins) == {(a.controls.locale, True)}
        elsewhere = [] if known else [list(origins.items()), CONTROLS_VERSION]
        inputs = digest([own, a.controls.model_dump(), encoder, VERSION, *elsewhere])
        if self.warehouse.inputs("control_candidates") != inputs:
            pieces = token_counter(a) if a.controls.nonsense else None
            self.warehouse.write("control_candidates", draw_controls(self.artists, a.controls, pieces), inputs)
        return self.warehouse.read("control_candidates")

    @cached_property
    def _names(self) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
        people = zip(self.artists["name"], self.artists["aliases"], strict=True)
        return countable(
            {name: [name, *aliases] for name, aliases in people} | {n: [n] for n in self.candidates["name"]}
        )

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """All names to count: name -> the name and its aliases."""
        return self._names[0]

    @property
    def refused(self) -> dict[str, str]:
        """Name -> why it or one of its aliases is not counted, for example because it is one letter."""
        return self._names[1]

    # ---- shards
    def describe(self, key: str) -> pd.DataFrame:
        """Table `captions/<shard>`, one row: rows, sha256, the columns that are read, whether they have addresses, other columns that may
        hold captions, smallest and greatest value of each score, and the file's problem.

        The file is read again only if its size or times changed. A file that cannot be read has a `problem`.
        """
        if key not in self._described:
            self._described[key] = self._describe(key)
        return self._described[key]

    def _describe(self, key: str) -> pd.DataFrame:
        shard, table = self.shards[key], f"captions/{key}"
        sha256 = self._fingerprint(key)
        inputs = digest([sha256, vars(self.reading), VERSION])
        if self.warehouse.inputs(table) != inputs:
            row: dict = {"shard": key, "rows": pd.NA, "sha256": sha256, "problem": ""}
            row |= {"text_column": "", "url_column": "", "addresses": False, "other_texts": ""}
            row |= {f"{score}_{end}": None for score in SCORES for end in ("least", "greatest")}
            try:
                found = declared(shard)
                row["rows"], row["problem"] = found.rows, "; ".join(out_of_range(found.scores))
                row |= {f"{name}_column": found.columns.ours.get(name, "") for name in ("text", "url")}
                row["addresses"] = holds_addresses(row["url_column"], self.reading.columns)
                row["other_texts"] = ", ".join(found.columns.other_texts)
                for score, (least, greatest) in found.scores.items():
                    row |= {f"{score}_least": least, f"{score}_greatest": greatest}
            except InputError as error:
                row["problem"] = str(error)
            columns = {"rows": "Int64"} | {c: "float64" for c in row if c.endswith(("_least", "_greatest"))}
            self.warehouse.write(table, pd.DataFrame([row]).astype(columns), inputs)
        return self.warehouse.read(table)

    def _fingerprint(self, key: str) -> str:
        """The file's hash, read again only if its size or times changed: table `caption_stamps/<shard>`.

        That table is of one machine and one copy of the file, so nothing is made from it and no manifest names it.
        """
        shard, table = self.shards[key], f"caption_stamps/{key}"
        try:
            stamp = digest([shard.stamp(), VERSION])
            if self.warehouse.inputs(table) != stamp:
                self.warehouse.write(table, pd.DataFrame({"sha256": [shard.fingerprint()]}), stamp)
        except OSError as error:
            raise InputError(
                f"{shard.url}: cannot be opened ({error}); check the path and your access to it."
            ) from error
        return str(self.warehouse.read(table)["sha256"].iloc[0])

    def _inputs(self, key: str) -> str:
        """The hash of everything on which the counts of a shard depend."""
        return digest(
            [self.describe(key)["sha256"].iloc[0], self._names_hash, vars(self.filters), vars(self.reading), VERSION]
        )

    @cached_property
    def _names_hash(self) -> str:
        return digest(self.names)

    def scan(self, key: str) -> pd.DataFrame:
        """Count one shard, unless this is done. Table `artist_mentions/<shard>` has columns name, mentions (including
        copies), samples (row, url and caption, as `Examples` chooses them; url is null if the file has no addresses).

        Its `attrs` have inputs, rows_read, rows_kept, rows_naming, rows_failed, rows_unaddressed and rows_not_utf8.
        """
        table, rows, inputs = f"artist_mentions/{key}", f"mention_rows/{key}", self._inputs(key)
        if {self.warehouse.inputs(table), self.warehouse.inputs(rows)} != {inputs}:
            from audit_assets.roster.duplicates import (
                scan_shard,
            )  # numba takes a second to load, so it is loaded only for a scan

            seen = Seen()
            batches = caption_batches(self.shards[key], self.filters, seen=seen)
            result, examples = scan_shard(batches, self.names, self.warehouse.path(rows), metadata=stamp(inputs))
            counted = pd.DataFrame(
                {
                    "name": list(result.mentions),
                    "mentions": list(result.mentions.values()),
                    "samples": self._samples(key, examples),
                }
            )
            counted.attrs = {"inputs": inputs, "rows_read": result.rows_read, "rows_kept": result.rows_kept}
            counted.attrs |= {"rows_naming": result.rows_naming, "rows_failed": seen.failed}
            counted.attrs |= {"rows_unaddressed": seen.unaddressed, "rows_not_utf8": seen.not_utf8}
            self.warehouse.write(table, counted, inputs)
        return self.warehouse.read(table)

    def done(self) -> bool:
        """Whether every file was scanned for the current names, and neither the file nor its scan has a problem."""
        return all(self._is_done(key) for key in self.shards)

    def _is_done(self, key: str) -> bool:
        tables = [f"{kind}/{key}" for kind in ("artist_mentions", "mention_rows", "mention_recounts")]
        if self.warehouse.inputs(f"captions/{key}") is None:
            return False
        if self.warehouse.all_inputs(tables) != [self._inputs(key)] * len(tables):
            return False
        described, counted = self.describe(key).iloc[0], self.warehouse.read(tables[0], ["name"]).attrs
        whole = not described["problem"] and counted["rows_read"] == described["rows"]
        return whole and not self.recount(key)[1]

    def _samples(self, key: str, examples: Examples) -> list[list[dict]]:
        found = list(examples.found().values())
        if self.describe(key)["addresses"].iloc[0]:
            return found
        return [[sample | {"url": None} for sample in own] for own in found]

    def recount(self, key: str) -> tuple[int, list[str]]:
        """The number of captions counted again, and the differences between stored mentions and plain reference, on a sample.

        In half of the sample rows the scan found a name, so that errors of both kinds can show. Table
        `mention_recounts/<shard>` stores the result in one row, so that the file is not read again.
        """
        table, inputs = f"mention_recounts/{key}", self._inputs(key)
        if self.warehouse.inputs(table) != inputs:
            captions, differences = self._recounted(key)
            found = pd.DataFrame({"captions": [captions], "differences": [differences]})
            self.warehouse.write(table, found.astype({"differences": object}), inputs)
        row = self.warehouse.read(table).iloc[0]
        return int(row["captions"]), list(row["differences"])

    def _recounted(self, key: str) -> tuple[int, list[str]]:
        from audit_assets.roster.scan import caption_at

        spellings = [(name, tuple(tokens(own))) for name, owns in self.names.items() for own in owns]
        by_number = {str(number): spelling for number, (_, spelling) in enumerate(spellings)}
        captions = {
            int(row): caption_at(batch, position)
            for batch in sample_batches(self.shards[key], self.filters)
            for position, (row, kept) in enumerate(
                zip(batch["row"].to_pylist(), batch["kept"].to_pylist(), strict=True)
            )
            if kept
        }
        from audit_assets.roster.duplicates import check_mentions

        path = local_copy(self.warehouse.path(f"mention_rows/{key}"))
        check_mentions(path)
        stored = pq.read_table(
            path, columns=["key", "row"], filters=pc.field("row").isin(pa.array(list(captions), pa.int64()))
        )
        found = set(zip(stored["row"].to_pylist(), stored["key"].to_pylist(), strict=True))
        wanted = max(20, _RECOUNTED // max(len(spellings), 1))
        naming = sorted({row for row, _ in found})
        sample = {*_spread(naming, wanted // 2), *_spread(sorted(captions), wanted - wanted // 2)}
        again = {(row, spellings[int(n)][0]) for row in sample for n in names_in(captions[row], by_number)}
        differences = again ^ {(row, name) for row, name in found if row in sample}
        return len(sample), [f"row {row}: {name}" for row, name in sorted(differences)]

    # ---- all shards
    @cached_property
    def merged(self) -> pd.DataFrame:
        """Table `artist_mentions`: name, kind, mentions (each (URL, text) once), duplicates, samples (shard, row, url, caption), note.

        Mentions are null if no captions were scanned, or if the name cannot be counted. InputError if the current version of
        a shard was not scanned for these names.
        """
        return self._made("artist_mentions", self._merged)

    @cached_property
    def shards_table(self) -> pd.DataFrame:
        """Table `caption_shards` with the columns of the schema. InputError as for `merged`."""
        return self._made("caption_shards", self._shards_table)

    @cached_property
    def merged_inputs(self) -> str:
        """The hash of everything on which `merged` and `shards_table` depend."""
        # The files are known by their hashes, and not by their path, which is of one machine.
        captions = self.audit.captions.model_dump(exclude={"path"}) if self.audit.captions else None
        return digest([{key: self._inputs(key) for key in self.shards}, self._names_hash, captions, VERSION])

    def _made(self, table: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        if self.warehouse.inputs(table) != self.merged_inputs:
            self.warehouse.write(table, make(), self.merged_inputs)
        return self.warehouse.read(table)

    def _shards_table(self) -> pd.DataFrame:
        c = self.audit.captions
        rows = []
        for key in self.shards:
            if self.warehouse.inputs(f"artist_mentions/{key}") != self._inputs(key):
                raise InputError(
                    f"{self.shards[key].url}: no scan of the current file for every name of {self.audit.file} exists. It failed, or "
                    "the file, the artists or the controls changed after it; materialize artist_mentions again."
                )
            counted = self.warehouse.read(f"artist_mentions/{key}").attrs
            rows.append(
                self.describe(key).iloc[0].drop("problem").to_dict()
                | {name: counted[name] for name in _COUNTED}
                | {"dataset": c.dataset if c else "", "score_version": self.score_version}
                | vars(self.filters)
            )
        columns = ["shard", "dataset", "score_version", "sha256", "rows", *_COUNTED]
        columns += ["text_column", "url_column", "addresses", "other_texts"]
        columns += [*vars(self.filters), *(f"{score}_{end}" for score in SCORES for end in ("least", "greatest"))]
        return pd.DataFrame(rows, columns=columns)

    def notes(self) -> list[str]:
        """What a reader of the counts must know about the files, one sentence each: files of which the same holds together."""
        said: dict[str, list[str]] = {}
        for row in self.shards_table.itertuples():
            for note in notes(row, self.reading.failed_downloads):
                said.setdefault(note, []).append(str(row.shard))
        return [
            f"{keys[0]}{f' and {len(keys) - 1} other caption files' if len(keys) > 1 else ''}: {note}"
            for note, keys in said.items()
        ]

    @property
    def score_version(self) -> str | None:
        """The version of the aesthetic scores. Scores of two versions are not comparable."""
        c = self.audit.captions
        return (c.score_version or score_version(c.dataset)) if c else None

    def _merged(self) -> pd.DataFrame:
        from audit_assets.roster.duplicates import count_mentions

        assert set(self.shards_table["shard"]) == set(self.shards)  # the current version of every shard was scanned
        files = {key: local_copy(self.warehouse.path(f"mention_rows/{key}")) for key in self.shards}
        counts = count_mentions(files).set_index("key").to_dict("index")
        kinds = dict(zip(self.artists["name"], self.artists["kind"], strict=True))
        kinds |= dict(zip(self.candidates["name"], self.candidates["kind"], strict=True))
        told = {place: sample for key in self.shards for place, sample in self._told(key).items()}
        rows = []
        for name, own in self.names.items():
            known = counts.get(name)
            counted = bool(self.shards) and bool(own)
            rows.append(
                {
                    "name": name,
                    "kind": kinds[name],
                    "mentions": (int(known["mentions"]) if known else 0) if counted else None,
                    "duplicates": (int(known["duplicates"]) if known else 0) if counted else None,
                    "samples": self._in_words(name, known["samples"], told) if known else [],
                    "note": self.refused.get(name, "") if self.shards else "no captions were scanned",
                }
            )
        return pd.DataFrame(rows).astype({"mentions": "Int64", "duplicates": "Int64"})

    def _told(self, key: str) -> dict[tuple[str, str, int], dict]:
        """(name, shard, row) -> an example of this shard. An example of all shards that lies in this one is among its own."""
        table = self.warehouse.read(f"artist_mentions/{key}", ["name", "samples"])
        return {
            (name, key, int(sample["row"])): {"shard": key, **sample}
            for name, samples in zip(table["name"], table["samples"], strict=True)
            for sample in samples
        }

    def _in_words(self, name: str, places: Iterable[dict], told: dict[tuple[str, str, int], dict]) -> list[dict]:
        """The examples at these places. InputError if the tables of a shard contradict each other."""
        found = []
        for place in places:
            if (own := told.get((name, place["shard"], int(place["row"])))) is None:
                path = self.warehouse.path(f"artist_mentions/{place['shard']}")
                raise InputError(
                    f"{path}: lacks the caption in row {place['row']} that names {name!r}, although mention_rows has it; delete both "
                    "files and materialize artist_mentions again."
                )
            found.append(own)
        return found

    def more(self, names: Sequence[str]) -> dict[str, int] | None:
        """Captions (including copies) that name each of `names`. These names were not known at the scan, so this makes a second
        pass over the shards. Tables `more_mentions/<shard>`. None if the audit has no captions.
        """
        if not self.shards:
            return None
        counts = dict.fromkeys(names, 0)
        for key, shard in self.shards.items():
            table, inputs = f"more_mentions/{key}", self._more_inputs(key, names)
            if self.warehouse.inputs(table) != inputs:
                from audit_assets.roster.scan import scan

                mentions = scan(caption_batches(shard, self.filters), {name: (name,) for name in names}).mentions
                rows = pd.DataFrame({"name": list(mentions), "mentions": list(mentions.values())})
                self.warehouse.write(table, rows.astype({"name": "str", "mentions": "int64"}), inputs)
            found = self.warehouse.read(table)
            for name, count in zip(found["name"], found["mentions"], strict=True):
                counts[name] += int(count)
        return counts

    def more_done(self, names: Sequence[str]) -> bool:
        """Whether `more` would make no new table."""
        wanted = [self._more_inputs(key, names) for key in self.shards]
        return self.warehouse.all_inputs([f"more_mentions/{key}" for key in self.shards]) == wanted

    def _more_inputs(self, key: str, names: Sequence[str]) -> str:
        return digest([self._inputs(key), list(names)])

    def total(self, names: Iterable[str]) -> dict[str, int] | None:
        """Mentions of `names` over all shards, 0 for a name that cannot be counted; None if the audit has no captions.

        Raises InputError if a shard was not scanned for one of them: its count would be unknown, not 0.
        """
        if not self.shards:
            return None
        counts = dict(zip(self.merged["name"], self.merged["mentions"].fillna(0).astype(int), strict=True))
        names = list(names)
        if unseen := [name for name in names if name not in counts]:
            raise InputError(
                f"{self.audit.file}: the caption files were not scanned for {len(unseen)} names, {unseen[0]!r} first; "
                "the artists or controls changed after the scan. Materialize artist_mentions again."
            )
        return {name: int(counts[name]) for name in names}


def _spread(rows: Sequence[int], n: int) -> list[int]:
    """About `n` of `rows`, evenly spaced."""
    return list(rows[:: max(1, len(rows) // max(n, 1))][:n]) if n else []
