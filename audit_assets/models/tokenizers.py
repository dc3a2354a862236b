"""These functions find how much of a prompt a tokenizer keeps.

If a name is cut short, the model was never asked for it, and the images say nothing about the name.
"""

from typing import Any


def lost_words(tokenizer: Any, prompt: str, length: int) -> list[str]:
    """Return the words of a prompt that a tokenizer drops or cuts if it keeps `length` tokens.

    The list is empty if all words are read. `tokenizer` is a tokenizer of transformers with offsets (all that are built
    on the tokenizers library have them).
    """
    whole = tokenizer(prompt, truncation=False, verbose=False)["input_ids"]
    if len(whole) <= length:
        return []
    kept = tokenizer(prompt, truncation=True, max_length=length, return_offsets_mapping=True)["offset_mapping"]
    end = max((stop for start, stop in kept if stop > start), default=0)
    cut_inside_a_word = end < len(prompt) and not prompt[end].isspace() and end and not prompt[end - 1].isspace()
    start = prompt.rfind(" ", 0, end) + 1 if cut_inside_a_word else end
    return prompt[start:].split()


def tokenizer_lengths(pipeline: Any, max_sequence_length: int | None) -> dict[str, int]:
    """Return the number of tokens that each tokenizer of a pipeline keeps.

    CLIP's encoders read a fixed number. T5 and language models read the number that the pipeline gets as
    `max_sequence_length`.
    """
    lengths = {}
    for name, tokenizer in pipeline.components.items():
        if not name.startswith("tokenizer") or tokenizer is None:
            continue
        length = int(tokenizer.model_max_length)
        if "CLIP" not in type(tokenizer).__name__ and max_sequence_length is not None:
            length = max_sequence_length
        encoder = getattr(pipeline, name.replace("tokenizer", "text_encoder"), None)
        positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
        lengths[name] = min(length, positions) if isinstance(positions, int) else length
    return lengths
