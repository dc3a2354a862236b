"""Names that a tokenizer cuts short: which words are lost, and that nobody is asked for half a name."""

import json
import os
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import transformers

from audit_assets.config import Protocol
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.generation.imitate import check_imitations, cut_short, imitations
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets.models.tokenizers import lost_words, unread_words
from audit_assets.warehouse.images import ImageStore
from audit_assets_tests.generation import tiny_pipelines
from audit_assets_tests.generation.tiny_classes import CLASSES, bytes_tokenizer, kandinsky22

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


@pytest.mark.parametrize(
    ("family", "name", "lost"),
    [
        ("pixart_sigma", "Ada Brand", []),
        ("pixart_sigma", "天野喜孝", ["天野喜孝"]),
        ("pixart_sigma", "Ünal Celik", ["Ünal"]),
    ],
)
def test_a_name_in_letters_that_no_tokenizer_of_the_model_knows_is_not_asked_for(
    tmp_path: Path, family: str, name: str, lost: list[str]
) -> None:
    """T5 has one token for all that it does not know: the model would be asked for the same nobody under every such name."""
    source = DiffusersSource(
        resolve_diffusers("tiny", str(tiny_pipelines.save(family, tmp_path)), None, {"size": 64, "steps": 1}), "cpu"
    )
    assert source.lost_words(f"art by {name}") == lost
    assert (cut_short(source, f"art by {name}") is None) == (lost == [])


def test_the_tokenizer_of_a_stage_before_must_read_the_whole_name(tmp_path: Path) -> None:
    """Kandinsky reads the prompt in its prior alone."""
    kandinsky22().save_pretrained(tmp_path)
    model = resolve_diffusers("tiny", str(tmp_path), None, {"size": 64, "steps": 1})
    assert model.text_encoder_families == ("clip_text_model-32",)
    source = DiffusersSource(model, "cpu")
    assert source.lost_words("art by anna maria") == []
    assert source.lost_words(f"art by {LONG}")[-1] == "tuscany"
    (tmp_path / "prior_tokenizer/tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"prior_tokenizer/\w+\.json: is missing"):
        DiffusersSource(model, "cpu")


@pytest.mark.parametrize(
    "pipeline",
    ["ZImagePipeline", *(pytest.param(n, marks=pytest.mark.long) for n in ("Lumina2Pipeline", "Flux2KleinPipeline"))],
)
def test_what_a_pipeline_writes_before_the_prompt_takes_room_from_it(pipeline: str, tmp_path: Path) -> None:
    """What is said to be lost changes no image, and what is said to be read does."""
    CLASSES[pipeline]().save_pretrained(tmp_path)
    settings = {"size": 64, "steps": 1, "guidance": 2.0, "max_sequence_length": 200}
    plain = DiffusersSource(resolve_diffusers("tiny", str(tmp_path), None, settings), "cpu")
    ((tokenizer, _, before),) = plain._tokenizers
    room = len(tokenizer(before + "art by anna")["input_ids"])
    for length, lost in ((room, []), (room - 4, ["anna"])):
        settings["max_sequence_length"] = length
        source = DiffusersSource(resolve_diffusers("tiny", str(tmp_path), None, settings), "cpu")
        assert source.lost_words("art by anna") == lost
        anna, zoeb = source.generate(["art by anna", "art by zoeb"], [7, 7], batch_size=2)
        assert (anna.tobytes() == zoeb.tobytes()) is bool(lost)


def test_one_tokenizer_that_knows_a_word_is_enough() -> None:
    t5, reads_bytes = tiny_pipelines.t5_tokenizer(), bytes_tokenizer()
    assert unread_words([t5], "art by 天野喜孝") == ["天野喜孝"]
    assert unread_words([t5, reads_bytes], "art by 天野喜孝") == []
    assert unread_words([], "art by 天野喜孝") == []
    assert unread_words([t5], "art by {Ada} <Brand>") == []


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


class WithoutOffsets(transformers.PreTrainedTokenizer):
    """A tokenizer in Python, as SigLIP's is: one token per letter, one at the end, and nothing said of which letters they are."""

    vocab_size = 27

    def get_vocab(self) -> dict[str, int]:
        return {}

    def _tokenize(self, text: str) -> list[str]:
        return [letter for letter in text if not letter.isspace()]

    def _convert_token_to_id(self, token: str) -> int:
        return ord(token)

    def build_inputs_with_special_tokens(self, own: list[int], other: list[int] | None = None) -> list[int]:
        return [*own, 1]


@pytest.mark.parametrize(("length", "lost"), [(15, []), (14, ["maria"]), (10, ["maria"]), (9, ["anna", "maria"])])
def test_the_words_that_a_tokenizer_without_offsets_cuts_are_named(length: int, lost: list[str]) -> None:
    assert lost_words(WithoutOffsets(), "art by anna  maria ", length) == lost


def run_apart(folder: Path, *packages: Path) -> dict[str, dict[str, list[str] | str]]:
    path = os.pathsep.join(map(str, [Path(__file__).parents[2], *packages]))
    command = [sys.executable, "-m", "audit_assets_tests.models.sentencepiece_models", str(folder)]
    shown = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert shown.returncode == 0, shown.stderr[-3000:]
    return json.loads(shown.stdout.splitlines()[-1])


@pytest.mark.long
def test_tokenizers_of_sentencepiece_load_with_the_package_and_name_it_without(tmp_path: Path) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (package,) = project["optional-dependencies"]["sentencepiece"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "packages")]
    said = subprocess.run([*install, package], capture_output=True, text=True)
    if said.returncode:
        pytest.skip(f"{package} cannot be installed: {said.stderr.strip().splitlines()[-1:]}")
    for name, found in run_apart(tmp_path / "with", tmp_path / "packages").items():
        assert found.get("short") == [], (name, found)
        assert found["long"][-2:] == ["nils", "ulvang"], name
    without = run_apart(tmp_path / "without")
    assert set(without) == {"siglip", "gemma", "xlm_roberta", "t5"}
    for name, found in without.items():
        assert "pip install 'audit_assets[sentencepiece]'" in found.get("refused", ""), (name, found)


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
