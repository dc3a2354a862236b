"""Makers of a subject's rows: a model that is prompted here or behind an API, or a folder of images that an operator supplied. torch is imported only for a model."""

import gc
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from typing import Protocol as Interface

import pandas as pd

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation import SUPPLIED_VERSION, VERSION, image_folder
from audit_assets.generation.imitate import check_imitations, doubled, imitations
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.hashing import digest
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.models.registry import resolve_model
from audit_assets.models.takes_pictures import takes_no_pictures
from audit_assets.roster.arms import PROMPT, Asked
from audit_assets.roster.homes import Homes, Names, Unread, homes, unread_of
from audit_assets.untrusted.folders import FIELDS, is_dropping, supplied_files
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse
from audit_assets.workspace import Workspace

if TYPE_CHECKING:
    from audit_assets.generation.diffusers_source import DiffusersSource

at_work: Counter[str] = Counter()
"""Images drawn so far for the current subject, per model version. A progress bar in the same process reads it."""


class Maker(Interface):
    """Makes the imitations of one model version, one subject at a time."""

    resolved: ResolvedModel

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def ask(self, protocol: Protocol, arm: str, *, named: bool) -> None:
        """From now on, make what this protocol asks for. Images of an `arm` are kept apart; `named`: whether prompts name the artist."""

    def open(self) -> None:
        """Load what makes the images, so that an error of the whole model version shows before a subject is blamed."""

    def helpers(self) -> int:
        """How many further processes should draw beside this one. What makes the images is open."""

    def inputs(self, subject: str, name: str, indirect: str = "", called: str = "") -> str:
        """The hash of all inputs of a subject's rows. `called` stands in prompts in place of the name, if it is given."""

    def make(self, subject: str, name: str, indirect: str = "", called: str = "") -> pd.DataFrame:
        """A subject's rows, with the columns of `generation.tables`."""

    def check(self, rows: pd.DataFrame, subject: str) -> list[str]:
        """One sentence per problem of the rows."""


class MakerOf:
    """What every maker has: the model version, the protocol, the images, and what is open until it is left."""

    def __init__(self, resolved: ResolvedModel, protocol: Protocol, store: ImageStore) -> None:
        self.resolved, self.protocol, self.store = resolved, protocol, store
        self.arm, self.named = "", True
        self._open = ExitStack()

    def ask(self, protocol: Protocol, arm: str, *, named: bool) -> None:
        self.protocol, self.arm, self.named = protocol, arm, named

    def helpers(self) -> int:
        return 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


class AskedModel(MakerOf):
    """A pipeline, and a thread that writes images at the same time. The pipeline is loaded for the first subject that must be made."""

    def __init__(self, resolved: ResolvedModel, protocol: Protocol, store: ImageStore, batch_size: int) -> None:
        super().__init__(resolved, protocol, store)
        self.batch_size = batch_size

    @property
    def plan(self) -> str:
        own = self.resolved
        return digest(
            [own.files_sha256, own.settings, own.arguments, self.protocol.generation_hash, self.batch_size, VERSION]
        )

    def open(self) -> None:
        _ = self.source

    def helpers(self) -> int:
        return self.source.cores - 1 if self.source.in_one_thread else 0

    def inputs(self, subject: str, name: str, indirect: str = "", called: str = "") -> str:
        return digest([self.plan, subject, self.protocol.wordings(called or name, indirect)])

    def make(self, subject: str, name: str, indirect: str = "", called: str = "") -> pd.DataFrame:
        try:
            return imitations(
                self.source,
                self.protocol,
                model_version=self.resolved.name,
                subject=subject,
                name=called or name,
                indirect=indirect,
                batch_size=self.batch_size,
                store=self.store,
                writer=self._writer,
                progress=lambda images: at_work.update({self.resolved.name: images}),
            )
        finally:
            del at_work[self.resolved.name]

    def check(self, rows: pd.DataFrame, subject: str) -> list[str]:
        return check_imitations(rows, self.protocol, subject)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self.__dict__.pop("source", None) is not None:
            gc.collect()  # a pipeline refers to itself, so only the collector frees its GPU memory, which the encoders need

    @cached_property
    def source(self) -> "DiffusersSource":
        from audit_assets.generation.diffusers_source import DiffusersSource

        return DiffusersSource(self.resolved)

    @cached_property
    def _writer(self) -> ThreadPoolExecutor:
        return self._open.enter_context(ThreadPoolExecutor(1))


class SuppliedImages(MakerOf):
    """A folder of images. A subject with unreadable images is refused with the reason; the others continue."""

    def __init__(
        self, resolved: ResolvedModel, protocol: Protocol, store: ImageStore, homes_of: Callable[[str], Homes]
    ) -> None:
        """`homes_of` gives the folders of the subjects, in the headline (an empty name) or in an arm."""
        super().__init__(resolved, protocol, store)
        self.homes = cache(homes_of)

    def open(self) -> None:
        """A folder has nothing to load."""

    def inputs(self, subject: str, name: str, indirect: str = "", called: str = "") -> str:
        try:
            made_of = image_folder.fingerprint(self._files(subject))
        except InputError as error:
            made_of = str(error)
        wordings = self.protocol.wordings(called or name, indirect)
        return digest([self.resolved.name, subject, wordings, self.protocol.generation_hash, made_of, SUPPLIED_VERSION])

    def make(self, subject: str, name: str, indirect: str = "", called: str = "") -> pd.DataFrame:
        about: dict[str, Any] = {"model_version": self.resolved.name, "subject": subject}
        try:
            files = self._files(subject)
            return image_folder.supplied_rows(
                files, self.protocol, name=called or name, indirect=indirect, store=self.store, **about
            )
        except InputError as error:
            return imitation_table(absent_rows(self.protocol, problem=str(error), **about))

    def check(self, rows: pd.DataFrame, subject: str) -> list[str]:
        return doubled(rows, subject)

    def _files(self, subject: str) -> list[Path]:
        return supplied_files(self.homes(self.arm).own.get(subject, []))


def asked_in_arms(ws: Workspace, model: str) -> dict[str, list[Asked]]:
    """What each arm asks of a model, by the arm's name. A model that takes no pictures is given none, and each subject says so."""
    found = ws.asked_in_arms(model)
    if not any(one.uploads for of_arm in found.values() for one in of_arm):
        return found
    try:
        why = takes_no_pictures(resolve_model(ws.audit, ws.audit.model(model)))
    except InputError:  # a model whose files are not here, or are refused, makes no images either
        why = ""
    return {
        arm: [one._replace(prompts=(), uploads=(), problem=why) if why and one.uploads else one for one in of_arm]
        for arm, of_arm in found.items()
    }


def arm_homes(arms: Path | None, arm: str, names: Names) -> Homes:
    """The folders of one arm, `<arms>/<arm>/<name or prompt.001>`. There are none if no such folder exists."""
    folder = (arms or Path()) / arm
    if arms is None or not folder.is_dir():
        return Homes(folder, {}, [])
    prompts = {entry.name: [entry.name] for entry in folder.iterdir() if entry.name.startswith(PROMPT)}
    return homes(folder, {**names, **prompts})


def unread_in_arms(ws: Workspace, model: str, arms: Path) -> list[Unread]:
    """Every file and folder below the folder of arms that the audit does not read, with the reason."""
    known = {arm.name for arm in ws.protocol.arms}
    entries = sorted(arms.iterdir()) if arms.is_dir() else []
    found = [
        Unread(model, f"{arms.name}/{entry.name}", "no arm of the protocol has this name")
        for entry in entries
        if entry.name not in known and not is_dropping(entry.name)
    ]
    for name in sorted(known & {entry.name for entry in entries if entry.is_dir()}):
        of_arm = unread_of(model, arm_homes(arms, name, ws.names()), FIELDS)
        found += [one._replace(file=f"{arms.name}/{name}/{one.file}") for one in of_arm]
    return found


def maker(
    resolved: ResolvedModel,
    protocol: Protocol,
    store: ImageStore,
    batch_size: int,
    names: Callable[[], Names],
    warehouse: Warehouse,
    arms: Path | None = None,
) -> Maker:
    """The maker of a model version, chosen by its source. `names` gives the names and aliases of the subjects.

    A served model keeps each answer in the `warehouse`. `arms` is the folder of the images that an operator supplied for arms.
    """
    if resolved.source == "api":
        from audit_assets.generation.served import ServedModel

        return ServedModel(resolved, protocol, store, warehouse, names)
    if resolved.source == "image_folder":
        return SuppliedImages(
            resolved,
            protocol,
            store,
            lambda arm: arm_homes(arms, arm, names()) if arm else homes(resolved.path, names()),
        )
    return AskedModel(resolved, protocol, store, batch_size)
