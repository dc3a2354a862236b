"""Names that a tokenizer cuts short: which words are lost, and that nobody is asked for half a name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit_assets.config import Protocol
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.imitate import check_imitations, imitations
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.models.tokenizers import lost_words
from audit_assets.warehouse.images import ImageStore
from audit_assets_tests.generation import tiny_pipelines

LONG = "anna maria luisa de medici of florence and her younger brother gian gastone the last grand duke of tuscany"
"""A name of 104 letters; the tiny tokenizers have one token a letter."""


@pytest.mark.parametrize(
    "tokenizer", [tiny_pipelines.clip_tokenizer(), tiny_pipelines.t5_tokenizer()], ids=["clip", "t5"]
)
def test_the_words_that_are_cut_or_dropped_are_named(tokenizer: object) -> None:
    assert lost_words(tokenizer, "art by anna maria", 77) == []
    for length in range(8, 60):
        prompt = f"art by {LONG}"
        lost = lost_words(tokenizer, prompt, length)
        kept = tokenizer.decode(  # type: ignore[attr-defined]
            tokenizer(prompt, truncation=True, max_length=length)["input_ids"],  # type: ignore[operator]
            skip_special_tokens=True,
        )
        whole = prompt[: -len(" ".join(lost))].split()
        assert prompt.endswith(" ".join(lost))
        assert "".join(kept.split()).startswith("".join(whole))
        assert not "".join(kept.split()).startswith("".join([*whole, lost[0]]))


def test_a_prompt_of_exactly_the_length_is_whole() -> None:
    tokenizer = tiny_pipelines.clip_tokenizer()
    length = len(tokenizer("art by klee")["input_ids"])
    assert lost_words(tokenizer, "art by klee", length) == []
    assert lost_words(tokenizer, "art by klee", length - 1) == ["klee"]


@pytest.mark.parametrize(
    ("family", "settings", "reads_all"),
    [
        ("stable_diffusion", {}, False),
        ("stable_diffusion_xl", {}, False),
        ("stable_diffusion_3", {}, False),
        ("flux", {}, False),
        ("pixart_sigma", {}, True),
        ("pixart_sigma", {"max_sequence_length": 60}, False),
    ],
)
def test_every_tokenizer_of_a_pipeline_must_read_the_whole_name(
    tmp_path: Path, family: str, settings: dict[str, int], reads_all: bool
) -> None:
    model = resolve_diffusers("tiny", str(tiny_pipelines.save(family, tmp_path)), None, {"size": 64, **settings})
    lost = DiffusersSource(model, "cpu").lost_words(f"art by {LONG}")
    assert (lost == []) is reads_all
    if lost:
        assert lost[-1] == "tuscany"


def test_a_name_that_is_cut_short_is_not_asked_for_and_its_rows_say_which_words_were_lost(
    saved: Path, tmp_path: Path
) -> None:
    source = DiffusersSource(resolve_diffusers("tiny", str(saved), None, {"size": 64, "steps": 1}), "cpu")
    source.pipeline = None  # whatever draws would fail
    protocol = Protocol(name="p", templates=("art by {name}",), trials=2)
    with ThreadPoolExecutor(1) as writer:
        rows = imitations(
            source,
            protocol,
            model_version="tiny",
            subject="anna",
            name=LONG,
            batch_size=2,
            store=ImageStore(tmp_path),
            writer=writer,
        )
    assert set(rows["status"]) == {"not_supplied"}
    assert rows["image_sha256"].isna().all()
    assert "it loses 'grand duke of tuscany'" in rows["problem"][0]
    assert check_imitations(rows, protocol, "anna") == []


def test_a_prompt_that_is_cut_short_does_not_take_the_others_with_it(saved: Path, tmp_path: Path) -> None:
    """A description of a style is often longer than a name: the name is asked for all the same."""
    source = DiffusersSource(resolve_diffusers("tiny", str(saved), None, {"size": 32, "steps": 1}), "cpu")
    protocol = Protocol(name="p", templates=("art by {name}",), trials=2, indirect=True)
    with ThreadPoolExecutor(1) as writer:
        rows = imitations(
            source,
            protocol,
            model_version="tiny",
            subject="anna",
            name="anna",
            indirect=LONG,
            batch_size=2,
            store=ImageStore(tmp_path),
            writer=writer,
        )
    assert rows["template"].tolist() == [-1, -1, 0, 0]
    assert rows["status"].tolist() == ["not_supplied", "not_supplied", "ok", "ok"]
    assert rows["problem"].notna().tolist() == [True, True, False, False]
    assert check_imitations(rows, protocol, "anna") == []
