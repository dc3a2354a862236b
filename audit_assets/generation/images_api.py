"""A client of an images API (`/v1/images/generations`): one image per call, bounded in time, bytes, retries and money.

Nothing that it returns or raises holds the key or the address. No redirect is followed with the key.
"""

import base64
import binascii
import json
import logging
import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.to_thread import run_sync

from audit_assets.config import ApiEntry
from audit_assets.errors import Stopped
from audit_assets.generation.answers import CAME_THROUGH
from audit_assets.generation.spending import Spending
from audit_assets.models.served import Server

MOST_BYTES = 64_000_000
"""The longest answer that is read, and the largest image."""
FIRST_WAIT = 1.0
"""Seconds before the first retry. Each further wait is twice as long, up to LONGEST_WAIT, unless the server says how long."""
LONGEST_WAIT = 60.0
FAILURES = 3
"""The model version stops after this many failed images in a row."""
_MOST_TEXT = 10_000
_REFUSALS = (
    "content_policy", "contentpolicy", "contentfilter", "content_filter", "content_filtered", "moderation", "safety", "responsibleai",
    "policy_violation", "policyviolation", "prohibited_content", "nsfw", "copyright", "recitation",
)  # fmt: skip
_REFUSING_WORDS = (
    "safety_system", "content_policy", "contentpolicy", "content_management_policy", "content_filter", "contentfilter", "usage_policies",
    "policy_violation", "policyviolation", "moderation_blocked", "prohibited_content",
)  # fmt: skip
"""In a message, words or a code. A proxy repeats what its backend answered as a message, and puts a code of its own beside it."""
_GATEWAYS = {"x-litellm-version": "litellm"}
"""A header -> the gateway that it tells of: a proxy that writes the answers of its backend anew, in the fields that it knows."""
_NO_MONEY = ("insufficient_quota", "billing", "payment", "quota_exceeded", "budget_exceeded")
_NO_MONEY_WORDS = (
    "exceeded_your_current_quota", "insufficient_quota", "billing_hard_limit", "insufficient_funds", "insufficient_credit",
    "budget_has_been_exceeded", "budget_exceeded",
)  # fmt: skip
_NO_MODEL = re.compile(
    r"\b(invalid|unknown|no such) model\b|\bmodel\b[^.\n]{0,80}\b(does not exist|not found|is not available)\b|model_not_found",
    re.I,
)
_TRY_AGAIN = re.compile(
    r"try again in (?:(\d{1,4}) ?m(?:in\w*)? ?)?(?:(\d{1,6}(?:\.\d{1,9})?) ?(ms|s)(?:ec\w*)?)?\b", re.I
)


@dataclass(frozen=True)
class Answer:
    """What came of one image. `status` is 'made', 'blocked' (an image that the server says it filtered), 'refused' or 'failed'. `body` is
    what a server sent that is of no use, and may be paid."""

    status: str
    image: bytes | None = None
    code: str | None = None
    reason: str | None = None
    revised_prompt: str | None = None
    model: str | None = None
    created: str | None = None
    body: bytes | None = None


class _Again(Exception):
    """The call did not succeed and may be made again. `paid`: it may have been paid. `gone`: no server is there, or it is busy."""

    def __init__(self, code: str, reason: str, *, paid: bool, gone: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.paid, self.gone, self.wait = code, reason, paid, gone, wait


class _TooLong(Exception):
    pass


class ImagesApi:
    """Asks a server. Use it as an asynchronous context manager."""

    def __init__(self, server: Server, asked: ApiEntry, spending: Spending) -> None:
        self.server, self.asked, self.spending = server, asked, spending
        self._not_before = 0.0
        self._failed = 0
        self._answered = False

    async def __aenter__(self) -> "ImagesApi":
        for library in ("httpx2", "httpcore2"):  # their logs name the address
            logging.getLogger(library).setLevel(logging.WARNING)
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(self.asked.timeout), headers={"Accept-Encoding": "identity"}, follow_redirects=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(self, body: dict[str, Any], picture: bytes | None = None) -> Answer:
        """Ask for one image, made from a `picture` (PNG) if one is given. Stopped if a cap is reached, or the server cannot be asked at all."""
        until = time.monotonic() + self.asked.patience
        for attempt in range(self.asked.retries + 1):
            await self._wait(until)
            await run_sync(self.spending.reserve)
            try:
                answer = await self._call(body, picture)
            except _Again as again:
                if not again.paid:
                    await run_sync(self.spending.change, -1)
                said = "" if again.wait is None else f", and asks to wait {again.wait:.0f} seconds"
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) if again.wait is None else again.wait
                if attempt < self.asked.retries and time.monotonic() + wait <= until:
                    self._not_before = max(self._not_before, time.monotonic() + wait)
                    continue
                if again.gone:
                    self._stop(
                        f"{again.reason}{said} (asked {attempt + 1} times); run again later. What it answered is kept"
                    )
                return self._counted(Answer("failed", code=again.code, reason=again.reason))
            except Stopped:
                await run_sync(self.spending.change, -1)
                raise
            return self._counted(answer)
        raise AssertionError("the loop returns")

    async def _wait(self, until: float) -> None:
        """Wait as long as the server asked any of the calls to wait."""
        while (wait := self._not_before - time.monotonic()) > 0:
            if self._not_before > until:
                self._stop("the server is busy for longer than api.patience allows; run again later")
            await anyio.sleep(wait)

    def _counted(self, answer: Answer) -> Answer:
        self._failed = self._failed + 1 if answer.status == "failed" else 0
        self._answered |= answer.status != "failed"
        return answer

    def check(self, answer: Answer) -> None:
        """Stopped if this answer, which the caller has kept, is the last of too many in a row that failed."""
        if answer.status == "failed" and self._failed >= FAILURES:
            asked = self.asked
            remedy = f"; none was made yet, so look at `model`, at `settings`, at {asked.address_env} and at the key in {asked.key_env}"
            self._stop(
                f"{self._failed} images in a row failed (the last: {answer.code}, {answer.reason}){'' if self._answered else remedy}"
            )

    def unusable(self, answer: Answer, why: str) -> Answer:
        """The answer whose image cannot be read, as a failed one."""
        body = self.server.bytes_without_secrets(answer.image or b"")
        return self._counted(replace(answer, status="failed", code="unreadable image", reason=why, body=body))

    def _stop(self, why: str) -> NoReturn:
        raise Stopped(f"{self._clean(why)}.")

    def _clean(self, text: object, most: int = 500) -> str:
        """A server's text without secrets, and with only characters that a table can hold."""
        plain = str(text).encode("utf-8", "replace").decode().replace("\0", "")
        return self.server.without_secrets(plain)[:most]

    # ---- one call
    async def _call(self, body: dict[str, Any], picture: bytes | None) -> Answer:
        url, sent = self.server.url, dict[str, Any](json=body)
        if picture is not None:
            fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
            url, sent = self.server.edits, {"data": fields, "files": {"image": ("work.png", picture, "image/png")}}
        try:
            with anyio.fail_after(self.asked.timeout):
                status, head, content = await self._read("POST", url, headers=self.server.headers, **sent)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            where = f"the server at {self.asked.address_env} cannot be reached"
            raise _Again("unreachable", self._clean(f"{where} ({error})"), paid=False, gone=True) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise _Again("timeout", f"no whole answer came within {self.asked.timeout:g} seconds", paid=True) from None
        except _TooLong as error:
            return Answer("failed", code="too long", reason=str(error), body=b"")
        except httpx2.HTTPError as error:
            what = f"the answer broke off ({type(error).__name__})"
            raise _Again("broken answer", what, paid=True) from None
        if status in (200, 201):
            return await self._made(head, content)
        if status in (404, 405) and picture is not None:
            self._stop(
                f"the server answers {status}: it has no images/edits, or knows no such model there; delete `api.edits`"
            )
        return self._error(status, head, content)

    async def _read(self, method: str, url: str, **sent: Any) -> tuple[int, httpx2.Headers, bytes]:
        """Status, headers and body of an answer. No byte beyond MOST_BYTES is read."""
        async with self._client.stream(method, url, **sent) as reply:
            if reply.headers.get("content-encoding", "identity") != "identity":
                raise _TooLong("the answer is compressed, which was not asked for, and was not read")
            if int(length if (length := reply.headers.get("content-length", "0")).isdecimal() else 0) > MOST_BYTES:
                raise _TooLong(f"the answer has more than {MOST_BYTES // 1_000_000} MB, and was not read")
            found = bytearray()
            async for chunk in reply.aiter_raw():
                found += chunk
                if len(found) > MOST_BYTES:
                    raise _TooLong(f"the answer has more than {MOST_BYTES // 1_000_000} MB, and was not read further")
            return reply.status_code, reply.headers, bytes(found)

    def _error(self, status: int, head: httpx2.Headers, content: bytes) -> Answer:
        """What an answer without an image means: a refusal, a failure, another try, or the end."""
        code, message = self._said(content)
        named, http = code or f"HTTP {status}", f"the server answers {status}"
        said = f"{http}: {message}" if message else http
        if 300 <= status < 400:
            self._stop(
                f"{http}, a redirect, which is not followed with a key; write the address that it leads to into {self.asked.address_env}"
            )
        if status in (400, 403, 422, 451) and self._refuses(code, message):
            return Answer("refused", code=named, reason=message or http)
        if status == 402 or any(word in (code or "").lower() for word in _NO_MONEY) or _has(message, _NO_MONEY_WORDS):
            self._stop(f"{said} ({named}); look at the account")
        if status in (401, 403):
            self._stop(f"{http}: it does not take the key in {self.asked.key_env} ({named}); correct it")
        if status in (404, 405):
            self._stop(
                f"{said}: no images API is at {self.asked.address_env}, or it knows no such model; correct the variable, or `model`"
            )
        if status in (400, 422) and not self._answered and _NO_MODEL.search(f"{code} {message}"):
            self._stop(f"{said} ({named}): it knows no such model; correct `model`")
        wait = _retry_after(head, message)
        if status in (429, 503):
            raise _Again(named, f"{http}: it is busy", paid=False, gone=True, wait=wait)
        if status in (408, 409, 425) or status >= 500:
            raise _Again(named, said, paid=status >= 500, wait=wait)
        return Answer("failed", code=named, reason=said)

    def _said(self, content: bytes) -> tuple[str | None, str]:
        """The code and the message of an error, in the forms that servers use."""
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return None, ""
        return self._of_error(found.get("error", found) if isinstance(found, dict) else found)

    def _of_error(self, error: Any) -> tuple[str | None, str]:
        if not isinstance(error, dict):
            return None, self._clean(error) if isinstance(error, str) else ""
        inner = error.get("innererror") or error.get("inner_error") or {}
        codes = [inner.get("code") if isinstance(inner, dict) else None, error.get("code"), error.get("type")]
        texts = [self._clean(c, 100) for c in codes if isinstance(c, (str, int)) and str(c).strip()]
        refusing = next((c for c in texts if self._refuses(c, "")), None)
        named = next((c for c in texts if not c.isdecimal()), None)  # some servers give the status of HTTP as the code
        message = error.get("message") or error.get("detail") or ""
        return refusing or named or next(iter(texts), None), self._clean(message) if isinstance(message, str) else ""

    def _refuses(self, code: str | None, message: str) -> bool:
        return code in self.asked.refusal_codes or _has(code or "", _REFUSALS) or _has(message, _REFUSING_WORDS)

    async def _made(self, head: httpx2.Headers, content: bytes) -> Answer:
        """The image of an answer that says that all went well. Whatever is wrong with it was paid, and is kept."""
        kept = self.server.bytes_without_secrets(content)
        if "html" in head.get("content-type", "").lower() or content.lstrip()[:1] == b"<":
            self._stop(
                f"what is at {self.asked.address_env} answers with a page (HTML), not with JSON; correct the variable"
            )
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return Answer("failed", code="no JSON", reason="the answer is no whole JSON", body=kept)
        if not isinstance(found, dict):
            return Answer("failed", code="no JSON object", reason="the answer is no JSON object", body=kept)
        if (error := found.get("error")) and not found.get("data"):
            code, message = self._of_error(error)
            status = "refused" if self._refuses(code, message) else "failed"
            said = message or "the server gives an error without words"
            return Answer(status, code=code or "error", reason=said, body=kept if status == "failed" else None)
        data = found.get("data")
        if not isinstance(data, list) or not data or not isinstance(data[0], dict):
            return Answer("failed", code="no image", reason="the answer has no image in `data`", body=kept)
        first = data[0]
        revised = first.get("revised_prompt")
        about: dict[str, Any] = {
            "revised_prompt": self._clean(revised, _MOST_TEXT) if isinstance(revised, str) else None,
            "model": self._clean(found["model"], 200) if isinstance(found.get("model"), str) else None,
            "created": _created(found.get("created")),
        }
        notes = [f"{CAME_THROUGH} {self._clean(f'{name} {head[h]}', 60)}" for h, name in _GATEWAYS.items() if h in head]
        if len(data) > 1:
            await run_sync(self.spending.change, len(data) - 1)
            notes.append(f"the server sent {len(data)} images for n=1; the first counts")
        why = first.get("finish_reason") or first.get("finishReason") or first.get("error")
        code, message = self._of_error(why) if isinstance(why, dict) else (self._clean(why, 100) if why else None, "")
        if not first.get("b64_json") and not first.get("url"):
            refused = self._refuses(code, message)
            reason = message or "the answer has no image"
            return Answer(
                "refused" if refused else "failed",
                code=code or "no image",
                reason=reason,
                body=None if refused else kept,
            )
        image, problem = await self._image(first)
        if image is None:
            return Answer("failed", code="no image", reason=problem, body=kept, **about)
        flags = ((name, v if isinstance(v, list) else [v]) for name, v in {**found, **first}.items())
        flag = next((n for n, values in flags if self._refuses(n, "") and any(v is True for v in values)), None)
        if flag or self._refuses(code, message):
            said = "; ".join(s for s in ("the server says that it filtered this image", message, *notes) if s)
            return Answer("blocked", image=image, code=self._clean(flag or code, 100), reason=said, **about)
        return Answer("made", image=image, reason="; ".join(notes) or None, **about)

    async def _image(self, item: dict[str, Any]) -> tuple[bytes | None, str]:
        """The bytes of an image, given as base64 or by its address."""
        text = item.get("b64_json") or item.get("url")
        if not isinstance(text, str):
            return None, "the image is no text"
        if item.get("b64_json") or text.startswith("data:"):
            try:
                return base64.b64decode("".join(text.rpartition(",")[2].split()), validate=True), ""
            except (binascii.Error, ValueError):
                return None, "the image is no whole base64"
        return await self._fetched(text)

    async def _fetched(self, url: str) -> tuple[bytes | None, str]:
        """An image from the address that the server gave. It is asked for without the key, and again if that fails."""
        try:
            parts, own = urlsplit(url), urlsplit(self.server.url)
        except ValueError:
            return None, "the address of the image is none"
        if parts.scheme != "https" and (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            return None, (
                "the address of the image is neither https nor at the server itself, and was not followed; if the server can send the image itself, "
                "set `response_format: b64_json` in `settings`"
            )
        why = ""
        for attempt in range(self.asked.retries + 1):
            if attempt:
                await anyio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)))
            try:
                with anyio.fail_after(self.asked.timeout):
                    status, _, content = await self._read("GET", url)
            except _TooLong as error:
                return None, str(error)
            except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL) as error:
                why = f"the image could not be fetched ({type(error).__name__})"
                continue
            if status == 200:
                return content, ""
            if 300 <= status < 400:
                return None, "the address of the image leads to another one, which was not followed"
            why = f"the image could not be fetched (HTTP {status})"
        return None, why


def _has(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text has one of these words, written with spaces, hyphens or underscores."""
    low = re.sub(r"[\s-]+", "_", text.lower())
    return any(word in low for word in words)


def _retry_after(head: httpx2.Headers, message: str = "") -> float | None:
    """The seconds of a header Retry-After, which has seconds or a date, or else those of a message. None if neither says it."""
    said = head.get("retry-after", "").strip()
    if not said and (found := _TRY_AGAIN.search(message)) and any(found.groups()):
        minutes, seconds, unit = found.groups()
        return 60 * float(minutes or 0) + float(seconds or 0) / (1000 if unit and unit.lower() == "ms" else 1)
    try:
        if said.replace(".", "", 1).isdecimal() and said.isascii():
            return min(float(said), 1e9)
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()) if said else None
    except (ValueError, TypeError, OverflowError):
        return None


def _created(value: Any) -> str | None:
    """The time that a server gives in seconds since 1970, as a date."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e11:
        return None
    return datetime.fromtimestamp(int(value), UTC).isoformat()
