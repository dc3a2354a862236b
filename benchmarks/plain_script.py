"""A plain script of an afternoon's work, as the peer of the whole audit.

It uses float32, one image per call, PNGs with Pillow's defaults, pandas, and scipy in a loop. It imports nothing from
`audit_assets`.

    python -m benchmarks.plain_script AUDIT_YAML SUBJECTS_CSV FOLDER

It counts captions by artist, draws every subject's images, embeds them and the real works with every encoder,
classifies (73 labels and all of them) and matches (the paper's test, and the same with works re-assigned), and writes
CSV files and one figure. The audit does all of this and more: exact and corrected tests, intervals, calibration,
comparison, verdicts, a database and a report.
"""

import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
import yaml
from diffusers import StableDiffusionPipeline
from PIL import Image
from scipy.stats import mannwhitneyu
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

mpl.use("Agg")
import matplotlib.pyplot as plt

TEMPLATE = "Artwork from {}"
DEFAULTS = ["Artwork", "Digital Artwork", "Artwork from the public domain"]
REASSIGNMENTS = 1000


def count_captions(pattern: Path, names: list[str]) -> pd.Series:
    captions = pd.concat([pd.read_parquet(f) for f in sorted(pattern.parent.glob(pattern.name))])
    text = captions["TEXT"].str.lower()
    return pd.Series({n: text.str.contains(rf"\b{re.escape(n.lower())}\b", regex=True).sum() for n in names})


def draw(model: dict[str, Any], subjects: pd.DataFrame, trials: int, base: Path, folder: Path) -> pd.DataFrame:
    pipeline = StableDiffusionPipeline.from_pretrained(base / model["path"], dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    size = model["settings"]["size"]
    rows = []
    for number, subject in enumerate(subjects.itertuples()):
        for trial in range(trials):
            image = pipeline(
                TEMPLATE.format(subject.name),
                num_inference_steps=model["settings"]["steps"],
                guidance_scale=model["settings"]["guidance"],
                width=size,
                height=size,
                generator=torch.Generator().manual_seed(1000 * number + trial),
            ).images[0]
            path = folder / f"{subject.subject}-{trial}.png"
            image.save(path)
            rows.append({"subject": subject.subject, "kind": subject.kind, "trial": trial, "path": path})
    return pd.DataFrame(rows)


def embed(entry: dict[str, Any], base: Path, paths: list[Path]) -> np.ndarray:
    processor = AutoImageProcessor.from_pretrained(base / entry["path"], backend="pil")
    model = AutoModel.from_pretrained(base / entry["path"], dtype=torch.float32).eval()
    vectors = []
    with torch.no_grad():
        for path in paths:
            pixels = processor(images=Image.open(path).convert("RGB"), return_tensors="pt")
            if entry["kind"] == "image_text":
                vector = model.get_image_features(**pixels).pooler_output
            else:
                vector = model(**pixels).pooler_output
            vectors.append(torch.nn.functional.normalize(vector, dim=-1)[0].numpy())
    return np.array(vectors)


def labels(entry: dict[str, Any], base: Path, texts: list[str]) -> tuple[np.ndarray, float]:
    tokenizer = AutoTokenizer.from_pretrained(base / entry["path"])
    model = AutoModel.from_pretrained(base / entry["path"], dtype=torch.float32).eval()
    vectors = []
    with torch.no_grad():
        for text in texts:
            vector = model.get_text_features(**tokenizer(text, return_tensors="pt")).pooler_output
            vectors.append(torch.nn.functional.normalize(vector, dim=-1)[0].numpy())
        return np.array(vectors), float(model.logit_scale.exp())


def identify(
    images: pd.DataFrame, vectors: np.ndarray, entry: dict[str, Any], base: Path, names: pd.Series
) -> pd.DataFrame:
    texts = [TEMPLATE.format(n) for n in names] + DEFAULTS
    label_vectors, scale = labels(entry, base, texts)
    logits = scale * vectors @ label_vectors.T
    probability = np.exp(logits - logits.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    keys = [*names.index, *DEFAULTS]
    predicted = [keys[n] for n in probability.argmax(axis=1)]
    return images.assign(predicted=predicted, correct=images["subject"] == predicted)


def match(images: pd.DataFrame, vectors: np.ndarray, works: pd.DataFrame, work_vectors: np.ndarray) -> pd.DataFrame:
    """Run the paper's test with each artist's first work, and count significant ones with re-assigned works."""
    firsts = works.groupby("subject").head(1)
    artists = [s for s in firsts["subject"] if s in set(images["subject"])]
    at = dict(zip(firsts["subject"], firsts.index, strict=True))
    who = images["subject"].to_numpy()
    p = np.empty((len(artists), len(artists)))
    for i, of_work in enumerate(artists):
        distances = 1 - vectors @ work_vectors[at[of_work]]
        for j, artist in enumerate(artists):
            own = who == artist
            p[i, j] = mannwhitneyu(distances[own], distances[~own], method="asymptotic").pvalue
    adjusted = np.minimum(p * len(artists), 1)
    rng = np.random.default_rng(1)
    every = np.arange(len(artists))
    by_mistake = [np.mean(adjusted[rng.permutation(every), every] < 0.05) for _ in range(REASSIGNMENTS)]
    return pd.DataFrame({"subject": artists, "p": np.diag(p), "adjusted": np.diag(adjusted)}).assign(
        reassigned=float(np.mean(by_mistake))
    )


def main(config: Path, subjects_file: Path, folder: Path) -> None:
    audit, base = yaml.safe_load(config.read_text()), config.parent
    subjects = pd.read_csv(subjects_file)
    trials = 4 if audit["protocol"].endswith("_small") else 10
    artists = pd.read_csv(base / audit["roster"]["artists"])
    count_captions(base / audit["captions"]["path"], artists["name"].tolist()).to_csv(folder / "mentions.csv")
    asked = subjects[subjects["kind"] != "background"]
    of_roster = subjects[subjects["kind"] == "artist"].set_index("subject")["name"]
    model = next(m for m in audit["models"] if m["approved"])
    images = draw(model, asked, trials, base, folder)
    works = pd.DataFrame(
        [
            {"subject": s, "path": path}
            for s in subjects["subject"]
            for path in sorted((base / audit["references"] / s).glob("*.png"))
        ]
    )
    for entry in audit["encoders"]:
        vectors, work_vectors = (embed(entry, base, t["path"].tolist()) for t in (images, works))
        np.save(folder / f"{entry['name']}.npy", vectors)
        if entry["kind"] == "image_text":
            for label_set, names in (("criteria", of_roster), ("joint", asked.set_index("subject")["name"])):
                found = identify(images, vectors, entry, base, names)
                found.to_csv(folder / f"identification-{label_set}.csv")
                by_subject = found.groupby(["kind", "subject"])["correct"].mean()
                by_subject.to_csv(folder / f"by-subject-{label_set}.csv")
        artists_only = (images["kind"] == "artist").to_numpy()
        match(images[artists_only], vectors[artists_only], works, work_vectors).to_csv(
            folder / f"matching-{entry['name']}.csv"
        )
    by_subject.reset_index().pivot_table(index="subject", columns="kind", values="correct").plot.hist()
    plt.savefig(folder / "figure.png")
    print(found.groupby("kind")["correct"].mean().to_string())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
