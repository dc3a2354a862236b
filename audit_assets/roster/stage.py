"""The tables of the roster in the warehouse. Each table has a hash of its inputs, so that it is made again only if they changed.

Assets call these functions; no function here uses Dagster.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit_assets.config import Audit
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.measurement.strata import script_of
from audit_assets.roster import CONTROLS_VERSION, VERSION
from audit_assets.roster.artists import artists_of, notes_of
from audit_assets.roster.captions import caption_batches
from audit_assets.roster.controls import (
    POOLS,
    choose_controls,
    draw_recombined,
    shortages,
    untrained_controls,
)
from audit_assets.roster.criteria import Choice, choose, roster_table
from audit_assets.roster.mentions import MentionScan
from audit_assets.roster.normalise import tokens
from audit_assets.roster.origins import locale_of
from audit_assets.roster.parts import word_count
from audit_assets.roster.subjects import CONTROL_KINDS, subjects_table
from audit_assets.untrusted.spreadsheet import as_csv
from audit_assets.warehouse.notes import ROSTER, are_kept, keep_notes
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.store import Warehouse

# Captions read for the flag of name collisions, in the order of the shards. A part of them is enough, because LAION's captions are shuffled.
_COLLISION_ROWS = 20_000_000
_COLLISION_CAPTIONS = 50


class RosterStage:
    """The roster, controls, subjects and proposals of one audit."""

    def __init__(self, audit: Audit, warehouse: Warehouse) -> None:
        self.audit, self.warehouse = audit, warehouse
        self.scan = MentionScan(audit, warehouse)

    # ---- rosters
    def make_roster(self) -> pd.DataFrame:
        """Tables `artist_roster` and `roster_attrition`. InputError if no artist qualifies."""
        r, artists = self.audit.roster, self.scan.artists
        merged = self.scan.merged
        choice = choose(
            artists,
            None if self.audit.artist else self.scan.total(artists["name"]),  # one artist meets every criterion
            criteria=r.criteria,
            most_mentioned=r.most_mentioned,
            minimum_mentions=r.minimum_mentions,
        )
        if not choice.rosters["criteria"]:
            raise InputError(
                f"{self.audit.local(r.artists or self.audit.file.name)}: no artist is left for the roster ({_attrition(choice)})."
            )
        names = list(dict.fromkeys(name for chosen in choice.rosters.values() for name in chosen))
        table = roster_table(choice, artists, merged, self._collisions(names))
        inputs = self._roster_inputs()
        self.warehouse.write("artist_roster", table, inputs)
        self.warehouse.write("roster_attrition", choice.attrition, inputs)
        keep_notes(self.warehouse, ROSTER, self.notes(), self.audit.base)
        return table

    def _roster_inputs(self) -> str:
        # The artists are known by their table, and not by its path, which is of one machine.
        asked = self.audit.roster.model_dump(exclude={"artists"})
        return digest([self.scan.artists.to_json(), self.warehouse.inputs("artist_mentions"), asked, VERSION])

    def shortfall(self) -> list[str]:
        """One sentence per roster that the captions cannot fill. An audit without captions promises no size."""
        if not self.scan.shards:
            return []
        found = self.warehouse.read("artist_roster")["roster"].value_counts()
        asked = {"criteria": self.audit.roster.criteria, "most_mentioned": self.audit.roster.most_mentioned}
        return [
            f"{name}: {found.get(name, 0)} of the {n} asked for" for name, n in asked.items() if found.get(name, 0) < n
        ]

    def notes(self) -> list[str]:
        """What a reader of the roster must know about the table of artists and the caption files, one sentence each."""
        return [*notes_of(self.audit), *self.scan.notes()]

    def missing_rows(self) -> list[str]:
        """Problems of the sum over the shards: files without a row in `caption_shards`, and rows that were not read."""
        table = self.scan.shards_table
        scanned = set(table["shard"])
        missing = [f"{key}: was not scanned" for key in self.scan.shards if key not in scanned]
        short = table[table["rows"] != table["rows_read"]]
        return missing + [f"{row.shard}: {row.rows_read} of {row.rows} rows were read" for row in short.itertuples()]

    def _collisions(self, names: list[str]) -> pd.DataFrame:
        """Table `name_collisions` of `names`. It reads the first captions again, because the scan keeps no caption."""
        inputs = digest([self.warehouse.inputs("artist_mentions"), names, VERSION])
        if self.warehouse.inputs("name_collisions") != inputs:
            from audit_assets.roster.proposals.collisions import collisions

            own = {name: self.scan.names[name] for name in names}
            table = collisions(self._first_captions(_COLLISION_ROWS), own, examined=_COLLISION_CAPTIONS)
            self.warehouse.write("name_collisions", table, inputs)
        return self.warehouse.read("name_collisions")

    def _first_captions(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The first captions of all shards; `row` numbers them through."""
        read = 0
        for shard in self.scan.shards.values():
            start = read
            for batch in caption_batches(shard, self.scan.filters):
                if read >= rows:
                    return
                read += batch.num_rows
                place = batch.schema.get_field_index("row")
                yield batch.set_column(place, "row", pc.add(batch.column("row"), start))

    # ---- controls
    def make_controls(self) -> pd.DataFrame:
        """Table `controls`: every name drawn, the reason for its status, and the untrained artists of the operator's table."""
        c, artists, drawn = self.audit.controls, self.scan.artists, self.scan.candidates
        roster = self._names_of_roster()
        inputs = self._control_inputs(roster)
        if self.warehouse.inputs("controls") != inputs:
            captions = int(self.scan.shards_table["rows_kept"].sum())
            recombined = draw_recombined(artists, c, set(roster), drawn)
            counts = self._control_counts(drawn["name"].tolist(), recombined["name"].tolist())
            everyone = pd.concat([drawn, recombined], ignore_index=True)
            chosen = choose_controls(everyone, counts, self._tested(roster), c, captions)
            untrained = untrained_controls(artists, self.scan.total(artists["name"]), roster, captions)
            types = dict.fromkeys(("mentions", "captions", "known_names", "pieces", "seed"), "Int64")
            tables = [table.astype(types) for table in (chosen, untrained) if len(table)] or [chosen]
            self.warehouse.write("controls", pd.concat(tables, ignore_index=True), inputs)
        return self.warehouse.read("controls")

    def _names_of_roster(self) -> list[str]:
        return self.warehouse.read("artist_roster")["name"].drop_duplicates().tolist()

    def _tested(self, roster: list[str]) -> pd.DataFrame:
        """The rows of artists who are in a roster, and of untrained artists."""
        artists = self.scan.artists
        member = (artists["kind"] == "artist") & artists["name"].isin(roster)
        return artists[member | (artists["kind"] == "untrained_artist")]

    def _control_inputs(self, roster: list[str]) -> str:
        counted = self.warehouse.all_inputs(["control_candidates", "artist_mentions", "caption_shards"])
        versions = [VERSION, CONTROLS_VERSION]
        return digest([self.scan.artists.to_json(), roster, counted, self.audit.controls.model_dump(), *versions])

    def _recombined(self) -> list[str]:
        table = self.warehouse.read("controls")
        return table.loc[table["pool"] == "recombined_names", "name"].tolist()

    def _control_counts(self, drawn: list[str], recombined: list[str]) -> dict[str, int] | None:
        """Mentions of the names scanned together with the artists, and of the recombined names, which need the roster first."""
        counts, more = self.scan.total(drawn), self.scan.more(recombined) if recombined else {}
        return None if counts is None or more is None else counts | more

    def used_controls(self) -> pd.DataFrame:
        """The controls that are audited, by pool and in the order of the draw."""
        table = self.warehouse.read("controls")
        return table[(table["status"] == "used") & table["kind"].isin(CONTROL_KINDS)].sort_values(
            "pool", key=lambda pools: pools.map(POOLS.index), kind="stable"
        )

    def shortages(self) -> list[str]:
        """A sentence for each pool of control names, and each locale, that is smaller than audit.yaml asks for."""
        return shortages(self.warehouse.read("controls"), self.audit.controls, self._tested(self._names_of_roster()))

    def named_controls(self) -> list[str]:
        """Used control names that occur in a caption, counted again from the mentions of all shards."""
        table = self.warehouse.read("controls")
        drawn = table.loc[~table["pool"].isin(["recombined_names", "untrained_artists"]), "name"].tolist()
        counts = self._control_counts(drawn, self._recombined()) or {}
        return [name for name in self.used_controls()["name"] if counts.get(name)]

    def unmatched_controls(self) -> list[str]:
        """How the random names differ from the roster in words and scripts."""
        used, problems = self.used_controls(), []
        random = used[used["pool"] == "random_names"]
        tested = self._tested(self._names_of_roster())
        artists = tested[tested["kind"] == "artist"]
        own = zip(artists["name"], artists["locale"], strict=True)
        scripts = [script_of(name, locale_of(name, locale, self.audit.controls.locale)) or "" for name, locale in own]
        if len(random):
            for what, ours, theirs in (
                ("words", random["words"], artists["name"].map(word_count)),
                ("script", random["script"], pd.Series(scripts)),
            ):
                for value, share in theirs.value_counts(normalize=True).items():
                    if abs(share - float((ours == value).mean())) > 1 / len(random):
                        problems.append(
                            f"{what} {value}: {share:.0%} of the artists, {(ours == value).mean():.0%} of the random names"
                        )
        return problems

    # ---- subjects
    def make_subjects(self) -> pd.DataFrame:
        """Table `subjects`: every artist and control name that is audited or compared."""
        table = self._subjects()
        self.warehouse.write("subjects", table, digest([table.to_json()]))
        return table

    def _subjects(self) -> pd.DataFrame:
        artists, ranked = self.scan.artists, self.warehouse.read("artist_roster")
        rosters = {str(roster): group["name"].tolist() for roster, group in ranked.groupby("roster")}
        return subjects_table(
            artists, rosters, self.scan.total(artists["name"]), self.used_controls(), self.audit.controls.locale
        )

    def done(self) -> bool:
        """Whether roster, controls and subjects are those of the current captions, table of artists and settings.

        Nothing is scanned or counted for the answer.
        """
        known, wanted = self.warehouse.inputs, self.scan.merged_inputs
        if {known("artist_mentions"), known("caption_shards")} != {wanted}:
            return False
        if {known("artist_roster"), known("roster_attrition")} != {self._roster_inputs()}:
            return False
        if known("name_collisions") is None or not are_kept(self.warehouse, ROSTER, self.notes(), self.audit.base):
            return False
        if known("controls") != self._control_inputs(self._names_of_roster()):
            return False
        recombined = self._recombined()
        if recombined and not self.scan.more_done(recombined):
            return False
        return known("subjects") == digest([self._subjects().to_json()])

    # ---- proposals
    def make_mined_names(self) -> pd.DataFrame:
        """Table `mined_names`, and `mined_names.csv` in the columns of artists.csv, which the operator must confirm.

        No mined name enters a roster by itself. This works without an artists' table.
        """
        inputs = self._mined_inputs()
        if self.warehouse.inputs("mined_names") != inputs:
            self.warehouse.write("mined_names", self._mined(self._known_artists()), inputs)
        table = self.warehouse.read("mined_names")
        with whole(self._proposals) as file:
            file.write_text(_proposed(table), encoding="utf-8")
        return table

    def mined_done(self) -> bool:
        """Whether the table is that of the current captions and artists, and the file of proposals is the table's."""
        if self.warehouse.inputs("mined_names") != self._mined_inputs():
            return False
        kept = self._proposals.read_bytes() if self._proposals.exists() else None
        return kept == _proposed(self.warehouse.read("mined_names")).encode()

    @property
    def _proposals(self) -> Path:
        return self.warehouse.root / "mined_names.csv"

    def _known_artists(self) -> pd.DataFrame | None:
        path = self.audit.local(self.audit.roster.artists) if self.audit.roster.artists else None
        return artists_of(self.audit) if path is None or path.exists() else None

    def _mined_inputs(self) -> str:
        shards = {key: self.scan.describe(key)["sha256"].iloc[0] for key in self.scan.shards}
        artists = self._known_artists()
        read_by = [vars(self.scan.filters), vars(self.scan.reading)]
        return digest(
            [shards, *read_by, self.audit.roster.mined_captions, VERSION]
            + ([] if artists is None else [artists[["name", "kind", "aliases"]].to_json()])
        )

    def _mined(self, artists: pd.DataFrame | None) -> pd.DataFrame:
        """Read the same captions twice: to find the names, and to count how often captions name them without a work."""
        from audit_assets.roster.proposals.mining import mine, with_mentions
        from audit_assets.roster.scan import scan

        rows = self.audit.roster.mined_captions
        mined = mine(self._first_captions(rows))
        counted = scan(self._first_captions(rows), {name: (name,) for name in mined.names()})
        table = with_mentions(mined, counted.mentions).candidates
        table["kind"] = _kinds(table["name"], artists)
        table["samples"] = pd.Series(self._places(table["samples"]), table.index, dtype=object)
        return table

    def _places(self, samples: pd.Series) -> list[list[dict]]:
        """Row numbers through all shards, as pairs of shard and row."""
        keys, starts = list(self.scan.shards), [0]
        for key in keys:
            rows = self.scan.describe(key)["rows"].iloc[0]
            starts.append(starts[-1] + (0 if pd.isna(rows) else int(rows)))

        def place(row: int) -> dict:
            number = bisect_right(starts, row) - 1
            return {"shard": keys[number], "row": row - starts[number]}

        return [[place(row) for row in rows] for rows in samples]


def _proposed(mined: pd.DataFrame) -> str:
    """The file of the names that no table of artists has, in its columns."""
    new = mined[mined["proposed"].astype(bool) & mined["kind"].isna()]
    source = [f"mined: {n} captions attribute a work to it" for n in new["captions"]]
    return as_csv(pd.DataFrame({"name": new["name"], "kind": "artist", "source": source}))


def _attrition(choice: Choice) -> str:
    steps = choice.attrition[choice.attrition["roster"] == "criteria"]
    return ", ".join(f"{row.criterion} removed {row.removed}" for row in steps.itertuples())


def _kinds(names: pd.Series, artists: pd.DataFrame | None) -> pd.Series:
    """The kind of each name that the artists' table has in any spelling."""
    known: dict[tuple[str, ...], str] = {}
    for artist in [] if artists is None else artists.to_dict("records"):
        known |= {tuple(tokens(name)): artist["kind"] for name in [artist["name"], *artist["aliases"]]}
    return pd.Series([known.get(tuple(tokens(name))) for name in names], names.index, dtype=object)
