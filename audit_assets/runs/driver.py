"""Make the assets in order from one process, as `make audit` does. The UI can do the same.

Every step is a Dagster run over the code location's own job. The event log records it, and the UI shows it.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from filelock import FileLock

from audit_assets.config import load_audit, protocol_file
from audit_assets.defs.resources import in_use
from audit_assets.encoders.texts import check_installed
from audit_assets.errors import InputError, Unwritable, command, said
from audit_assets.generation.arms import ArmStage
from audit_assets.generation.makers import at_work
from audit_assets.generation.stage import ImitationStage
from audit_assets.measurement.answers import YES
from audit_assets.measurement.design import statements
from audit_assets.results.stage import ResultStage
from audit_assets.roster.artists import artists_of
from audit_assets.roster.captions import caption_shards
from audit_assets.runs import remarks
from audit_assets.runs.finished import Finished
from audit_assets.runs.home import location_name, of_database, of_location, opened, prepare_home, usable
from audit_assets.runs.lost_runs import DRIVER, alive
from audit_assets.runs.steps import (
    ARMS,
    CAPTIONS,
    COMPARISON,
    DATABASE,
    EXPERIMENTS,
    IMITATIONS,
    MINED,
    POSITIVE_CONTROL,
    REAL_WORKS,
    REGISTRY,
    REPORT,
    ROSTER,
    Step,
)
from audit_assets.untrusted.terminal import one_line
from audit_assets.warehouse.places import check
from audit_assets.workspace import Workspace

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The event log has every event; the terminal shows only the progress."""


LOGGED_AGAIN = timedelta(days=6)
"""After this time, a step is run although it makes nothing new. The UI shows whether somebody looked at the audit every week."""


class Driver:
    """Runs the steps of an audit on an instance of Dagster."""

    def __init__(self, config: Path, instance: dg.DagsterInstance, name: str) -> None:
        self.ws = Workspace.open(config)
        self.audit = self.ws.audit
        self.instance = of_location(instance, location_name(self.audit))
        self.name = name
        self.turn = FileLock(self.audit.dagster_home / "turn.lock")
        """If two drivers run at once, one takes each step for the whole audit, and the other finds it done. They share the cells."""
        self.began_with = self._inputs()
        self.refused: dict[str, str] = {}
        self.worked = False
        """Whether any step of a model version ran."""
        self.notes: list[str] = []
        """What was assumed of the models, because their files do not state it."""
        self.imitations, self.arms, self.results = ImitationStage(self.ws), ArmStage(self.ws), ResultStage(self.ws)
        self.finished = Finished(self.ws)
        from audit_assets.definitions import defs

        self.repository = defs().get_repository_def()

    def preflight(self) -> list[str]:
        """Read every input that can be read cheaply, so that an error appears before any expensive work starts.

        Returns the problems of single models and encoders, and of single artists in image folders. The audit continues without these.
        """
        from audit_assets.models.registry import registry, usable_encoders

        check(self.ws.warehouse.root)
        if self.audit.text_in_images:
            check_installed()
        artists_of(self.audit)
        if self.audit.captions is not None:
            caption_shards(self.audit.captions.path, self.audit.base)
        if not self.audit.local(self.audit.references).is_dir():
            raise InputError(
                f"{self.audit.file}, references: the folder {self.audit.local(self.audit.references)} does not exist; make it, with one folder of works per artist."
            )
        encoders = usable_encoders(self.audit)
        if not any(m.approved and not m.retired for m in self.audit.models):
            raise InputError(
                f"{self.audit.file}, models: no model is approved; set `approved: true` for the model to audit."
            )
        known = registry(self.audit, self.ws.warehouse)
        self.refused, self.notes = dict(known.refused), list(known.notes)
        for name, resolved in known.resolved.items():
            try:
                self.notes += self.imitations.check_words(resolved)
            except InputError as error:
                self.refused[name] = str(error)
        if not self.models():
            raise InputError("\n".join(self.refused.values()))
        return [*self.refused.values(), *encoders.refused.values(), *known.problems]

    def models(self) -> list[str]:
        """Models to audit: those that are approved, not retired, and not refused so far."""
        return [m.name for m in self.audit.models if m.approved and not m.retired and m.name not in self.refused]

    def problems(self) -> list[str]:
        """What was left out while the audit continued: models, encoders, artists and real works, each with its reason."""
        from audit_assets.publication.stage import PublicationStage

        recorded = [p for p in PublicationStage(self.ws).left_out() if p.model_version not in self.refused]
        subjects = (f"{m}: {p}" for m in self.models() for p in (*self.imitations.refused(m), *self.arms.failed(m)))
        parts = (f"{p.part} {p.name}: {p.reason}" for p in recorded)
        return list(dict.fromkeys([*self.refused.values(), *parts, *subjects, *self.edits()]))

    def edits(self) -> list[str]:
        """One sentence per file that was edited while this driver ran. The run used each as it was before."""
        now = self._inputs()
        return [
            f"{file}: was edited during this run, which goes by the file as it was at the start; run again to audit what it says now."
            for file, content in self.began_with.items()
            if now[file] != content
        ]

    def _inputs(self) -> dict[Path, bytes | None]:
        """The audit file, its protocol and its table of artists."""
        named = self.audit.roster.artists
        files = [self.audit.file, protocol_file(self.audit), *([self.audit.local(named)] if named else [])]
        return {file: file.read_bytes() if os.path.isfile(file) else None for file in files}

    def roster_steps(self) -> Iterator[Step]:
        if self.audit.captions is not None:
            keys = [s.key for s in caption_shards(self.audit.captions.path, self.audit.base)]
            self._add("shard", keys)
            tags, only = self._range("shard", keys)
            yield Step("captions", CAPTIONS, tags, only, done=self.finished.captions, keys=frozenset(keys))
        mined = MINED if self.audit.captions is not None and self.audit.roster.mined_captions else ()
        done = partial(self._roster_is_done, mined=bool(mined))
        yield Step("roster and subjects", [*ROSTER, *mined], {}, done=done, warns=True)

    def _roster_is_done(self, *, mined: bool) -> bool:
        """Whether the tables are made, and the subjects have their partitions."""
        if not self.finished.roster(mined=mined):
            return False
        known = self.instance.get_dynamic_partitions
        asked, referenced = set(self.ws.prompted()), set(self.ws.works().files)
        return asked <= set(known("subject")) and referenced <= set(known("referenced_subject"))

    def registry_steps(self) -> Iterator[Step]:
        yield Step("models and encoders", REGISTRY, {}, done=self._registry_is_done)

    def _registry_is_done(self) -> bool:
        known = set(self.instance.get_dynamic_partitions("model_version"))
        return self.finished.registry() and set(self.models()) <= known

    def reference_steps(self) -> Iterator[Step]:
        """The step that reads and embeds real works. It needs the subjects."""
        references = self.ws.referenced()
        if references:
            yield Step(
                "real works",
                REAL_WORKS,
                *self._range("referenced_subject", references),
                done=self.finished.references,
                keys=frozenset(references),
            )

    def audit_steps(self) -> Iterator[Step]:
        """The remaining steps."""
        subjects = list(self.ws.prompted())
        for model in self.models():
            tags = self._grid(model, subjects)
            yield Step(
                f"imitations of {model}",
                IMITATIONS,
                tags,
                progress=partial(self._images, model, self.imitations.asked()),
                done=partial(self.finished.imitations, model),
                keys=frozenset(f"{model}|{s}" for s in subjects),
                model=model,
                shared=True,
            )
        for model in self.models() if self.ws.protocol.arms else ():
            yield Step(
                f"arms of {model}",
                ARMS,
                {},
                model,
                progress=partial(self._arm_images, model, sum(self.arms.asked(model).values())),
                done=partial(self.finished.arms, model),
                keys=frozenset({model}),
                model=model,
            )
        retired = self._retired_versions_of_another_audit()
        for model in retired:
            # Subjects that came later have no images. No model is loaded.
            yield Step(
                f"cells of {model}, which is retired", IMITATIONS, self._grid(model, subjects), model=model, shared=True
            )
        yield Step("positive control", POSITIVE_CONTROL, {}, done=self.finished.positive_control)
        for model in [*self.models(), *(m for m in retired if m not in self.refused)]:
            apart = self.ws.protocol.arms and model not in retired
            yield Step(
                f"experiments on {model}",
                EXPERIMENTS if apart else (*ARMS, *EXPERIMENTS),
                {},
                model,
                done=partial(self.finished.experiments, model),
                keys=frozenset({model}),
                model=model,
            )
        yield Step("comparison of versions", COMPARISON, {}, done=self.finished.comparison)
        # What happened to a model version is told by a check of the database, although its tables may be what they were.
        yield Step("database", DATABASE, {}, done=lambda: not self.worked and self.finished.database())
        # The database has retired versions too, so their reports and manifests must follow the current database.
        known = self.instance.get_dynamic_partitions("model_version")
        for model in (m for m in self.results.audited() if m in known):
            yield Step(
                f"report of {model}",
                REPORT,
                {},
                model,
                done=partial(self.finished.report, model),
                keys=frozenset({model}),
                model=model,
            )

    def _grid(self, model: str, subjects: list[str]) -> dict[str, str]:
        """The tags of a run over all cells of a model version."""
        first, last = self._ends("subject", subjects)
        return {
            "dagster/asset_partition_range_start": f"{model}|{first}",
            "dagster/asset_partition_range_end": f"{model}|{last}",
        }

    def _retired_versions_of_another_audit(self) -> list[str]:
        """Retired versions whose results were made from other subjects, encoders or settings than the audit has now."""
        known = self.instance.get_dynamic_partitions("model_version")
        current = self.results.audited()
        retired = [m.name for m in self.audit.models if m.retired and m.approved and m.name in known]
        return [m for m in retired if m not in current and self.results.has_results(m)]

    def _arm_images(self, model: str, asked: int) -> tuple[int, int]:
        made = (self.ws.warehouse.root / "arm_images" / model).glob("*/*.parquet")
        trials = {arm.name: arm.trials for arm in self.ws.protocol.arms}
        return min(asked, sum(trials.get(path.parent.name, 0) for path in made) + at_work[model]), asked

    def _images(self, model: str, asked: Mapping[str, int]) -> tuple[int, int]:
        made = {path.stem for path in (self.ws.warehouse.root / "imitations" / model).glob("*.parquet")}
        return sum(n for s, n in asked.items() if s in made) + at_work[model], sum(asked.values())

    def is_done(self, step: Step) -> bool:
        """Whether a new run would make nothing new, and Dagster's log has everything that it would log.

        If a check of the step's assets or their last run failed, or if what was made cannot be read, the step is not done:
        the run says and records what is wrong.
        """
        assets = [dg.AssetKey(name) for name in step.selection]
        if step.done is None or not self._are_logged(step, assets):
            return False
        try:
            return step.done()
        except Unwritable:
            raise
        except Exception:
            return False

    def _are_logged(self, step: Step, assets: Sequence[dg.AssetKey]) -> bool:
        """Whether Dagster knows that the step's assets were made: every key of a range, and one partition by its last run.

        Assets without partitions were made lately, and each of their checks passed, or warned if the step may warn.
        """
        if step.partition is not None:
            return all(self._partition_is_made(asset, step.partition) for asset in assets)
        if step.keys:
            return all(step.keys <= self.instance.get_materialized_partitions(asset) for asset in assets)
        entries = [record.asset_entry for record in self.instance.get_asset_records(assets)]
        lately = time.time() - LOGGED_AGAIN.total_seconds()
        made = {e.asset_key for e in entries if (last := e.last_materialization_record) and last.timestamp > lately}
        if made != set(assets):
            return False
        checks = self.repository.asset_graph.get_check_keys_for_assets(set(assets))
        found = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
        return all(check in found and _has_passed(found[check], or_warned=step.warns) for check in checks)

    def _partition_is_made(self, asset: dg.AssetKey, key: str) -> bool:
        partitions = self.repository.asset_graph.get(asset).partitions_def
        assert partitions is not None
        status = self.instance.get_status_by_partition(asset, [key], partitions) or {}
        return status.get(key) is dg.AssetPartitionStatus.MATERIALIZED

    def run(self, step: Step) -> None:
        """Run a step. Raises the error of a failed asset unchanged, and KeyboardInterrupt if the process is asked to end."""
        self.worked |= step.model is not None
        job = self.repository.get_implicit_global_asset_job_def()
        try:
            job.execute_in_process(
                instance=self.instance,
                partition_key=step.partition,
                asset_selection=[dg.AssetKey(name) for name in step.selection],
                tags={**step.tags, DRIVER: self.name, "dagster/max_retries": "0"},
                run_config=QUIET,
                raise_on_error=True,
            )
        except DagsterExecutionInterruptedError as asked:
            raise KeyboardInterrupt from asked

    def run_or_refuse(self, step: Step, say: Callable[[Step], AbstractContextManager[None]]) -> None:
        """Run the step, if it is not done, inside the context that `say` gives for it.

        An error refuses only the step's model. If no model is left, InputError says why each was refused. An error of a
        place that cannot be written, or of Dagster's database, is nobody's: it ends the audit.
        """
        try:
            with say(step), nullcontext() if step.shared else self.turn:
                if not self.is_done(step):
                    self.run(step)
        except Exception as error:
            if step.model is None or isinstance(error, Unwritable) or of_database(error) is not None:
                raise
            self.refused[step.model] = f"{step.title}: {said(error)}" + (
                "" if isinstance(error, InputError) else f" (`{command('dev', self.audit.file)}` shows where)"
            )
            if not self.models():
                raise InputError("\n".join(self.refused.values())) from error

    def _add(self, definition: str, keys: list[str]) -> None:
        with self.turn:
            known = set(self.instance.get_dynamic_partitions(definition))
            if new := [k for k in keys if k not in known]:
                self.instance.add_dynamic_partitions(definition, new)

    def _ends(self, definition: str, keys: list[str]) -> tuple[str, str]:
        """The first and the last key in the order of the instance, because Dagster's ranges use this order."""
        wanted = set(keys)
        ordered = [k for k in self.instance.get_dynamic_partitions(definition) if k in wanted]
        return ordered[0], ordered[-1]

    def _range(self, definition: str, keys: list[str]) -> tuple[dict[str, str], str | None]:
        first, last = self._ends(definition, keys)
        if first == last:
            return {}, first
        return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}, None


def _has_passed(found: AssetCheckExecutionRecord, *, or_warned: bool) -> bool:
    if found.status is AssetCheckExecutionRecordStatus.FAILED and or_warned and found.evaluation is not None:
        return found.evaluation.severity is dg.AssetCheckSeverity.WARN
    return found.status is AssetCheckExecutionRecordStatus.SUCCEEDED


@contextmanager
def driver(config: Path) -> Iterator[Driver]:
    """A driver on the audit's own Dagster home. The runs of drivers that were killed are ended."""
    audit = load_audit(config)
    os.environ["AUDIT_CONFIG"] = str(audit.file)
    home = prepare_home(audit)
    os.environ["DAGSTER_HOME"] = str(home)
    with usable(home), opened(home) as instance, alive(home / "drivers", instance) as name:
        made = Driver(audit.file, instance, name)
        with in_use(made.ws):
            yield made


def run_audit(
    config: Path, say: Callable[[Step], AbstractContextManager[None]], tell: Callable[[str], None] = lambda line: None
) -> Driver:
    """Run all steps in order, each inside the context that `say` gives for it.

    `tell` receives lines for the operator before any image is made: problems of single models and artists, and what an audit of this
    size cannot find."""
    with driver(config) as d:
        for problem in d.preflight():
            tell(f"not audited: {problem}")
        for note in d.notes:
            tell(f"note: {note}")
        for step in d.roster_steps():
            d.run_or_refuse(step, say)
        for note in remarks.roster_notes(d.ws):
            tell(f"note: {one_line(note)}")
        for step in d.registry_steps():
            d.run_or_refuse(step, say)
        notes, unread = remarks.label_words(d.ws)
        for note in notes:
            tell(f"note: {note}")
        images = (*d.imitations.lacking(d.models()), *d.imitations.bills(d.models()))
        for line in (*remarks.unread(d.ws, d.models()), *images, *remarks.arms_asked(d.ws, d.models())):
            tell(line)
        for step in d.reference_steps():
            d.run_or_refuse(step, say)
        for line in remarks.repeated_works(d.ws):
            tell(line)
        design = d.results.design(unread, {s: len(works) for s, works in d.ws.work_hashes().items()})
        for one in statements(design) if design else ():
            if one.answer != YES:
                tell(f"{one.question} {one.answer}: {one.sentence} To settle it: {one.settle}")
        for step in d.audit_steps():
            d.run_or_refuse(step, say)
        return d


def run_roster(config: Path, say: Callable[[Step], AbstractContextManager[None]]) -> Driver:
    """Run only the steps of the roster, without a model. If no table of artists exists yet, propose names for one.

    InputError then names the file with the proposals.
    """
    with driver(config) as d:
        named = d.audit.roster.artists
        artists = d.audit.local(named) if named else d.audit.file
        steps = d.roster_steps() if artists.exists() else [Step("names in the captions", MINED, {})]
        for step in steps:
            with say(step):
                d.run(step)
        if not artists.exists():
            proposals = d.ws.warehouse.root / "mined_names.csv"
            raise InputError(
                f"{artists}: does not exist. {proposals} proposes names to which the captions attribute works. Delete each name that is "
                f"not an artist's, add what you know, and save the file as {artists}."
            )
        return d
