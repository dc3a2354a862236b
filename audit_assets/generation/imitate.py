"""Make one subject's imitations: the unit of generation and of resuming, in a fixed batch plan."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import Protocol as Interface

import pandas as pd
from PIL.Image import Image

from audit_assets.config import Protocol
from audit_assets.generation.images import ImageStore, is_blank
from audit_assets.generation.seeds import image_seed

COLUMNS = [
    "model_version",
    "subject",
    "template",
    "trial",
    "prompt",
    "seed",
    "generation_hash",
    "image_sha256",
    "width",
    "height",
    "status",
]


class Source(Interface):
    """Whatever turns prompts and seeds into images."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[int], *, batch_size: int) -> Iterator[Image]: ...


def imitations(
    source: Source,
    protocol: Protocol,
    *,
    model_version: str,
    subject: str,
    name: str,
    batch_size: int,
    store: ImageStore,
    writer: Executor,
    progress: Callable[[int], None] = lambda images: None,
) -> pd.DataFrame:
    """One row an image, COLUMNS: every trial of every template. Images are stored by `writer` beside the model.

    A black or empty image is kept and flagged `blank`; it counts as wrong later and is never replaced.
    """
    rows, stored = [], []
    for template in range(len(protocol.templates)):
        prompt = protocol.prompt(template, name)
        seeds = [image_seed(subject, protocol.templates[template], trial) for trial in range(protocol.trials)]
        images = source.generate([prompt] * len(seeds), seeds, batch_size=batch_size)
        for trial, (seed, image) in enumerate(zip(seeds, images, strict=True)):
            stored.append(writer.submit(store.put, image))
            rows.append(
                {
                    "model_version": model_version,
                    "subject": subject,
                    "template": template,
                    "trial": trial,
                    "prompt": prompt,
                    "seed": seed,
                    "generation_hash": protocol.generation_hash,
                    "width": image.width,
                    "height": image.height,
                    "status": "blank" if is_blank(image) else "ok",
                }
            )
            progress(1)
    table = pd.DataFrame(rows)
    table["image_sha256"] = [future.result() for future in stored]
    return table[COLUMNS].astype(
        {"seed": "uint64", "template": "int32", "trial": "int32", "width": "int32", "height": "int32"}
    )


def check_imitations(table: pd.DataFrame, protocol: Protocol, subject: str) -> list[str]:
    """What is wrong with a subject's rows, in words: images that are missing or doubled, seeds that are not theirs."""
    expected = {
        (t, k): image_seed(subject, protocol.templates[t], k)
        for t in range(len(protocol.templates))
        for k in range(protocol.trials)
    }
    supplied = table[table["status"] != "not_supplied"]
    found = dict(zip(zip(supplied["template"], supplied["trial"], strict=True), supplied["seed"], strict=True))
    problems = []
    if len(found) != len(supplied):
        problems.append(f"{subject}: an image occurs twice")
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(
            f"{subject}: no image for (template, trial) {missing[0]}"
            + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        )
    wrong = [key for key, seed in found.items() if not pd.isna(seed) and expected.get(key) != int(seed)]
    if wrong:
        problems.append(f"{subject}: the seed of (template, trial) {wrong[0]} is not the protocol's")
    return problems
