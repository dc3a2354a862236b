"""The images of a protocol's arms: other ways to ask for an artist, apart from the images that verdicts rest on.

A cell is one subject in one arm of one model version. Nothing that fails here stops the model version: the rows of the
cell say why there is no image, the arm's result says that it could not be tested, and the next run tries again.
"""

import time
from collections.abc import Iterator, Mapping

import pandas as pd

from audit_assets.config import OTHER, Arm
from audit_assets.errors import Unwritable, said
from audit_assets.generation import ARM_VERSION
from audit_assets.generation.helpers import Helpers, Lacking, still_lacking
from audit_assets.generation.makers import Maker, asked_in_arms
from audit_assets.generation.stage import FAILURES, ImitationStage
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.hashing import digest
from audit_assets.roster.arms import NOT_READ, Asked, images_in, literal
from audit_assets.warehouse.cells import Cells
from audit_assets.workspace import Workspace


class ArmStage:
    """The images of the arms of one audit. The model is loaded once per call, and only if an image does not exist yet."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.cells = Cells(ws.warehouse, ws.images)
        self.imitations = ImitationStage(ws)

    def make(self, model: str) -> pd.DataFrame:
        """Every row of every arm of a model version, with the columns `arm` and `kind`; made now or read."""
        tables = list(self._made(model))
        return pd.concat(tables, ignore_index=True) if tables else _with_arm(imitation_table([]), "", "")

    def done(self, model: str) -> bool:
        """Whether every cell has the images that the protocol asks for now. A cell that failed is not done."""
        if not self.ws.protocol.arms or self.ws.audit.asleep(model):
            return True
        with self.imitations.maker(model) as maker:
            return all(
                self.cells.is_done(where, self._inputs(maker, arm, one), images=True)
                for where, arm, one in self._wanted(model)
            )

    def asked(self, model: str) -> dict[str, int]:
        """The number of images that each arm asks of a model version."""
        return images_in(self.ws.protocol, asked_in_arms(self.ws, model))

    def cost(self, model: str) -> list[str]:
        """One sentence per arm on how many images it asks for, and on artists whom it cannot ask."""
        lines, asked = [], asked_in_arms(self.ws, model)
        for arm, images in images_in(self.ws.protocol, asked).items():
            found = asked[arm]
            refused = [one for one in found if one.problem]
            line = f"{model}, arm {arm}: {images} images"
            if refused:
                first = refused[0]
                more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
                line += f"; {first.subject}{more} could not be asked: {first.problem}"
            lines.append(line)
        return lines

    def failed(self, model: str) -> list[str]:
        """One sentence per arm and reason for which subjects that the arm can ask have no image, or images that do not count."""
        found: dict[tuple[str, str], list[str]] = {}
        for where, arm, one in self._wanted(model):
            if not one.problem and self.ws.warehouse.inputs(where) is not None:
                rows = self.ws.warehouse.read(where, ["problem", "template", "image_sha256"])
                problems = [str(problem) for problem in rows["problem"].dropna().unique()]
                if n := int(((rows["template"] == OTHER) & rows["image_sha256"].notna()).sum()):
                    problems.append(
                        f"{n} images have another prompt than the arm's or are not of a prompt alone, and do not count"
                    )
                for problem in problems:
                    found.setdefault((arm.name, problem), []).append(one.subject)
        return [
            f"arm {arm}: {who[0]}{f' and {len(who) - 1} more' if len(who) > 1 else ''}: {problem}"
            for (arm, problem), who in found.items()
        ]

    def problems(self, model: str) -> list[str]:
        """One sentence per problem of the kept rows: missing or doubled images, wrong seeds, and prompts that the arm does not ask."""
        if self.ws.audit.asleep(model) or not self.ws.protocol.arms:
            return []
        found = []
        with self.imitations.maker(model) as maker:
            for where, arm, one in self._wanted(model):
                rows = self.ws.warehouse.read(where)
                if rows["problem"].notna().all():
                    continue
                maker.ask(literal(arm, one), arm.name, named=arm.names_the_artist)
                found += [f"arm {arm.name}, {problem}" for problem in maker.check(rows, one.subject)]
        return found

    def _wanted(self, model: str) -> Iterator[tuple[str, Arm, Asked]]:
        arms = {arm.name: arm for arm in self.ws.protocol.arms}
        for name, found in asked_in_arms(self.ws, model).items():
            for one in found:
                yield f"arm_images/{model}/{name}/{one.subject}", arms[name], one

    def _made(self, model: str) -> Iterator[pd.DataFrame]:
        wanted = {where: (arm, one) for where, arm, one in self._wanted(model)}
        if not wanted:
            return
        if why := self.ws.audit.asleep(model):
            for where, (arm, one) in wanted.items():
                if self.ws.warehouse.inputs(where) is None:
                    self._write(where, arm, one, self._absent(model, arm, one, f"the model version {model} {why}"), "")
                yield self.ws.warehouse.read(where)
            return
        in_a_row = 0
        with (
            self.imitations.maker(model) as maker,
            Helpers(self.cells, self.ws.audit.file, model, "arms") as helpers,
        ):
            for where in self.cells.in_turn(list(wanted)):
                arm, one = wanted[where]
                inputs = self._inputs(maker, arm, one)
                rows = self.cells.done(where, inputs, images=True)
                if rows is None:
                    began = time.monotonic()
                    rows, failed = self._drawn(maker, arm, one) if in_a_row < FAILURES else (None, _STOPPED)
                    in_a_row = in_a_row + 1 if failed else 0
                    if rows is None:
                        rows = self._absent(model, arm, one, failed)
                    if failed or (rows["status"] == "failed").any():  # other inputs, so that the next run asks again
                        inputs = digest([inputs, rows.to_json()])
                    rows = self._write(where, arm, one, rows, inputs)
                    if not failed and not one.problem:
                        helpers.drew(
                            time.monotonic() - began, maker.helpers(), lambda: self._wanted_inputs(maker, wanted)
                        )
                yield rows

    def _wanted_inputs(self, maker: Maker, wanted: Mapping[str, tuple[Arm, Asked]]) -> dict[str, str]:
        """The inputs of every cell that the model can be asked for."""
        return {where: self._inputs(maker, *own) for where, own in wanted.items() if not own[1].problem}

    def help(self, model: str, cells: Lacking) -> None:
        """Draw cells for the run that asked. The first fault ends the help: that run meets it too, and says it."""
        wanted = {where: (arm, one) for where, arm, one in self._wanted(model)}
        with self.imitations.maker(model) as maker:
            for where, inputs in still_lacking(self.cells, cells, lambda w: self._inputs(maker, *wanted[w])):
                rows, failed = self._drawn(maker, *wanted[where])
                if rows is None or failed:
                    raise ValueError(failed)
                self._write(where, *wanted[where], rows, inputs)

    def _drawn(self, maker: Maker, arm: Arm, one: Asked) -> tuple[pd.DataFrame | None, str]:
        """The rows of a cell, or why there are none."""
        if one.problem:
            return self._absent(maker.resolved.name, arm, one, one.problem), ""
        if NOT_READ in one.uploads:
            return None, "the real works that this arm gives the model are not read yet; run the audit again"
        try:
            maker.open()
            rows = maker.make(one.subject, one.words)
            if problems := maker.check(rows, one.subject):
                raise ValueError("; ".join(problems))
        except Unwritable:
            raise
        except Exception as error:  # each pipeline raises exceptions of its own, and a served model stops at its cap
            return None, f"the model failed in this arm: {said(error)}"
        if (
            maker.resolved.source == "image_folder"
            and not rows["image_sha256"].notna().any()
            and rows["problem"].isna().all()
        ):
            rows["problem"] = (
                f"no image of the arm {arm.name} was supplied; `audit-assets prompts` says what to ask and where to save it."
            )
        return rows, ""

    def _inputs(self, maker: Maker, arm: Arm, one: Asked) -> str:
        maker.ask(literal(arm, one), arm.name, named=arm.names_the_artist)
        return digest([ARM_VERSION, arm.name, one.inputs, maker.inputs(one.subject, one.words)])

    def _absent(self, model: str, arm: Arm, one: Asked, problem: str) -> pd.DataFrame:
        protocol = literal(
            arm, one._replace(prompts=one.prompts or ("",))
        )  # a subject without a prompt has rows that say why
        return imitation_table(absent_rows(protocol, model_version=model, subject=one.subject, problem=problem))

    def _write(self, where: str, arm: Arm, one: Asked, rows: pd.DataFrame, inputs: str) -> pd.DataFrame:
        table = _with_arm(rows, arm.name, one.kind)
        given = dict(enumerate(one.uploads))
        table["upload_sha256"] = pd.Series([given.get(t) for t in table["template"]], index=table.index, dtype="str")
        self.ws.warehouse.write(where, table, inputs or digest([ARM_VERSION, where]))
        return table


_STOPPED = f"the model failed at {FAILURES} prompts of the arms in a row, so no further one was asked"


def _with_arm(rows: pd.DataFrame, arm: str, kind: str) -> pd.DataFrame:
    table = rows.copy()
    table.insert(1, "arm", pd.Series([arm] * len(rows), index=rows.index, dtype="str"))
    table.insert(3, "kind", pd.Series([kind] * len(rows), index=rows.index, dtype="str"))
    return table
