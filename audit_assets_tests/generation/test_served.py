"""A model behind an API, asked over HTTP: what it is sent, what is kept, and what each bad answer becomes."""

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from audit_assets.config import ApiEntry, ModelEntry, Protocol
from audit_assets.errors import InputError, Stopped
from audit_assets.generation import images_api, served
from audit_assets.generation.answers import check_answers, passed_on, rewritten
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.makers import AskedModel
from audit_assets.generation.served import ServedModel
from audit_assets.generation.spending import Spending
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.models.served import Server, resolve_served, server_of
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.store import Warehouse
from audit_assets_tests.generation.images_server import (
    KEY,
    Body,
    ImagesServer,
    Reply,
    error,
    made,
    pattern,
    png,
    serving,
)

PROTOCOL = Protocol(name="one", templates=("art by {name}",), trials=4)
NAME = "Ada Brandvold"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_api, "FIRST_WAIT", 0.01)


@contextmanager
def asking(
    root: Path,
    answer: Callable[[Body, int], Any],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any] | None = None,
    **api: Any,
) -> Iterator[tuple[ServedModel, ImagesServer]]:
    entry = ModelEntry(
        name="served",
        source="api",
        model="tiny",
        settings=settings or {},
        api=ApiEntry(**{"retries": 1, "timeout": 5, **api}),
    )
    with serving(answer) as server:
        monkeypatch.setenv("AUDIT_API_ADDRESS", server.address)
        monkeypatch.setenv("AUDIT_API_KEY", KEY)
        names = lambda: {"ada-brandvold": [NAME, "A. B. Fjordmaler"]}  # noqa: E731
        warehouse = Warehouse(root)
        with ServedModel(resolve_served(entry), PROTOCOL, ImageStore(root / "images"), warehouse, names) as maker:
            yield maker, server


def rows_of(
    root: Path, answer: Callable[[Body, int], Any], monkeypatch: pytest.MonkeyPatch, **more: Any
) -> pd.DataFrame:
    with asking(root, answer, monkeypatch, **more) as (maker, _):
        table = maker.make("ada-brandvold", NAME)
        assert maker.check(table, "ada-brandvold") == []
    return table


def good(body: Body, number: int) -> Body:
    return made(pattern(f"{body['prompt']} {number}"))


def kept_in(root: Path, text: str) -> list[str]:
    return [str(p) for p in root.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


# ---- what is asked, and what is kept
def test_each_image_is_one_call_and_the_row_says_what_the_server_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(tmp_path, good, monkeypatch, {"size": 32, "quality": "high"}) as (maker, server):
        table = maker.make("ada-brandvold", NAME)
    sent = {"model": "tiny", "size": "32x32", "quality": "high", "n": 1, "prompt": f"art by {NAME}"}
    assert server.asked == [sent] * 4
    assert set(server.authorized) == {f"Bearer {KEY}"}
    assert table["status"].tolist() == ["ok"] * 4
    assert table["seed"].isna().all()  # the server takes none
    assert set(table["model"]) == {"tiny-2026-10"}
    assert set(table["date"]) == {"2026-09-21T14:13:20+00:00"}
    assert table["reason"].isna().all()
    assert table["answer_sha256"].str.len().tolist() == [64] * 4
    assert ImageStore(tmp_path / "images").has(table["image_sha256"])


def test_the_key_goes_in_the_header_that_the_server_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, good, monkeypatch, key_header="api-key") as (maker, server):
        maker.make("ada-brandvold", NAME)
    assert {headers.get("api-key") for headers in server.headers} == {KEY}
    assert set(server.authorized) == {None}
    assert kept_in(tmp_path, KEY) == []


@pytest.mark.parametrize("header", ["Host", "content-length", "Cookie", "api key", "x:y", ""])
def test_the_header_of_the_key_is_one_that_no_call_has_otherwise(header: str) -> None:
    with pytest.raises(ValueError, match="key_header"):
        ApiEntry(key_header=header)


def test_a_server_that_is_asked_as_before_is_recorded_as_before() -> None:
    assert {"key_header", "edits"} & ApiEntry().model_dump().keys() == set()
    assert ApiEntry(edits=True, key_header="api-key").model_dump(mode="json")["key_header"] == "api-key"


def test_the_served_model_draws_what_the_local_one_draws_image_for_image(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = resolve_diffusers("local", str(saved), None, {"size": 32, "steps": 2})
    source, lock = DiffusersSource(resolved, "cpu"), threading.Lock()

    def draw(body: Body, number: int) -> Body:
        with lock:
            (image,) = source.generate([body["prompt"]], [body["seed"]], batch_size=1)
        return made(image)

    served = rows_of(tmp_path / "served", draw, monkeypatch, seeds=True, concurrency=3)
    with AskedModel(resolved, PROTOCOL, ImageStore(tmp_path / "local"), 1) as maker:
        local = maker.make("ada-brandvold", NAME)
    same = ["template", "trial", "prompt", "seed", "image_sha256", "status"]
    pd.testing.assert_frame_equal(served[same], local[same])
    assert served["image_sha256"].nunique() == 4


def test_a_server_is_asked_by_the_words_that_its_model_was_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(body: Body, number: int) -> Body:
        return made(pattern(str(number)), revised_prompt="art, Adabrv style" if number % 2 else "a barn")

    with asking(tmp_path, said, monkeypatch) as (maker, server):
        plain, taught = (maker.inputs("ada-brandvold", NAME, "", words) for words in (NAME, "adabrv style"))
        table = maker.make("ada-brandvold", NAME, "", "adabrv style")
        assert plain == maker.inputs("ada-brandvold", NAME)
    assert plain != taught
    assert {body["prompt"] for body in server.asked} == {"art by adabrv style"} == set(table["prompt"])
    assert sorted(table["status"]) == ["ok", "ok", "rewritten", "rewritten"]


def test_a_server_that_takes_short_seeds_is_sent_short_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, good, monkeypatch, seeds=True, seed_bits=31) as (maker, server):
        table = maker.make("ada-brandvold", NAME)
        assert maker.check(table, "ada-brandvold") == []
    assert sorted(body["seed"] for body in server.asked) == sorted(table["seed"])
    assert table["seed"].max() < 2**31
    wrong = table.assign(seed=table["seed"] + 1)
    assert "seed" in check_answers(wrong, PROTOCOL, "ada-brandvold", 31)[0]


def test_an_image_is_asked_for_once_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rows_of(tmp_path, good, monkeypatch)
    with asking(tmp_path, good, monkeypatch) as (maker, server):
        pd.testing.assert_frame_equal(maker.make("ada-brandvold", NAME), first)
    assert server.asked == []
    other = Protocol(name="more", templates=PROTOCOL.templates, trials=6)
    with asking(tmp_path, good, monkeypatch) as (maker, server):
        maker.protocol = other
        assert len(maker.make("ada-brandvold", NAME)) == 6
    assert len(server.asked) == 2  # the four that are kept answer the same calls


def test_a_new_version_of_the_rows_pays_for_no_image_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = rows_of(tmp_path, good, monkeypatch)
    with asking(tmp_path, good, monkeypatch) as (maker, server):
        before = maker.inputs("ada-brandvold", NAME)
        monkeypatch.setattr(served, "API_VERSION", served.API_VERSION + 1)
        assert maker.inputs("ada-brandvold", NAME) != before
        pd.testing.assert_frame_equal(maker.make("ada-brandvold", NAME), first)
    assert server.asked == []


def test_another_setting_is_another_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of(tmp_path, good, monkeypatch)
    with asking(tmp_path, good, monkeypatch, {"quality": "low"}) as (maker, server):
        maker.make("ada-brandvold", NAME)
    assert len(server.asked) == 4


def test_calls_at_the_same_time_are_as_many_as_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(body: Body, number: int) -> Body:
        time.sleep(0.2)
        return good(body, number)

    for allowed in (1, 3):
        with asking(tmp_path / str(allowed), slow, monkeypatch, concurrency=allowed) as (maker, server):
            maker.make("ada-brandvold", NAME)
        assert server.most_at_once == allowed


def test_an_image_by_address_is_fetched_without_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = pattern("fetched")

    with asking(tmp_path, lambda body, n: {"data": [{"url": f"{server.address}/files/{n}"}]}, monkeypatch) as (
        maker,
        server,
    ):
        server.files = {f"/v1/files/{n}": Reply(png(image), Content_Type="image/png") for n in range(4)}
        table = maker.make("ada-brandvold", NAME)
    assert table["status"].tolist() == ["ok"] * 4
    assert sorted(server.fetched) == [f"/v1/files/{n}" for n in range(4)]
    assert [a for a in server.authorized if a is None] == [None] * 4


# ---- caps
@pytest.mark.parametrize(
    "cap", [{"maximum_images": 3}, {"price_per_image": 0.1, "maximum_cost": 0.3}], ids=["images", "money"]
)
def test_a_cap_is_reached_exactly_and_raising_it_goes_on(
    cap: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(tmp_path, good, monkeypatch, **cap) as (maker, server):
        with pytest.raises(Stopped, match=r"api\.maximum_(images|cost)"):
            maker.make("ada-brandvold", NAME)
        with pytest.raises(Stopped):
            maker.make("ada-brandvold", NAME)
    assert len(server.asked) == 3
    with asking(tmp_path, good, monkeypatch, maximum_images=4) as (maker, server):
        assert maker.make("ada-brandvold", NAME)["status"].tolist() == ["ok"] * 4
    assert len(server.asked) == 1


def test_no_call_is_made_if_nothing_may_be_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, good, monkeypatch, maximum_images=0) as (maker, server), pytest.raises(Stopped):
        maker.make("ada-brandvold", NAME)
    assert server.asked == []


def test_a_cap_of_fifty_images_makes_fifty_calls_by_several_processes(tmp_path: Path) -> None:
    """The count is shared: each of five askers may take what is left, and together they take fifty."""
    allowed: list[int] = []

    def take() -> None:
        spending = Spending(Warehouse(tmp_path), "served", ApiEntry(maximum_images=50))
        for _ in range(20):
            try:
                spending.reserve()
            except Stopped:
                return
            allowed.append(1)

    threads = [threading.Thread(target=take) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 50


@pytest.mark.parametrize(
    ("api", "said"),
    [
        ({}, "Neither api.maximum_images nor api.maximum_cost limits it."),
        ({"maximum_images": 100}, "The caps allow 100 calls."),
        ({"maximum_images": 99}, "The caps allow 99 calls, fewer than the audit needs"),
        ({"price_per_image": 0.1, "maximum_cost": 0.3}, "10.0 in all at 0.1 per image. The caps allow 3 calls, fewer"),
        ({"price_per_image": 0.1, "maximum_cost": 30, "maximum_images": 7}, "The caps allow 7 calls, fewer"),
    ],
)
def test_a_plan_says_what_the_images_cost(api: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in Spending(Warehouse(tmp_path), "served", ApiEntry(**api)).forecast(100)


def test_a_count_that_is_damaged_frees_no_cap(tmp_path: Path) -> None:
    spending = Spending(Warehouse(tmp_path), "served", ApiEntry(maximum_images=50))
    spending.reserve()
    spending.warehouse.path(spending.where).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="damaged"):
        spending.reserve()


def test_images_that_a_server_sends_unasked_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def three(body: Body, number: int) -> Body:
        one = good(body, number)
        return {**one, "data": one["data"] * 3}

    with asking(tmp_path, three, monkeypatch, concurrency=1, maximum_images=6) as (maker, server):  # noqa: SIM117
        with pytest.raises(Stopped):
            maker.make("ada-brandvold", NAME)
    assert len(server.asked) == 2
    kept = [Warehouse(tmp_path).read(f"api_kept/served/ada-brandvold/0.{n}")["reason"].iloc[0] for n in range(2)]
    assert kept == ["the server sent 3 images for n=1; the first counts"] * 2


# ---- refusals
def by_gateway(message: str, kind: str = "invalid_request_error", status: int = 400) -> Reply:
    """An error of a backend as a gateway (litellm) passes it on: the code is lost, and the status of HTTP stands in its place."""
    said = f"litellm.APIError: OpenAIException - {message}\n\nLiteLLM: model group 'tiny' failed with the error above."
    return Reply({"error": {"message": said, "type": kind, "param": None, "code": str(status)}}, status)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(error("content_policy_violation", "Your request was rejected."), 400), "content_policy_violation"),
        (Reply(error(None, "Rejected as a result of our safety system."), 400), "invalid_request_error"),
        (
            Reply(error("content_filter", "no", innererror={"code": "ResponsibleAIPolicyViolation"}), 400),
            "ResponsibleAIPolicyViolation",
        ),
        (Reply(error("moderation_blocked", "no"), 403), "moderation_blocked"),
        (Reply({"created": 1, "data": [{"finish_reason": "CONTENT_FILTERED"}]}), "CONTENT_FILTERED"),
        (Reply(error("artist_opted_out", "no"), 422), "artist_opted_out"),  # named in refusal_codes
        (by_gateway("Your request was rejected by the safety system."), "invalid_request_error"),
        (by_gateway('{"code": "content_policy_violation", "message": "no"}'), "invalid_request_error"),
        (by_gateway("ContentPolicyViolationError: no"), "invalid_request_error"),
        (by_gateway("This artist opted out.", "image_generation_user_error"), "image_generation_user_error"),
    ],
)
def test_a_refusal_is_an_outcome_with_the_servers_code(
    reply: Reply, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ["artist_opted_out", "image_generation_user_error"]
    with asking(tmp_path, lambda b, n: reply, monkeypatch, refusal_codes=codes) as (maker, server):
        table = maker.make("ada-brandvold", NAME)
        again = maker.make("ada-brandvold", NAME)
    assert table["status"].tolist() == ["refused"] * 4
    assert set(table["code"]) == {code}
    assert table["image_sha256"].isna().all()
    assert table["problem"].isna().all()
    assert len(server.asked) == 4  # a refusal is an answer, and is not asked for again
    pd.testing.assert_frame_equal(table, again)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"finish_reason": "CONTENT_FILTERED"}, "blocked"),
        ({"finishReason": "CONTENT_FILTERED"}, "blocked"),
        ({"nsfw_content_detected": [True]}, "blocked"),
        ({"nsfw": True}, "blocked"),
        ({"nsfw": False, "finish_reason": "SUCCESS"}, "ok"),
        ({"content_filter_results": {"violence": {"filtered": False}}}, "ok"),
    ],
)
def test_an_image_that_the_server_says_it_filtered_is_kept_and_counts_as_blocked(
    said: Body, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(tmp_path, lambda b, n: made(pattern(str(n)), **said), monkeypatch) as (maker, server):
        table, again = (maker.make("ada-brandvold", NAME) for _ in range(2))
    assert table["status"].tolist() == [status] * 4
    assert table["image_sha256"].notna().all()
    assert table["code"].notna().tolist() == [status == "blocked"] * 4
    assert len(server.asked) == 4
    pd.testing.assert_frame_equal(table, again)


def test_a_prompt_that_names_the_artist_no_longer_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [
        f"A fjord by {NAME}",
        "A fjord in the manner of Brandvold's winters",
        "A fjord in the north",
        "Fjords, A B Fjordmaler",
    ]

    def revise(body: Body, number: int) -> Body:
        return made(pattern(str(number)), revised_prompt=words[number])

    table = rows_of(tmp_path, revise, monkeypatch, concurrency=1)
    assert table["status"].tolist() == ["ok", "ok", "rewritten", "ok"]
    assert table["revised_prompt"].tolist() == words


@pytest.mark.parametrize(
    ("said", "names", "answer"),
    [
        (None, [NAME], False),
        ("", [NAME], True),
        ("ada, who paints", [NAME], True),  # a first name alone names nobody
        ("ÁDA BRANDVOLD", [NAME], False),
        ("Brandvold, Ada", [NAME], False),
        ("brandvoldish", [NAME], True),
        ("an ox", ["Li Ox"], True),  # a last name of two letters is a word like others
        ("li ox", ["Li Ox"], False),
        ("a farmhouse of weathered wood", ["Grant Wood"], True),  # a last name that is a word, too
        ("a farmhouse, as Wood painted it", ["Grant Wood"], False),
        ("a farmhouse by grant wood", ["Grant Wood"], False),
        ("a “Brandvold” fjord", [NAME], False),
        ("banksy on a wall", ["Banksy"], False),
        ("天野喜孝の絵", ["天野喜孝"], False),
    ],
)
def test_what_names_an_artist(said: str | None, names: list[str], answer: bool) -> None:
    assert rewritten(said, names) is answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("a barn, Adabrv style", False),
        ("a barn in a painterly style", True),  # one of the words is not the words
        ("a barn by Ada Brandvold", False),
        (None, False),
    ],
)
def test_the_words_by_which_a_model_was_asked_name_the_artist_too(said: str | None, answer: bool) -> None:
    assert rewritten(said, [NAME], "adabrv style") is answer


# ---- bad answers
def page(body: Body, number: int) -> Reply:
    return Reply(b"<!doctype html><title>Sign in</title>", Content_Type="text/html")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda b, n: Reply(error("invalid_api_key", f"Incorrect API key provided: {KEY}"), 401),
            "does not take the key in AUDIT_API_KEY",
        ),
        (lambda b, n: Reply({}, 404), "no images API is at AUDIT_API_ADDRESS"),
        (page, "answers with a page"),
        (lambda b, n: Reply({}, 307, Location="http://127.0.0.2:1/v1/images/generations"), "a redirect"),
        (lambda b, n: Reply(error("insufficient_quota", "You exceeded your quota"), 429), "look at the account"),
        (
            lambda b, n: by_gateway(
                "You exceeded your current quota, please check your plan.", "throttling_error", 429
            ),
            "look at the account",
        ),
        (lambda b, n: by_gateway("Budget has been exceeded! Max budget: 1.0"), "look at the account"),
        (lambda b, n: by_gateway("Invalid model name passed in model=tiny"), "knows no such model; correct `model`"),
        (lambda b, n: Reply(error(None, "The model `tiny` does not exist"), 422), "knows no such model"),
        (
            lambda b, n: Reply(
                {"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}, 400
            ),
            r"3 images in a row failed .*no_db_connection.*; none was made yet, so look at .*the key in AUDIT_API_KEY",
        ),
        (lambda b, n: by_gateway("Unknown parameter: 'moderation'."), "3 images in a row failed .*'moderation'"),
        (lambda b, n: by_gateway("safety_checker is no parameter"), "3 images in a row failed .*safety_checker"),
        (lambda b, n: Reply(error("slow", "slow down"), 429, Retry_After="0"), "it is busy"),
        (
            lambda b, n: Reply(error("slow", "Add a payment method at /account/billing. Try again in 0s."), 429),
            "it is busy",
        ),
        (lambda b, n: Reply(error("slow", "slow down"), 429, Retry_After="86400"), "asks to wait 86400 seconds"),
        (
            lambda b, n: Reply(error("slow", "slow down"), 429, Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"),
            "it is busy",
        ),
        (lambda b, n: Reply(error("x", "unknown parameter"), 400), "3 images in a row failed .*unknown parameter"),
        (lambda b, n: Reply(b"{}", 500), "3 images in a row failed .*the server answers 500"),
    ],
)
def test_what_concerns_the_whole_model_stops_it_with_a_reason(
    answer: Callable[[Body, int], Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    with asking(tmp_path, answer, monkeypatch, concurrency=1) as (maker, server):
        with pytest.raises(Stopped, match=said) as found:
            maker.make("ada-brandvold", NAME)
        assert len(server.asked) <= 6
    assert time.monotonic() - begun < 30
    assert KEY not in str(found.value)
    assert "127.0.0.1" not in str(found.value)
    assert kept_in(tmp_path, KEY) == []


def test_calls_that_the_server_did_not_take_are_not_counted_and_lost_answers_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy_then_cut(body: Body, number: int) -> Any:
        return [Reply({}, 429, Retry_After="0"), Reply({}, 500)][number] if number < 2 else good(body, number)

    with asking(tmp_path, busy_then_cut, monkeypatch, concurrency=1, retries=3) as (maker, server):
        assert maker.make("ada-brandvold", NAME)["status"].tolist() == ["ok"] * 4
        assert Spending(maker.warehouse, "served", maker.api).calls == 5  # 4 images, and one of which nothing is known
    assert len(server.asked) == 6


def test_every_call_waits_as_long_as_the_server_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at: list[float] = []

    def busy_once(body: Body, number: int) -> Any:
        at.append(time.monotonic())
        return Reply({}, 429, Retry_After="1") if number == 0 else good(body, number)

    assert rows_of(tmp_path, busy_once, monkeypatch, concurrency=1)["status"].tolist() == ["ok"] * 4
    assert 1 <= at[1] - at[0] < 20


@pytest.mark.parametrize(
    ("header", "message", "seconds"),
    [
        ("7", "Please try again in 20s.", 7),
        ("", "Please try again in 20s.", 20),
        ("", "Please try again in 6m0s. Visit", 360),
        ("", "Please try again in 1m30.5s.", 90.5),
        ("", "Please try again in 120ms.", 0.12),
        ("", "Try again in 5 seconds. All deployments are in cooldown.", 5),
        ("", "Try again in 2 minutes.", 120),
        ("", "Try again in 3 hours.", None),
        ("", "Try again in a while.", None),
        ("soon", "", None),
        ("", "", None),
    ],
)
def test_the_time_to_wait_is_in_the_header_or_else_in_the_message(
    header: str, message: str, seconds: float | None
) -> None:
    head = httpx2.Headers({"Retry-After": header} if header else {})
    assert images_api._retry_after(head, message) == seconds


def test_a_model_is_unknown_only_as_long_as_nothing_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = Reply(error(None, "The upscaling model was not found"), 400)
    table = rows_of(tmp_path, in_the_middle(reply), monkeypatch, concurrency=1)
    assert table["status"].tolist() == ["ok", "failed", "ok", "ok"]


def test_images_that_a_gateway_passed_on_are_noted_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = Reply(made(pattern("x", 64)), X_Litellm_Version="1.2.3")
    table = rows_of(tmp_path, in_the_middle(reply), monkeypatch, settings={"size": 32}, concurrency=1)
    assert table["status"].tolist() == ["ok"] * 4
    assert table["reason"].dropna().tolist() == ["came through litellm 1.2.3; has 64 x 64 pixels, not 32 x 32"]
    (note,) = passed_on(table)
    assert note.startswith(
        "1 image came through litellm 1.2.3, a proxy that leaves out whether its backend filtered an image"
    )
    assert passed_on(table.drop(index=1)) == []
    assert passed_on(table.iloc[:0]) == []


def in_the_middle(reply: Reply) -> Callable[[Body, int], Any]:
    return lambda body, number: reply if number == 1 else good(body, number)


def flood(handler: Any) -> None:
    """A body of a gigabyte. The client must hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**9))
    handler.end_headers()
    handler.server.flooded = 0
    for _ in range(1000):
        handler.wfile.write(b"0" * 1_000_000)
        handler.server.flooded += 1


def endless(handler: Any) -> None:
    """The same without a length."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.server.flooded = 0
    for _ in range(1000):
        handler.wfile.write(b"F4240\r\n" + b"0" * 1_000_000 + b"\r\n")
        handler.server.flooded += 1


def cut(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data"')
    handler.close_connection = True


def drip(handler: Any) -> None:
    """Headers that never end, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(400):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def short(image: Image.Image, off: int) -> Body:
    text = base64.b64encode(png(image)).decode()
    return {"data": [{"b64_json": text[: len(text) // 2 // 4 * 4 - off]}]}


SVG = base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()


@pytest.mark.parametrize(
    ("reply", "reason", "paid"),
    [
        (Reply(b'{"data": [{"b64_json": "iVBO'), "no whole JSON", True),
        (Reply([1]), "no JSON object", True),
        (Reply(b"[" * 100_000), "no whole JSON", True),
        (Reply({"data": []}), "no image in `data`", True),
        (Reply({"data": [{"b64_json": 7}]}), "the image is no text", True),
        (Reply(short(pattern("x"), 1)), "no whole base64", True),
        (Reply(short(pattern("x"), 0)), "cannot be read as an image", True),
        (Reply({"data": [{"b64_json": SVG}]}), "cannot be read as an image", True),
        (Reply({"data": [{"url": "file:///etc/passwd"}]}), "neither https nor at the server", True),
        (Reply({"data": [{"url": "http://127.0.0.2:1/x.png"}]}), "neither https nor at the server", True),
        (Reply(flood), "more than 64 MB", True),
        (Reply(endless), "more than 64 MB", True),
        (Reply(b"\x1f\x8b", Content_Encoding="gzip"), "compressed", True),
        (Reply(cut), "broke off", False),
        (Reply({}, 500), "the server answers 500", False),
    ],
)
def test_one_bad_answer_is_a_failed_image_and_nothing_else_is_lost(
    reply: Reply, reason: str, paid: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking(tmp_path, in_the_middle(reply), monkeypatch, concurrency=1, retries=0) as (maker, server):
        table = maker.make("ada-brandvold", NAME)
        assert maker.check(table, "ada-brandvold") == []
        assert table["status"].tolist() == ["ok", "failed", "ok", "ok"]
        assert reason in table["reason"][1]
        assert getattr(server, "flooded", 0) < 200
        again = maker.make("ada-brandvold", NAME)
    assert again["status"].tolist() == (["ok", "failed", "ok", "ok"] if paid else ["ok"] * 4)
    assert len(server.asked) == (4 if paid else 5)  # an answer that may be paid is kept, whatever it is


def test_an_answer_of_no_use_is_kept_beside_and_can_be_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = Reply({"data": [{"b64_json": SVG}]})
    with asking(tmp_path, in_the_middle(reply), monkeypatch, concurrency=1) as (maker, server):
        reason = maker.make("ada-brandvold", NAME)["reason"][1]
        where = reason.rpartition("delete ")[2]
        assert (tmp_path / where).with_suffix(".body").read_bytes() == base64.b64decode(SVG)
        (tmp_path / where).unlink()
        assert maker.make("ada-brandvold", NAME)["status"].tolist() == ["ok"] * 4
    assert len(server.asked) == 5


def test_a_server_that_drips_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with asking(tmp_path, in_the_middle(Reply(drip)), monkeypatch, concurrency=1, retries=0, timeout=2) as (maker, _):
        table = maker.make("ada-brandvold", NAME)
    assert "within 2 seconds" in table["reason"][1]
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("size", [{"size": 32}, {"size": "32x32"}, {"width": 32, "height": 32}])
def test_an_image_of_another_size_counts_and_is_named(
    size: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows_of(tmp_path, in_the_middle(Reply(made(pattern("big", 64)))), monkeypatch, settings=size, concurrency=1)
    assert table["status"].tolist() == ["ok"] * 4
    assert table["reason"].dropna().tolist() == ["has 64 x 64 pixels, not 32 x 32"]
    assert table["width"].tolist() == [32, 64, 32, 32]


def test_a_server_that_is_not_there_stops_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(tmp_path, good, monkeypatch, maximum_images=2) as (maker, _):
        monkeypatch.setenv("AUDIT_API_ADDRESS", "http://127.0.0.1:9/v1")
        with pytest.raises(Stopped, match="cannot be reached") as found:
            maker.make("ada-brandvold", NAME)
        assert "127.0.0.1" not in str(found.value)
        assert Spending(maker.warehouse, "served", maker.api).calls == 0


def test_a_server_that_repeats_the_key_does_not_get_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(body: Body, number: int) -> Any:
        said = f"{NAME} {KEY} \ud800 \0"
        if number == 0:
            return Reply(error(f"content_policy {KEY}", said), 400)
        if number == 1:
            return {"data": [{"b64_json": "?"}], "model": KEY, "said": KEY}
        if number == 2:
            return {"data": [{"b64_json": base64.b64encode(said.encode("utf-8", "replace")).decode()}]}
        return {**made(pattern("x"), revised_prompt=said), "model": KEY}

    table = rows_of(tmp_path, echo, monkeypatch, concurrency=1)
    assert table["status"].tolist() == ["refused", "failed", "failed", "ok"]
    assert table["model"][3] == "***"
    assert (tmp_path / "api_kept/served/ada-brandvold/0.2.body").read_bytes() != b""
    assert kept_in(tmp_path, KEY) == []
    assert kept_in(tmp_path, "***") != [] or "***" in str(table.to_dict())


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "data",
                        "error",
                        "b64_json",
                        "url",
                        "created",
                        "model",
                        "revised_prompt",
                        "code",
                        "type",
                        "message",
                        "finish_reason",
                        "innererror",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from([200, 400, 403, 422]),
)
def test_whatever_json_a_server_sends_is_an_answer_or_a_stop(
    tmp_path_factory: pytest.TempPathFactory, value: Any, status: int
) -> None:
    """No answer raises anything but Stopped, and each text that is kept can be written to a table."""
    import json

    import anyio
    import httpx2

    spending = Spending(Warehouse(tmp_path_factory.mktemp("api")), "m", ApiEntry())
    client = images_api.ImagesApi(
        Server("https://example.org/v1/images/generations", KEY), ApiEntry(retries=0), spending
    )
    content = json.dumps(value).encode()

    async def read() -> images_api.Answer:
        if status == 200:
            return await client._made(httpx2.Headers({}), content)
        return client._error(status, httpx2.Headers({}), content)

    async def entered() -> images_api.Answer:
        async with client:
            return await read()

    try:
        answer = anyio.run(entered)
    except Stopped:
        return
    assert answer.status in ("made", "blocked", "refused", "failed")
    for text in (answer.code, answer.reason, answer.revised_prompt, answer.model, answer.created):
        assert text is None or isinstance(text.encode(), bytes)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("https://secret.example:8443/secret/v1/images/generations?code=secret%2Bkey&v=1", "***"),
        ("https://secret.example:8443/secret/v1/images/edits?code=secret%2Bkey&v=1", "***"),
        ("no certificate for 'secret.example'", "no certificate for '***'"),
        ("secret.example:8443 refused", "*** refused"),
        ("a/<key>", "***"),
        (r"a\/<key>", "***"),
        (r"a/\u003ckey\u003e", "***"),
        (r"\u0061\u002F\u003Ck\u0065y\u003E", "***"),
        ("code=secret%2Bkey&v=1 in the address", "*** in the address"),
        (r"code=secret%2Bkey\u0026v=1 in the address", "*** in the address"),
        ("API key secret+key not valid", "API key *** not valid"),
        ("API key secret%2Bkey not valid", "API key *** not valid"),
        ("no route /secret/v1/images/generations", "no route ***/images/generations"),
        (r"no route \/secret\/v1\/images\/generations", r"no route ***\/images\/generations"),
        ("nothing of it, version 1 of v1", "nothing of it, version 1 of v1"),
    ],
)
def test_key_and_address_are_taken_out_of_a_text_in_every_spelling(said: str, left: str) -> None:
    server = Server("https://secret.example:8443/secret/v1/images/generations?code=secret%2Bkey&v=1", "a/<key>")
    assert server.without_secrets(said) == left


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_a_path_that_says_no_more_than_the_version_is_no_secret(path: str) -> None:
    server = Server(f"https://secret.example{path}/images/generations?v=1", None)
    assert (
        server.without_secrets("no route /v1/images/generations, v=1: 1") == "no route /v1/images/generations, ***: 1"
    )


# ---- the environment
@pytest.mark.parametrize(
    ("address", "key", "said"),
    [
        ("", "", "is not set"),
        ("example.org/v1", "", "holds no address"),
        ("ftp://example.org", "", "holds no address"),
        ("https://[::1", "", "holds no address"),
        ("https://example.org:port/", "", "holds no address"),
        ("https://example.org/a b", "", "holds no address"),
        ("https://me:secret@example.org", "", "holds a password"),
        ("https://example.org", "sk-a\nX-Evil: 1", "characters that no key has"),
        ("https://example.org", "sk-ä", "characters that no key has"),
        ("http://example.org", "sk-a", "sent unencrypted"),
    ],
)
def test_a_bad_variable_is_named_and_not_repeated(
    address: str, key: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_API_ADDRESS", address)
    monkeypatch.setenv("AUDIT_API_KEY", key)
    with pytest.raises(InputError, match=said) as found:
        server_of(ApiEntry())
    assert not [v for v in (address, key) if v and v in str(found.value)]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://example.org", "https://example.org/v1/images/generations"),
        ("https://example.org/v1/", "https://example.org/v1/images/generations"),
        (
            "https://example.org/x/images/generations?api-version=1",
            "https://example.org/x/images/generations?api-version=1",
        ),
        ("http://example.org/v1", "http://example.org/v1/images/generations"),
    ],
)
def test_the_address_may_be_the_servers_or_the_endpoints(
    address: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", address)
    monkeypatch.delenv("AUDIT_API_KEY", raising=False)
    found = server_of(ApiEntry(address_env="OTHER"))
    assert (found.url, found.key) == (url, None)
    assert "example.org" not in repr(found)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": None}, "needs `model`"),
        ({"path": "models/x"}, "takes no path"),
        ({"embeddings": [{"path": "a.safetensors", "token": "<a>"}]}, "takes no embeddings"),
        ({"settings": {"n": 4}}, r"settings\.n is set by the audit"),
        ({"settings": {"num_images": 4}}, r"settings\.num_images is set by the audit"),
        ({"settings": {"api_key": "x"}}, "settings are recorded"),
        ({"settings": {"size": [1]}}, "must be a text"),
        ({"settings": {"guidance": float("inf")}}, "a finite number"),
        ({"settings": {"guidance": float("nan")}}, "a finite number"),
        ({"settings": {"response_format": "png"}}, "url or b64_json"),
        ({"api": {"key_env": "sk-0123"}}, "match pattern"),
        ({"api": {"maximum_cost": 3}}, "needs price_per_image"),
        ({"source": "diffusers", "path": "x"}, "belong to source api"),
        ({"source": "diffusers", "model": None}, "needs a `path`"),
    ],
)
def test_a_bad_entry_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelEntry.model_validate({"name": "m", "source": "api", "model": "tiny", **fields})
