"""A short message to the operators, by mail (SMTP) and to a chat (webhook). Addresses and secrets come from the environment alone.

    AUDIT_ALERT_WEBHOOK        https://..., takes {"text": ...} as Slack, Mattermost and Google Chat do
    AUDIT_ALERT_SMTP           smtps://host:465, or smtp://host:587 (which begins with STARTTLS)
    AUDIT_ALERT_SMTP_USER, AUDIT_ALERT_SMTP_PASSWORD
    AUDIT_ALERT_FROM, AUDIT_ALERT_TO    addresses; several of the latter, separated by commas

No error and no log has an address of a webhook, because who knows it can write to the chat.
"""

import ipaddress
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from urllib.parse import SplitResult, urlsplit

from audit_assets.errors import InputError
from audit_assets.untrusted.terminal import one_line

PREFIX = "AUDIT_ALERT_"
SECONDS = 10
"""That one server has for its answer."""
MOST_LINES, LONGEST_LINE = 30, 400
_CHAT_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class Mail:
    """A server that takes mails, and between whom."""

    host: str
    port: int
    encrypted: bool
    """From the first byte; otherwise after STARTTLS."""
    user: str
    password: str
    sender: str
    to: tuple[str, ...]


@dataclass(frozen=True)
class Addresses:
    """Where messages go. Both are None if the environment names none."""

    webhook: str | None
    mail: Mail | None

    def __bool__(self) -> bool:
        return self.webhook is not None or self.mail is not None


def addresses(environment: Mapping[str, str] | None = None) -> Addresses:
    """Where the environment sends messages. InputError names the variable that is wrong or missing, and never its value."""
    variables = os.environ if environment is None else environment
    known = {name.removeprefix(PREFIX): value.strip() for name, value in variables.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in known.items() if value}
    if unknown := sorted(given.keys() - {"WEBHOOK", "SMTP", "SMTP_USER", "SMTP_PASSWORD", "FROM", "TO"}):
        raise InputError(f"{PREFIX}{unknown[0]}: is not a variable that is read; docs/operations.md lists them.")
    webhook = given.get("WEBHOOK")
    if webhook is not None:
        _checked("WEBHOOK", webhook, {"https"} | ({"http"} if _is_loopback(_parts("WEBHOOK", webhook)) else set()))
    return Addresses(webhook, _mail(given))


def _mail(given: Mapping[str, str]) -> Mail | None:
    asked = [name for name in ("SMTP", "SMTP_USER", "SMTP_PASSWORD", "FROM", "TO") if name in given]
    if not asked:
        return None
    for name in ("SMTP", "FROM", "TO"):
        if name not in given:
            raise InputError(
                f"{PREFIX}{name}: is missing, and {PREFIX}{asked[0]} is set; a mail needs SMTP, FROM and TO."
            )
    if ("SMTP_USER" in given) != ("SMTP_PASSWORD" in given):
        raise InputError(f"{PREFIX}SMTP_USER and {PREFIX}SMTP_PASSWORD: set both or none.")
    server = _checked("SMTP", given["SMTP"], {"smtp", "smtps"})
    encrypted = server.scheme == "smtps"
    to = tuple(one for part in given["TO"].split(",") if (one := part.strip()))
    for name, value in (("FROM", given["FROM"]), *(("TO", one) for one in to)):
        if "@" not in value or any(c.isspace() or not c.isprintable() for c in value):
            raise InputError(f"{PREFIX}{name}: is no mail address; write name@host, several of TO with commas between.")
    port = server.port or (465 if encrypted else 587)
    user, password = given.get("SMTP_USER", ""), given.get("SMTP_PASSWORD", "")
    return Mail(server.hostname or "", port, encrypted, user, password, given["FROM"], to)


def _parts(name: str, address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - raises if it is no number
    except ValueError:
        raise InputError(f"{PREFIX}{name}: is no address; docs/operations.md has an example.") from None
    return parts


def _checked(name: str, address: str, schemes: set[str]) -> SplitResult:
    parts = _parts(name, address)
    if parts.scheme not in schemes or not parts.hostname:
        wanted = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
        raise InputError(f"{PREFIX}{name}: is no address that begins with {wanted}; docs/operations.md has an example.")
    if name == "SMTP" and (parts.username or parts.password):
        raise InputError(f"{PREFIX}SMTP: holds a user; give it in {PREFIX}SMTP_USER and {PREFIX}SMTP_PASSWORD.")
    return parts


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def send(subject: str, lines: Sequence[str], to: Addresses) -> None:
    """Send a message to every address. InputError says which of them could not be reached, after the others were tried."""
    shown = [one_line(line)[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"and {len(lines) - MOST_LINES} more")
    ways: list[tuple[str, Callable[[], None]]] = []
    if to.webhook is not None:
        address = to.webhook
        ways.append(("the chat", lambda: _post(address, one_line(subject), shown)))
    if to.mail is not None:
        mail = to.mail
        ways.append(("the mail server", lambda: _deliver(mail, one_line(subject), shown)))
    failed = []
    for name, way in ways:
        try:
            way()
        except InputError as error:
            failed.append(f"{name}: {error}")
    if failed:
        raise InputError(f"the message {one_line(subject)!r} was not sent to {'; '.join(failed)}")


def _post(address: str, subject: str, lines: Sequence[str]) -> None:
    import httpx2  # not when the definitions load

    text = "\n".join([f"*{subject.translate(_CHAT_MARKUP)}*", *(line.translate(_CHAT_MARKUP) for line in lines)])
    try:
        answer = httpx2.post(address, json={"text": text}, timeout=SECONDS, follow_redirects=False)
    except httpx2.HTTPError as error:  # its text may hold the address
        raise InputError(
            f"could not be reached ({type(error).__name__}); check {PREFIX}WEBHOOK and the network."
        ) from None
    if not answer.is_success:
        raise InputError(f"answered with {answer.status_code}; check {PREFIX}WEBHOOK.")


def _deliver(mail: Mail, subject: str, lines: Sequence[str]) -> None:
    message = EmailMessage()
    try:
        message["Subject"], message["From"], message["To"] = subject, mail.sender, ", ".join(mail.to)
        message.set_content("\n".join(lines) + "\n")
        secure = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(mail.host, mail.port, timeout=SECONDS, context=secure)
            if mail.encrypted
            else smtplib.SMTP(mail.host, mail.port, timeout=SECONDS)
        ) as server:
            if not mail.encrypted:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=secure)
                elif not _is_loopback(urlsplit(f"//{mail.host}")):
                    raise InputError(
                        f"offers no STARTTLS, so the message would be readable on its way; use smtps:// in {PREFIX}SMTP."
                    )
            if mail.user:
                server.login(mail.user, mail.password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException, MessageError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"did not take the mail ({type(error).__name__}); check {PREFIX}SMTP, its user and password."
        ) from None
