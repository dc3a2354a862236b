"""These functions check that a tokenizer is whole, and find how much of a prompt it keeps.

If a name is cut short, the model was never asked for it, and the images say nothing about the name.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_assets.errors import InputError
from audit_assets.models.pretrained import SAFE
from audit_assets.untrusted.weights import read_json

_NUMBERED = r"(prior_)?%s(_\d+)?"
"""A pipeline of two stages may read the prompt in the first one alone, which is named the prior."""


def is_tokenizer(component: str) -> bool:
    """Return whether a component of a pipeline is a tokenizer that a prompt passes."""
    return re.fullmatch(_NUMBERED % "tokenizer", component) is not None


def is_text_encoder(component: str) -> bool:
    """Return whether a component of a pipeline is a text encoder that a prompt passes."""
    return re.fullmatch(_NUMBERED % "text_encoder", component) is not None


_OTHER_VOCABULARIES = re.compile(r"tekken\.json|tokenizer\.model.*|tiktoken\.model|tokenizer\..+\.json")


def check_tokenizer_config(folder: Path) -> None:
    """Raise InputError if a tokenizer's configuration names a file. Such a file may lie anywhere, and is not hashed."""
    file = folder / "tokenizer_config.json"
    config = read_json(file) if file.exists() else {}
    for field in ("vocab", "merges"):
        if isinstance(config.get(field), str):
            raise InputError(
                f"{file}, {field}: {config[field]!r} is a file that the library would open wherever it lies; delete the field, and "
                "put the vocabulary beside this file."
            )


def check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """Raise InputError if a tokenizer's vocabulary is missing. `tokenizer` is one of transformers, or its class.

    transformers makes a tokenizer with an empty vocabulary of such a folder. All names are the same to it.
    """
    wanted = dict(getattr(tokenizer, "vocab_files_names", {}))
    whole = wanted.pop("tokenizer_file", None)
    if whole is not None and (folder / whole).is_file():
        return
    if any(_OTHER_VOCABULARIES.fullmatch(file.name) for file in folder.iterdir()):
        return
    needed = list(wanted.values()) or ([whole] if whole else [])
    for name in needed:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name}: is missing, and the tokenizer needs it; copy the model again.")


LONGEST = 1 << 20
"""A tokenizer may pad a text to this many tokens. Each token takes some sixty bytes, and no text encoder reads so many."""
_NO_LIMIT = 10**20
"""transformers takes a length from here on for none, and pads nothing."""


def check_lengths(tokenizer: Any) -> None:
    """Raise InputError if a tokenizer's files ask for a length that is no number, or would fill the memory with padding."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    padding, truncation = (getattr(backend, part, None) or {} for part in ("padding", "truncation"))
    said = {
        "model_max_length": tokenizer.model_max_length,
        "padding length": padding.get("length"),
        "pad_to_multiple_of": padding.get("pad_to_multiple_of"),
        "truncation max_length": truncation.get("max_length"),
    }
    for field, value in said.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and (not is_number or not value >= 1 or LONGEST < value < _NO_LIMIT):
            raise InputError(
                f"{tokenizer.name_or_path}: the tokenizer's {field} is {str(value)[:100]!r}, and at most {LONGEST} tokens "
                "are read; copy the model again."
            )


def lost_words(tokenizer: Any, prompt: str, length: int, before: str = "") -> list[str]:
    """Return the words of a prompt that a tokenizer drops or cuts if it keeps `length` tokens of `before` and the prompt.

    The list is empty if all words are read. A word is read if the prompt up to its end fits. Tokenizers of sentencepiece
    do not say which letters a token is of, so the tokens are counted.
    """

    def too_long(end: int) -> bool:
        return len(tokenizer(before + prompt[:end], truncation=False, verbose=False)["input_ids"]) > length

    if not too_long(len(prompt)):
        return []
    words = list(re.finditer(r"\S+", prompt))
    read = bisect_left(words, True, key=lambda word: too_long(word.end()))
    return [word[0] for word in words[read:]]


def unread_words(tokenizers: Sequence[Any], prompt: str) -> list[str]:
    """Return the words of a prompt of which no tokenizer knows every letter, such as a name in another script.

    A tokenizer of pieces (T5's, for example) has one token for all that it does not know, so that all such names are one.
    Signs that are neither letters nor digits do not count.
    """

    def unknown(tokenizer: Any, word: str) -> bool:
        letters = "".join(sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in word)
        ids = tokenizer(letters, add_special_tokens=False, verbose=False)["input_ids"]
        return tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids

    return [word for word in prompt.split() if tokenizers and all(unknown(one, word) for one in tokenizers)]


class LabelTokenizer:
    """The tokenizer of an encoder's text side. It says how much of a label the encoder reads, and needs no weights.

    ``own`` is the tokenizer of transformers, and ``length`` the number of tokens that the encoder keeps. InputError or an error
    of transformers if the files of the folder cannot be loaded.
    """

    def __init__(self, folder: Path, *, lower_case: bool) -> None:
        from transformers import AutoConfig, AutoTokenizer

        self.own: Any = AutoTokenizer.from_pretrained(folder, **SAFE)
        check_vocabulary(folder, self.own)
        check_lengths(self.own)
        positions = AutoConfig.from_pretrained(folder, **SAFE).text_config.max_position_embeddings
        self.length = int(min(self.own.model_max_length, positions))
        self.lower_case = lower_case
        self._known: dict[str, bool] = {}

    def as_trained(self, text: str) -> str:
        """The text as the encoder was trained on texts: some encoders read only lower case."""
        return text.lower() if self.lower_case else text

    def lost_words(self, text: str) -> list[str]:
        """Return the words of a text that are cut off, and before them each word with a letter that the tokenizer does not know."""
        given = self.as_trained(text)
        cut = lost_words(self.own, given, self.length)
        kept = given.split()[: len(given.split()) - len(cut)]
        return [*(word for word in kept if not self._reads(word)), *cut]

    def _reads(self, word: str) -> bool:
        """Whether the tokenizer knows each letter of a word. The words of a template come again with each name."""
        if word not in self._known:
            self._known[word] = not unread_words([self.own], word)
        return self._known[word]


def tokenizer_lengths(pipeline: Any, max_sequence_length: int | None) -> dict[str, int]:
    """Return the number of tokens that each tokenizer of a pipeline keeps.

    CLIP's encoders read a fixed number. T5 and language models read the number that the pipeline gets as
    `max_sequence_length`.
    """
    lengths = {}
    for name, tokenizer in pipeline.components.items():
        if not is_tokenizer(name) or tokenizer is None:
            continue
        check_lengths(tokenizer)
        length = int(tokenizer.model_max_length)
        if "CLIP" not in type(tokenizer).__name__ and max_sequence_length is not None:
            length = max_sequence_length
        encoder = getattr(pipeline, name.replace("tokenizer", "text_encoder"), None)
        positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
        lengths[name] = min(length, positions) if isinstance(positions, int) else length
    return lengths


_THINKS = {"ZImagePipeline": True, "Flux2KleinPipeline": False, "Flux2KleinKVPipeline": False}
"""Pipelines that write the prompt into a turn of a chat and cut the whole turn, and the option that they give to its template."""
_PLACE = "{prompt}"


def text_before(pipeline: Any, tokenizer: Any) -> str:
    """Return what a pipeline writes before each prompt if these tokens count among those that it keeps."""
    name = type(pipeline).__name__
    if name == "Lumina2Pipeline":
        return f"{pipeline.system_prompt} <Prompt Start> "
    if name not in _THINKS:
        return ""
    turn = tokenizer.apply_chat_template(
        [{"role": "user", "content": _PLACE}], tokenize=False, add_generation_prompt=True, enable_thinking=_THINKS[name]
    )
    return str(turn).partition(_PLACE)[0]
