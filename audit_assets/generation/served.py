"""The images of a model behind an API. Each answer is kept as soon as it is there, so that no image is paid for twice."""

import json
import re
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import anyio
import pandas as pd
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.to_thread import run_sync

from audit_assets.config import INDIRECT, Protocol
from audit_assets.errors import InputError
from audit_assets.generation import API_VERSION
from audit_assets.generation.answers import check_answers, rewritten, seed_for
from audit_assets.generation.images_api import Answer, ImagesApi
from audit_assets.generation.makers import MakerOf, at_work
from audit_assets.generation.spending import Spending
from audit_assets.generation.tables import ANSWERED, imitation_table
from audit_assets.hashing import digest
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.models.served import sent, server_of
from audit_assets.roster.homes import Names
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore, status_of
from audit_assets.warehouse.places import whole
from audit_assets.warehouse.store import Warehouse

KEPT = "api_kept"
"""The folder of the answers, below the warehouse: `api_kept/<model version>/<subject>/<template>.<trial>`, of an arm
`api_kept/<model version>/<subject>/<arm>/<template>.<trial>`."""


class Asked(NamedTuple):
    """One image that the protocol asks for."""

    template: int
    trial: int
    prompt: str
    seed: int | None
    """The seed that the server receives. It is None if the server takes no seeds."""
    upload: str = ""
    """The hash of the work that the server is given beside the prompt; empty for none."""


class ServedModel(MakerOf):
    """A server that is asked for one image per call, some calls at a time. It is opened for the first image that is not kept yet."""

    def __init__(
        self,
        resolved: ResolvedModel,
        protocol: Protocol,
        store: ImageStore,
        warehouse: Warehouse,
        names: Callable[[], Names],
    ) -> None:
        super().__init__(resolved, protocol, store)
        assert resolved.api is not None
        self.warehouse, self.api, self._names_of = warehouse, resolved.api, names
        self.body = sent(resolved)

    def open(self) -> None:
        """Read address and key, so that a variable that is not set stops the model version and not a subject."""
        _ = self._client

    def inputs(self, subject: str, name: str, indirect: str = "", called: str = "") -> str:
        wordings = self.protocol.wordings(called or name, indirect)
        names = self._names(subject, name)
        seeds = self.resolved.settings["seed_bits"]
        return digest([self.body, seeds, subject, wordings, names, self.protocol.generation_hash, API_VERSION])

    def make(self, subject: str, name: str, indirect: str = "", called: str = "") -> pd.DataFrame:
        wanted = self._wanted(subject, called or name, indirect)
        missing = [one for one in wanted if self._kept(subject, one) is None]
        failed: dict[tuple[int, int], Answer] = {}
        try:
            if missing:
                self.open()
                self._portal.call(self._ask, subject, missing, failed)
        finally:
            del at_work[self.resolved.name]
        names = self._names(subject, name)
        plan = json.dumps({"api": True, "batch_size": 1}, sort_keys=True)
        rows = []
        for one in wanted:
            kept = self._kept(subject, one)
            if kept is None:
                answer = failed[(one.template, one.trial)]
                kept = {"status": "failed", "code": answer.code, "reason": answer.reason}
            about = {"model_version": self.resolved.name, "subject": subject, **one._asdict()}
            named = self.named and one.template != INDIRECT
            if kept["status"] == "ok" and named and rewritten(kept["revised_prompt"], names, called):
                kept = {**kept, "status": "rewritten"}
            made = {"plan": plan} if kept.get("image_sha256") else {}
            rows.append({**about, "generation_hash": self.protocol.generation_hash, **kept, **made})
        return imitation_table(rows, ANSWERED)

    def check(self, rows: pd.DataFrame, subject: str) -> list[str]:
        return check_answers(rows, self.protocol, subject, self.resolved.settings["seed_bits"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client. If the program was interrupted, calls that are under way are given up, and stay counted."""
        self._open.__exit__(kind, error, trace)
        self._open = ExitStack()

    # ---- what is asked
    def _wanted(self, subject: str, name: str, indirect: str) -> list[Asked]:
        bits = self.resolved.settings["seed_bits"]
        return [
            Asked(template, trial, prompt, seed_for(subject, text, trial, bits), self.protocol.upload(template))
            for template, (prompt, text) in self.protocol.wordings(name, indirect).items()
            for trial in range(self.protocol.trials)
        ]

    async def _ask(self, subject: str, missing: list[Asked], failed: dict[tuple[int, int], Answer]) -> None:
        """Ask for images and keep each answer. After an error no new call begins, and calls under way are waited for and kept."""
        errors: list[Exception] = []
        limit = anyio.Semaphore(self.api.concurrency)

        async def ask(one: Asked) -> None:
            async with limit:
                if errors:
                    return
                try:
                    body = {**self.body, "prompt": one.prompt, **({} if one.seed is None else {"seed": one.seed})}
                    picture = await run_sync(self.store.content, one.upload) if one.upload else None
                    answer = await self._client.ask(body, picture)
                    if answer.image is not None:
                        answer = await run_sync(self._made, subject, one, answer)
                    else:
                        await run_sync(self._keep_other, subject, one, answer)
                    if answer.status == "failed":
                        failed[(one.template, one.trial)] = answer
                    self._client.check(answer)
                    at_work.update({self.resolved.name: 1})
                except Exception as error:
                    errors.append(error)

        async with anyio.create_task_group() as group:
            for one in missing:
                group.start_soon(ask, one)
        if errors:
            raise errors[0]

    # ---- what is kept
    def _place(self, subject: str, one: Asked) -> str:
        folder = f"{subject}/{self.arm}" if self.arm else subject
        return f"{KEPT}/{self.resolved.name}/{folder}/{one.template}.{one.trial}"

    def _call(self, one: Asked) -> str:
        """The hash of a call. An answer to another call is no answer to this one.

        API_VERSION is no part of it, because a new version makes other rows of answers that are paid, and pays for none again.
        """
        return digest([self.body, list(one if one.upload else one[:-1])])

    def _kept(self, subject: str, one: Asked) -> dict[str, Any] | None:
        """The answer to a call, if one is kept and its image exists."""
        where = self._place(subject, one)
        if self.warehouse.inputs(where) != self._call(one):
            return None
        row = {str(k): None if pd.isna(v) else v for k, v in self.warehouse.read(where).iloc[0].items()}
        return row if row["image_sha256"] is None or self.store.has([row["image_sha256"]]) else None

    def _made(self, subject: str, one: Asked, answer: Answer) -> Answer:
        """Keep the image of an answer. The answer is failed if the image cannot be read."""
        content = answer.image or b""
        try:
            with tempfile.TemporaryDirectory(prefix="audit-assets-") as folder:
                file = Path(folder) / "image"
                file.write_bytes(content)
                try:
                    image = open_image(file)
                except InputError as error:
                    raise InputError(str(error).replace(f"{file}: ", "")) from None
        except InputError as error:
            answer = self._client.unusable(answer, f"the image that the server sent {error}")
            self._keep_other(subject, one, answer)
            return answer
        reasons = [answer.reason, self._unlike(image.width, image.height)]
        self._keep(
            subject,
            one,
            answer,
            status="blocked" if answer.status == "blocked" else status_of(image),
            image_sha256=self.store.put(image),
            width=image.width,
            height=image.height,
            answer_sha256=sha256(content).hexdigest(),
            reason="; ".join(r for r in reasons if r) or None,
        )
        return answer

    def _unlike(self, width: int, height: int) -> str | None:
        size = re.fullmatch(r"(\d+)x(\d+)", str(self.body.get("size", "")))
        asked: list[Any] = list(size.groups()) if size else [self.body.get("width"), self.body.get("height")]
        if None in asked or [str(side) for side in asked] == [str(width), str(height)]:
            return None
        return f"has {width} x {height} pixels, not {asked[0]} x {asked[1]}"

    def _keep_other(self, subject: str, one: Asked, answer: Answer) -> None:
        """Keep a refusal, and an answer of no use that may be paid. A call without an answer is not kept, and is made again."""
        reason, digest_of = answer.reason, None
        if answer.status == "failed":
            if answer.body is None:
                return
            if answer.body:
                digest_of = sha256(answer.body).hexdigest()
                path = self.warehouse.path(self._place(subject, one)).with_suffix(".body")
                with whole(path) as file:
                    file.write_bytes(answer.body)
            reason = f"{reason}; to ask again, delete {self._place(subject, one)}.parquet"
        self._keep(subject, one, answer, status=answer.status, answer_sha256=digest_of, reason=reason)

    def _keep(self, subject: str, one: Asked, answer: Answer, **found: Any) -> None:
        row = {
            **dict.fromkeys(("image_sha256", "width", "height")),
            "code": answer.code,
            "revised_prompt": answer.revised_prompt,
            "model": answer.model,
            "date": answer.created,
            **found,
        }
        table = pd.DataFrame([row]).astype({c: "Int32" if c in ("width", "height") else "str" for c in row})
        self.warehouse.write(self._place(subject, one), table, self._call(one))

    # ---- what is open
    @cached_property
    def _client(self) -> ImagesApi:
        spending = Spending(self.warehouse, self.resolved.name, self.api)
        client = ImagesApi(server_of(self.api), self.api, spending)
        return self._open.enter_context(self._portal.wrap_async_context_manager(client))

    @cached_property
    def _portal(self) -> BlockingPortal:
        return self._open.enter_context(start_blocking_portal())

    @cached_property
    def _known(self) -> Names:
        return self._names_of()

    def _names(self, subject: str, name: str) -> list[str]:
        """The name of a subject, and its aliases."""
        return list(dict.fromkeys([name, *self._known.get(subject, ())]))
