"""Models whose tokenizer is one file of sentencepiece, as older repositories publish them. A process of its own runs this module.

python -m audit_assets_tests.models.sentencepiece_models <empty folder>
"""

import io
import json
import shutil
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import transformers

from audit_assets.encoders.encoder import TransformersEncoder
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.pipelines import resolve_diffusers
from audit_assets_tests.encoders import tiny_encoders
from audit_assets_tests.generation import tiny_pipelines

PIECES = 64
LABEL, LONG = "artwork from ada brand", "artwork from " + " ".join(["nils ulvang"] * 40)
SIGLIP = {"tokenizer_class": "SiglipTokenizer", "model_max_length": 64, "do_lower_case": True}
SIGLIP |= {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}


def vocabulary() -> bytes:
    """A model of sentencepiece, trained on invented names, with the special pieces of T5 and SigLIP. b"" without the package."""
    try:
        import sentencepiece
    except ModuleNotFoundError:
        return b""
    names = product(("ada", "nils", "clara", "mara"), ("brand", "oduya", "ulvang"))
    sentences = [f"artwork from {first} {last}" for first, last in names] * 20 + list("abcdefghijklmnopqrstuvwxyz") * 9
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=made, vocab_size=PIECES, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    return made.getvalue()


def siglip(folder: Path, pieces: bytes) -> TransformersEncoder:
    """As `google/siglip-so400m-patch14-384` was published at first."""
    text = {**tiny_encoders.SMALL, "vocab_size": PIECES, "max_position_embeddings": 64, "projection_size": 16}
    config = transformers.SiglipConfig(text_config=text, vision_config=tiny_encoders.VISION)
    transformers.SiglipModel(config).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.SiglipImageProcessorPil(size=size).save_pretrained(folder)
    (folder / "spiece.model").write_bytes(pieces)
    (folder / "tokenizer_config.json").write_text(json.dumps(SIGLIP))
    return TransformersEncoder(resolve_encoder("e", "image_text", str(folder)), "cpu")


def _with_pieces(family: str, name: str) -> Callable[[Path, bytes], TransformersEncoder]:
    def make(folder: Path, pieces: bytes) -> TransformersEncoder:
        (tiny_encoders.save(family, folder) / "tokenizer.json").unlink()
        (folder / name).write_bytes(pieces)
        return TransformersEncoder(resolve_encoder("e", "image_text", str(folder)), "cpu")

    return make


def pixart(folder: Path, pieces: bytes) -> DiffusersSource:
    """T5's tokenizer, as the first repositories of PixArt, Stable Diffusion 3 and FLUX have it."""
    shutil.rmtree(tiny_pipelines.save("pixart_sigma", folder) / "tokenizer")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "spiece.model").write_bytes(pieces)
    own = {"tokenizer_class": "T5Tokenizer", "model_max_length": 120, "extra_ids": 0, "legacy": True}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(own))
    return DiffusersSource(resolve_diffusers("p", str(folder), None, {"size": 64, "steps": 1}), "cpu")


MAKE: dict[str, Callable[[Path, bytes], Any]] = {
    "siglip": siglip,
    "gemma": _with_pieces("siglip2_of_a_fixed_size", "tokenizer.model"),
    "xlm_roberta": _with_pieces("altclip", "sentencepiece.bpe.model"),
    "t5": pixart,
}


def tried(make: Callable[[Path, bytes], Any], folder: Path, pieces: bytes) -> dict[str, Any]:
    """What a model loses of a label and of a text that is too long, or why it is refused."""
    try:
        made = make(folder, pieces)
        return {"short": made.lost_words(LABEL), "long": made.lost_words(LONG)}
    except InputError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    own_pieces = vocabulary()
    print(json.dumps({name: tried(make, Path(sys.argv[1]) / name, own_pieces) for name, make in MAKE.items()}))
