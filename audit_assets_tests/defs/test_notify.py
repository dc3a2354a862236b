"""Messages to a chat and by mail, taken by receivers on loopback. Addresses and secrets come from the environment, and no error shows them."""

from email import message_from_string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_assets.defs.notify import MOST_LINES, Addresses, addresses, send
from audit_assets.errors import InputError
from audit_assets_tests.processes import free_port
from audit_assets_tests.receivers import chat, mail_server

BETWEEN = {"AUDIT_ALERT_FROM": "audit@example.org", "AUDIT_ALERT_TO": "ada@example.org, bo@example.org"}


def test_a_message_goes_to_the_chat_and_to_every_mail_address() -> None:
    with chat() as (hook, texts), mail_server() as (server, mails):
        send(
            "a run failed",
            ["assets: verdicts"],
            addresses({"AUDIT_ALERT_WEBHOOK": hook, "AUDIT_ALERT_SMTP": server, **BETWEEN}),
        )
    assert texts == ["*a run failed*\nassets: verdicts"]
    mail = message_from_string(mails[0])
    assert (mail["Subject"], mail["To"]) == ("a run failed", "ada@example.org, bo@example.org")
    assert str(mail.get_payload()).strip() == "assets: verdicts"


def test_without_an_address_nothing_is_sent() -> None:
    assert not addresses({})
    assert not addresses({"AUDIT_ALERT_WEBHOOK": " "})
    assert addresses({}) == Addresses(None, None)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AUDIT_ALERT_WEBHOK": "https://hooks.example/T0/secret"}, "AUDIT_ALERT_WEBHOK: is not a variable"),
        ({"AUDIT_ALERT_WEBHOOK": "http://hooks.example/T0/secret"}, "AUDIT_ALERT_WEBHOOK: is no address that begins with https"),
        ({"AUDIT_ALERT_WEBHOOK": "hooks.example/T0/secret"}, "AUDIT_ALERT_WEBHOOK"),
        ({"AUDIT_ALERT_WEBHOOK": "https://hooks.example:port/secret"}, "AUDIT_ALERT_WEBHOOK"),
        ({"AUDIT_ALERT_SMTP": "smtps://mail.example"}, "AUDIT_ALERT_FROM: is missing"),
        (BETWEEN, "AUDIT_ALERT_SMTP: is missing"),
        ({"AUDIT_ALERT_SMTP": "smtps://user:secret@mail.example", **BETWEEN}, "AUDIT_ALERT_SMTP: holds a user"),
        ({"AUDIT_ALERT_SMTP": "smtps://mail.example", "AUDIT_ALERT_SMTP_PASSWORD": "secret", **BETWEEN}, "set both or none"),
        ({"AUDIT_ALERT_SMTP": "https://mail.example", **BETWEEN}, "begins with smtp:// or smtps://"),
        ({"AUDIT_ALERT_SMTP": "smtps://mail.example", **BETWEEN, "AUDIT_ALERT_TO": "ada"}, "AUDIT_ALERT_TO: is no mail address"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as raised:
        addresses(variables)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_receiver_that_is_gone_or_refuses_is_told_without_its_address_and_the_other_gets_the_message() -> None:
    gone = f"http://127.0.0.1:{free_port()}/hook/secret-of-the-hook"
    with mail_server() as (server, mails), pytest.raises(InputError) as raised:
        send("x", ["y"], addresses({"AUDIT_ALERT_WEBHOOK": gone, "AUDIT_ALERT_SMTP": server, **BETWEEN}))
    assert len(mails) == 1
    assert "the chat: could not be reached" in str(raised.value)
    with chat(status=403) as (hook, _), pytest.raises(InputError, match="answered with 403") as refused:
        send("x", ["y"], addresses({"AUDIT_ALERT_WEBHOOK": hook}))
    assert "secret" not in f"{raised.value}{refused.value}"


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=3))
def test_whatever_a_name_holds_makes_no_header_line_or_markup_of_its_own(subject: str, lines: list[str]) -> None:
    with chat() as (hook, texts), mail_server() as (server, mails):
        send(f"a {subject}", lines, addresses({"AUDIT_ALERT_WEBHOOK": hook, "AUDIT_ALERT_SMTP": server, **BETWEEN}))
    assert texts[0].count("\n") == len(lines)
    assert "<" not in texts[0]
    assert set(message_from_string(mails[0]).keys()) <= {
        "Subject", "From", "To", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"
    }  # fmt: skip


def test_a_long_message_says_how_much_it_leaves_out() -> None:
    with chat() as (hook, texts):
        send("x", [str(n) for n in range(100)], addresses({"AUDIT_ALERT_WEBHOOK": hook}))
    assert texts[0].endswith(f"and {100 - MOST_LINES} more")
