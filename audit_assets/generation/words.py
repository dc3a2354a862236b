"""Check the words that a model is asked by for artists: against the table of artists, and against what was added to the model."""

import pandas as pd

from audit_assets.config import Audit, Protocol
from audit_assets.errors import InputError
from audit_assets.models.pipelines import ResolvedModel
from audit_assets.roster.prompt_names import check_prompt_names, spoken, unspoken


def check_words(audit: Audit, protocol: Protocol, resolved: ResolvedModel, artists: pd.DataFrame) -> list[str]:
    """One sentence per trigger word that an adapter's file names and no prompt contains.

    InputError if the audit asks this model for an artist that does not exist, or for two artists by the same words, or if
    no prompt contains the token of an embedding.
    """
    entry = audit.model(resolved.name)
    check_prompt_names(audit, entry, artists)
    asked = [words for _, words in spoken(audit, entry, artists[artists["kind"] != "background"])]
    prompts = [protocol.prompt(t, words) for words in asked for t in range(len(protocol.templates))]
    if unused := unspoken([e.token for e in resolved.embeddings], prompts):
        raise InputError(
            f"{audit.file}, model {resolved.name!r}, embeddings: no prompt contains {unused[0]!r}, so that the embedding would not be used; "
            "give the token in `prompt_name`."
        )
    return [
        f"model {resolved.name!r}: {a.file.name} names the trigger {a.trigger!r}, and no prompt contains it; if the model was "
        "taught an artist under this word, give it as `prompt_name`."
        for a in resolved.lora
        if a.trigger and unspoken([a.trigger], prompts)
    ]
