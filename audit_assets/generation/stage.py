"""The stage that makes imitations: one table per model version and subject, drawn by a model or supplied as a folder."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from audit_assets.errors import InputError, Stopped, Unwritable, said
from audit_assets.generation import SUPPLIED_VERSION, image_folder
from audit_assets.generation.answers import passed_on
from audit_assets.generation.helpers import Helpers, Lacking, still_lacking
from audit_assets.generation.makers import Maker, asked_in_arms, maker, unread_in_arms
from audit_assets.generation.spending import Spending
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.generation.words import check_words
from audit_assets.hashing import digest
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.models.registry import register, resolve_model
from audit_assets.roster.arms import images_in
from audit_assets.roster.artists import artists_of
from audit_assets.roster.homes import Homes, Unread, homes, unread_of, unread_table
from audit_assets.roster.subjects import CONTROL_KINDS
from audit_assets.untrusted.folders import FIELDS
from audit_assets.warehouse.cells import Cells
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.left_out import FOLDER, MODEL, LeftOut, leave_out, take_back
from audit_assets.warehouse.notes import are_kept, keep_notes
from audit_assets.workspace import Workspace

FAILURES = 3
"""A model version that fails at this many subjects in a row is broken. A model that fails at fewer is left out for these subjects alone."""


class Cell(NamedTuple):
    """The rows of one subject and model version."""

    subject: str
    rows: pd.DataFrame
    made_now: bool
    """Whether it was made since the call began, by this process or beside it."""


class ImitationStage:
    """The imitations of one audit. A model is loaded once per call, and only if some of its images do not exist yet."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)

    def make(self, model: str, subjects: Sequence[str]) -> Iterator[Cell]:
        """The cell of each subject, made now or read. Cells that another process makes come last, so that both share the work.

        If the model fails at one subject, this subject has no images, and the next run asks for them again. If the model
        cannot be loaded, fails at FAILURES subjects in a row, or at every subject, its error is raised and recorded.
        """
        where = f"imitations/{model}"
        try:
            yield from self._cells(model, subjects)
        except Unwritable:
            raise
        except Exception as error:
            part = LeftOut(MODEL, said(error), "imitations", model_version=model)
            leave_out(self.ws.warehouse, where, [part], self.ws.audit.base)
            raise
        take_back(self.ws.warehouse, where)

    def _cells(self, model: str, subjects: Sequence[str]) -> Iterator[Cell]:
        ws, asleep = self.ws, self.ws.audit.asleep(model)
        prompted = ws.prompted(None if asleep else model)
        known = {
            f"imitations/{model}/{s}": s for s in subjects if s in prompted
        }  # the other subjects have left the roster
        if asleep:
            yield from (Cell(s, self._asleep(model, where, s, asleep), False) for where, s in known.items())
            return
        if ws.audit.model(model).source == "image_folder":
            image_folder.check_names(self._homes(model))
        with self.maker(model) as maker, Helpers(self.cells, ws.audit.file, model, "imitations") as helpers:
            self.check_words(maker.resolved)
            drawn, in_a_row = False, 0
            failed: Exception | None = None
            for where in self.cells.in_turn(list(known)):
                subject = known[where]
                inputs = maker.inputs(subject, *prompted[subject])
                rows = self.cells.done(where, inputs, images=True)
                made_now = rows is None or where in helpers.asked
                if rows is None:
                    maker.open()
                    began = time.monotonic()
                    try:
                        rows = maker.make(subject, *prompted[subject])
                        if problems := maker.check(rows, subject):
                            raise ValueError("; ".join(problems))
                        drawn, in_a_row = True, 0
                        if (rows["status"] == "failed").any():  # other inputs, so that the next run asks again
                            inputs = digest([inputs, rows.to_json()])
                    except (Unwritable, Stopped):
                        raise
                    except Exception as error:  # each pipeline raises exceptions of its own
                        failed, in_a_row = error, in_a_row + 1
                        if in_a_row == FAILURES:
                            raise
                        problem = f"the model failed at this name: {said(error)}"
                        absent = absent_rows(ws.protocol, model_version=model, subject=subject, problem=problem)
                        # Other inputs, so that the next run asks again.
                        rows, inputs = imitation_table(absent), digest([inputs, problem])
                    ws.warehouse.write(where, rows, inputs)
                    if in_a_row == 0:
                        helpers.drew(
                            time.monotonic() - began,
                            maker.helpers(),
                            lambda: {w: maker.inputs(s, *prompted[s]) for w, s in known.items()},
                        )
                if in_a_row == 0:  # files that never drew may be repaired under the same name
                    register(ws.audit, maker.resolved)
                yield Cell(subject, rows, made_now)
            if failed is not None and not drawn and not self._drew(model):
                raise failed
            keep_notes(ws.warehouse, model, self._notes(maker.resolved), ws.audit.base)
        if ws.audit.model(model).source == "image_folder":
            where, table, inputs = self._unread(model)
            if ws.warehouse.inputs(where) != inputs:
                ws.warehouse.write(where, table, inputs)

    def help(self, model: str, cells: Lacking) -> None:
        """Draw cells for the run that asked. The first fault ends the help: that run meets it too, and says it."""
        prompted, of = self.ws.prompted(model), {where: where.rpartition("/")[2] for where in cells}
        with self.maker(model) as maker:
            for where, inputs in still_lacking(self.cells, cells, lambda w: maker.inputs(of[w], *prompted[of[w]])):
                rows = maker.make(of[where], *prompted[of[where]])
                if problems := maker.check(rows, of[where]):
                    raise ValueError("; ".join(problems))
                self.ws.warehouse.write(where, rows, inputs)

    def check_words(self, resolved: ResolvedModel) -> list[str]:
        """`words.check_words` of one model of this audit."""
        return check_words(self.ws.audit, self.ws.protocol, resolved, artists_of(self.ws.audit))

    def done(self, model: str) -> bool:
        """Whether every prompted subject has the images that the audit file asks for now, and no failure is recorded."""
        if self.ws.warehouse.inputs(f"{FOLDER}/imitations/{model}") is not None:
            return False  # another process failed, and this one went on: `make` takes the record back
        with self.maker(model) as maker:
            made = all(
                self.cells.is_done(f"imitations/{model}/{s}", maker.inputs(s, *p), images=True)
                for s, p in self.ws.prompted(model).items()
            )
            if made:
                register(self.ws.audit, maker.resolved)
                made = are_kept(self.ws.warehouse, model, self._notes(maker.resolved), self.ws.audit.base)
        if self.ws.audit.model(model).source == "image_folder":
            where, _, inputs = self._unread(model)
            return made and self.ws.warehouse.inputs(where) == inputs
        return made

    def replay(
        self, model: str, subjects: Sequence[str] | None = None, store: ImageStore | None = None
    ) -> pd.DataFrame:
        """Draw the images of some subjects again into `store`, by default the audit's store. Returns columns model_version, subject,
        template, trial, image_sha256, plan, replayed_sha256, replayed_plan.

        The default is one subject in a hundred, chosen by a hash of its key and the model's name, so that no person chooses. All
        images of a subject are drawn again, because the batch plan decides the bytes. A model behind an API is not asked again, nor is
        a version of which nothing new is made (`Audit.asleep`).
        """
        columns = ["model_version", "subject", "template", "trial", "image_sha256", "plan"]
        replayed = {"image_sha256": "replayed_sha256", "plan": "replayed_plan"}
        tables = [pd.DataFrame(columns=[*columns, *replayed.values()])]
        if self.ws.audit.asleep(model) or self.ws.audit.model(model).source == "api":
            return tables[0]
        prompted = self.ws.prompted(model)
        if subjects is None:
            made = self.drawn(model)
            subjects = sorted(made, key=lambda s: digest([model, s]))[: max(1, len(made) // 100)]
        with self.maker(model, store) as maker:
            for subject in subjects:
                kept = self.ws.warehouse.read(f"imitations/{model}/{subject}")[columns]
                again = maker.make(subject, *prompted[subject])[["template", "trial", *replayed]]
                tables.append(kept.merge(again.rename(columns=replayed), on=["template", "trial"], how="left"))
        return pd.concat([t for t in tables if len(t)] or tables, ignore_index=True)

    def problems(self, model: str, rows: pd.DataFrame) -> list[str]:
        """One sentence per problem of the rows of some subjects. Rows of a version of which nothing new is made are not checked."""
        if self.ws.audit.asleep(model):
            return []
        with self.maker(model) as maker:
            return [problem for s, own in rows.groupby("subject") for problem in maker.check(own, str(s))]

    def deviations(self, model: str, rows: pd.DataFrame) -> list[str]:
        """One sentence per deviation of a folder's images from the protocol. Images of a prompted model cannot deviate."""
        if self.ws.audit.asleep(model) or self.ws.audit.model(model).source != "image_folder" or rows.empty:
            return []
        return [
            *(one.sentence() for one in self.unread(model)),
            *image_folder.deviations(rows, self.ws.protocol, self.ws.subjects()),
        ]

    def _notes(self, resolved: ResolvedModel) -> list[str]:
        """What was assumed of a model version, how its supplied images differ from the protocol, and who passed its images on. Files that are not read have a table of their own."""
        found = [*resolved.notes(), *self.check_words(resolved)]
        if resolved.source in ("image_folder", "api"):
            made = [t for s in self.ws.prompted() if self.ws.warehouse.inputs(t := f"imitations/{resolved.name}/{s}")]
            rows = self.ws.warehouse.read_all(made)
            if resolved.source == "api":
                found += passed_on(rows) if "reason" in rows else []
            else:
                found += image_folder.deviations(rows, self.ws.protocol, self.ws.subjects()) if len(rows) else []
        return found

    def unread(self, model: str) -> list[Unread]:
        """Every file and folder of a folder of images that the audit does not read, with the reason."""
        if self.ws.audit.model(model).source != "image_folder":
            return []
        found, arms = unread_of(model, self._homes(model), FIELDS), self.ws.audit.model(model).arms
        return found if arms is None else [*found, *unread_in_arms(self.ws, model, self.ws.audit.local(arms))]

    def _unread(self, model: str) -> tuple[str, pd.DataFrame, str]:
        """The table of what is not read in a folder of images: its place, its rows, and the hash of its inputs."""
        table = unread_table(self.unread(model))
        return f"unread_images/{model}", table, digest([table.to_json(), SUPPLIED_VERSION])

    def _homes(self, model: str) -> Homes:
        audit = self.ws.audit
        return homes(resolve_model(audit, audit.model(model)).path, self.ws.names())

    def refused(self, model: str) -> list[str]:
        """The problem of each subject that has no images because its name or its files were refused."""
        problems = (self.ws.warehouse.values(f"imitations/{model}/{s}", "problem") for s in self.ws.prompted())
        return [str(problem) for own in problems for problem in dict.fromkeys(own)]

    def asked(self) -> dict[str, int]:
        """The number of images per subject that the protocol asks of one model version. Indirect prompts are included."""
        protocol = self.ws.protocol
        return {
            s: len(protocol.wordings(p.called, p.indirect)) * protocol.trials for s, p in self.ws.prompted().items()
        }

    def _asked_in_arms(self, model: str) -> int:
        return sum(images_in(self.ws.protocol, asked_in_arms(self.ws, model)).values())

    def lacking(self, models: Sequence[str]) -> list[str]:
        """One sentence per folder of images that has not all images yet."""
        subjects = self.ws.subjects()
        controls = set(subjects.loc[subjects["kind"].isin(CONTROL_KINDS), "subject"].astype(str))
        found = []
        for model in (m for m in models if self.ws.audit.model(m).source == "image_folder"):
            if said := image_folder.lacking(self._homes(model), self.asked(), controls):
                found.append(f"{model}: {said}")
        return found

    def bills(self, models: Sequence[str]) -> list[str]:
        """One sentence per model behind an API on what its images cost. Before the subjects are chosen, none is known."""
        served = [self.ws.audit.model(m) for m in models if self.ws.audit.model(m).source == "api"]
        if not served or self.ws.warehouse.inputs("subjects") is None:
            return []
        images = {m.name: sum(self.asked().values()) + self._asked_in_arms(m.name) for m in served}
        return [f"{m.name}: {Spending(self.ws.warehouse, m.name, m.asked).forecast(images[m.name])}" for m in served]

    def cost(self, new: Sequence[str], changed: Sequence[str], seconds_per_image: float | None) -> str:
        """A sentence on how many images some model versions need, and how long they take at the pace of the last run.

        A new version may have images already, of a run that was not the UI's. They are counted by the names of the tables.
        """
        if not new and not changed:
            return "no images to make"
        if self.ws.warehouse.inputs("subjects") is None:
            return "the subjects are not chosen yet"
        asked = self.asked()
        there = {
            m: sum(n for s, n in asked.items() if self.ws.warehouse.path(f"imitations/{m}/{s}").exists()) for m in new
        }
        wanted = {m: sum(asked.values()) - there.get(m, 0) for m in (*new, *changed)}
        missing = sum(wanted.values())
        images = f"{missing} images to make: {', '.join(f'{n} of {m}' for m, n in wanted.items())}"
        if kept := sum(there.values()):
            images += f"; {kept} images are there, and are kept if they were made from the same inputs"
        if in_arms := sum(self._asked_in_arms(m) for m in (*new, *changed)):
            images += f"; arms of the protocol ask for {in_arms} more"
        if not missing:
            return images
        if seconds_per_image is None:
            return f"{images}; no earlier run made images, so the time is unknown"
        minutes = missing * seconds_per_image / 60
        return f"{images}; about {minutes:.1f} minutes at the pace of the last run that made images"

    def drawn(self, model: str) -> list[str]:
        """Subjects that have images of a model version, in the order of the subjects."""
        return [
            s
            for s in self.ws.prompted()
            if self.ws.warehouse.read(f"imitations/{model}/{s}")["image_sha256"].notna().any()
        ]

    def _drew(self, model: str) -> bool:
        """Whether any image of a model version exists."""
        tables = [t for s in self.ws.prompted() if self.ws.warehouse.inputs(t := f"imitations/{model}/{s}")]
        return any(self.ws.warehouse.read(t, ["image_sha256"])["image_sha256"].notna().any() for t in tables)

    def first_images(self, model: str, artists: int = 12) -> list[str]:
        """The hash of the first image of each of the first artists that have one, to look at."""
        subjects = self.ws.subjects()
        own = subjects.loc[subjects["kind"] == "artist", "subject"].astype(str)
        tables = [self.ws.warehouse.read(f"imitations/{model}/{s}") for s in own[:artists]]
        return [str(found.iloc[0]) for t in tables if len(found := t["image_sha256"].dropna())]

    def _asleep(self, model: str, where: str, subject: str, why: str) -> pd.DataFrame:
        """The rows that a model version made of which nothing new is made. A later subject has no images, and no model is loaded for it."""
        if self.ws.warehouse.inputs(where) is None:
            problem = f"the model version {model} {why}"
            rows = absent_rows(self.ws.protocol, model_version=model, subject=subject, problem=problem)
            self.ws.warehouse.write(where, imitation_table(rows), digest(problem))
        return self.ws.warehouse.read(where)

    def maker(self, model: str, store: ImageStore | None = None) -> Maker:
        """The maker of a model version, which has to be approved."""
        audit = self.ws.audit
        if not audit.model(model).approved:
            raise InputError(f"{audit.file}, model {model!r}: is not approved; set `approved: true` to audit it.")
        resolved = resolve_model(audit, audit.model(model))
        images = store or self.ws.images
        arms = audit.model(model).arms
        return maker(
            resolved,
            self.ws.protocol,
            images,
            audit.batch_size,
            self.ws.names,
            self.ws.warehouse,
            None if arms is None else audit.local(arms),
        )
