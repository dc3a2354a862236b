"""Names that other people or things share: "Walt Disney World", "David Bowie tickets", "Charles Williams Jr".

A caption that means another person of the name counts as a mention, and the model may have learnt the wrong person. No rule
can decide this, so the auditor must look at the flag and the sample captions.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from audit_assets.roster.normalise import tokens
from audit_assets.roster.proposals.contexts import beside, occurrences, words_of
from audit_assets.roster.scan import Matcher, caption_at

EXAMINED = 200
SAMPLES = 5
_VERDICTS = ("art", "someone_else", "unclear")


def collisions(
    batches: Iterable[pa.RecordBatch],
    names: Mapping[str, Sequence[str]],
    *,
    examined: int = EXAMINED,
    flagged_share: float = 0.5,
) -> pd.DataFrame:
    """Whom the captions with each name seem to mean: one row per key of `names` (key -> name and aliases), in their order.

    Columns: key, examined (number of captions examined, the first `examined` of them), art, someone_else, unclear,
    share_someone_else (share of the clear captions; NaN if no caption is clear), flagged (this share is at least
    `flagged_share`), samples (first captions that mean someone else, then unclear ones). Memory is bounded by the number of
    names.
    """
    matcher = Matcher(names)
    spellings = {key: [tuple(tokens(name)) for name in own] for key, own in names.items()}
    verdicts = {key: dict.fromkeys(_VERDICTS, 0) for key in names}
    samples: dict[str, dict[str, list[str]]] = {key: {"someone_else": [], "unclear": []} for key in names}
    left = np.full(len(matcher.keys), examined, np.int64)
    for batch in batches:
        rows, owners = matcher.matches(batch)
        for row, owner in zip(rows.tolist(), owners.tolist(), strict=True):
            if left[owner] <= 0:
                continue
            left[owner] -= 1
            key, caption = matcher.keys[owner], caption_at(batch, row)
            verdict = whom(caption, spellings[key])
            verdicts[key][verdict] += 1
            if verdict != "art" and len(samples[key][verdict]) < SAMPLES:
                samples[key][verdict].append(caption)
        if not left.any():
            break
    table = pd.DataFrame([{"key": key, "examined": sum(found.values()), **found} for key, found in verdicts.items()])
    if table.empty:
        table = pd.DataFrame(columns=["key", "examined", *_VERDICTS], dtype=object)
    clear = table["art"] + table["someone_else"]
    table["share_someone_else"] = (table["someone_else"] / clear.where(clear > 0)).astype(float)
    table["flagged"] = table["share_someone_else"] >= flagged_share
    table["samples"] = [(samples[key]["someone_else"] + samples[key]["unclear"])[:SAMPLES] for key in table["key"]]
    return table


def whom(caption: str, spellings: Iterable[tuple[str, ...]]) -> str:
    """'art' if any occurrence of any spelling is in a context of art; else 'someone_else' if any occurrence means another person; else 'unclear'."""
    words = words_of(caption)
    found = {beside(words, *place) for spelling in spellings if spelling for place in occurrences(words, spelling)}
    return next((verdict for verdict in _VERDICTS if verdict in found), "unclear")
