"""The number of tokens that an encoder makes of a name. A nonsense name of many tokens would be another kind of prompt."""

from collections.abc import Callable

from audit_assets.config import Audit


def token_counter(audit: Audit) -> Callable[[str], int]:
    """A function that counts with the tokenizer of the audit's first image-text encoder, without special tokens.

    A text with a part that the tokenizer does not know counts as 1,000.
    """
    from transformers import AutoTokenizer

    from audit_assets.models.files import loading
    from audit_assets.models.pretrained import SAFE
    from audit_assets.models.registry import resolve_encoder_entry

    entry = next(e for e in audit.encoders if e.kind == "image_text")
    path = resolve_encoder_entry(audit, entry).path
    with loading(path, "the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(path, **SAFE)

    def count(text: str) -> int:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return 1000 if tokenizer.unk_token_id in ids else len(ids)

    return count
