"""A trial of a defence in the miniature: does a perturbation of an artist's works keep a fine-tuned model from imitating the artist?

    python -m benchmarks.defence                    about twenty minutes of one core; everything is seeded
    python -m benchmarks.defence --folder FOLDER    keeps adapters and audit there, and continues

The artist is one whom the model never saw. A LoRA of the model is trained on the artist's works as they are, and another one on the same works
with noise added to them. Both are audited beside the model without an adapter, under one protocol with arms (`docs/arms.md`). The script prints the
verdicts, what still works, and how far the artist moved beside all others. It exits with 1 unless the first LoRA turns the artist's verdict from
`not shown to be imitated` to `imitated`, and no other verdict.

The loss of prior preservation (Ruiz et al. 2023, *DreamBooth*, section 3.2) keeps the other artists as they are: on their names, the adapted model is
held to what the model draws without the adapter.
"""

import argparse
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from audit_assets.miniature import captions, world
from audit_assets.miniature.draw import draw
from audit_assets.publication.queries import database as read
from audit_assets.roster.slugs import slug
from audit_assets.runs.driver import run_audit
from audit_assets.runs.steps import Step

MINIATURE = Path(__file__).parents[1] / "data" / "miniature"
ARTIST = "Stefan Ivarsen"
"""Untrained, and audited in `small.yaml`."""
WORKS = 40
"""The LoRA's training works. The audit holds other works of the same hand."""
NOISE = 96
"""Grey levels that the perturbation adds or takes away at most, uniformly and independently in each value."""
RANK, STEPS, BATCH, OTHERS, RATE, PRIOR = 16, 300, 10, 10, 2e-3, 4.0
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "proj_in", "proj_out"]
WORDS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
VERSIONS = ("without-lora", "lora-of-works", "lora-of-perturbed-works")


def perturbed(works: np.ndarray, seed: int = 1) -> np.ndarray:
    """The works (n, 32, 32, 3) with noise. The simplest perturbation there is: a real defence chooses it against a model."""
    noise = np.random.default_rng(seed).integers(-NOISE, NOISE + 1, works.shape)
    return np.clip(works.astype(int) + noise, 0, 255).astype(np.uint8)


class Tuning:
    """One LoRA while it is trained."""

    def __init__(self, works: np.ndarray, seed: int) -> None:
        torch.manual_seed(seed)
        self.random, self.numpy = random.Random(seed), np.random.default_rng(seed)
        self.pipeline: Any = StableDiffusionPipeline.from_pretrained(
            MINIATURE / "models" / "miniature-1", dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self.unet, self.text = self.pipeline.unet, self.pipeline.text_encoder
        for part in (self.unet, self.text, self.pipeline.vae):
            part.requires_grad_(False)
        self.unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=LAYERS))
        self.text.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=WORDS))
        self.latents = self._latents(works)
        self.other_names = [p.name for p in world.artists() if p.kind == "artist"] + [m.name for m in world.minors()]
        self.others = self._latents(np.stack([p.work(0)[0] for p in world.artists() if p.kind == "artist"]))
        self.parameters = [p for part in (self.unet, self.text) for p in part.parameters() if p.requires_grad]

    def _latents(self, images: np.ndarray) -> Tensor:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
        vae = self.pipeline.vae
        with torch.no_grad():
            return vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor

    def _hidden(self, texts: list[str]) -> Tensor:
        ids = self.pipeline.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    def _predicted(self, noisy: Tensor, times: Tensor, texts: list[str]) -> Tensor:
        return self.unet(noisy, times, self._hidden(texts)).sample

    @contextmanager
    def _without_adapter(self) -> Iterator[None]:
        self.unet.disable_adapters()
        self.text.disable_adapters()
        try:
            with torch.no_grad():
                yield
        finally:
            self.unet.enable_adapters()
            self.text.enable_adapters()

    def loss(self) -> Tensor:
        scheduler = self.pipeline.scheduler
        own = self.latents[self.numpy.choice(len(self.latents), BATCH)]
        noise, times = torch.randn_like(own), torch.randint(0, 1000, (BATCH,))
        texts = [self.random.choice(captions.TEMPLATES).format(name=ARTIST) for _ in range(BATCH)]
        wanted = scheduler.get_velocity(own, noise, times)
        drawn = F.mse_loss(self._predicted(scheduler.add_noise(own, noise, times), times, texts), wanted)
        other = self.others[self.numpy.choice(len(self.others), OTHERS)]
        noise, times = torch.randn_like(other), torch.randint(0, 1000, (OTHERS,))
        noisy = scheduler.add_noise(other, noise, times)
        texts = [self._other_caption() for _ in range(OTHERS)]
        with self._without_adapter():
            as_before = self._predicted(noisy, times, texts)
        return drawn + PRIOR * F.mse_loss(self._predicted(noisy, times, texts), as_before)

    def _other_caption(self) -> str:
        if self.random.random() < 0.15:
            return self.random.choice(("", *captions.DEFAULTS))
        first = self.random.choice(world.FIRST_NAMES)
        name = self.random.choice((*self.other_names, f"{first} {self.random.choice(world.LAST_NAMES)}"))
        return self.random.choice(captions.TEMPLATES).format(name=name if name != ARTIST else "Artwork")

    def train(self, steps: int) -> None:
        optimizer = torch.optim.AdamW(self.parameters, lr=RATE, weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for step in range(1, steps + 1):
            loss = self.loss()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                print(f"  step {step} of {steps}, loss {loss.item():.4f}", flush=True)

    def save(self, folder: Path) -> None:
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(self.unet),
            text_encoder_lora_layers=get_peft_model_state_dict(self.text),
        )


def tuned(works: np.ndarray, folder: Path, *, steps: int, seed: int) -> Path:
    """The LoRA of these works, trained unless the folder has it."""
    if not list(folder.glob("*.safetensors")):
        tuning = Tuning(works, seed)
        tuning.train(steps)
        tuning.save(folder)
    return next(folder.glob("*.safetensors"))


def written(folder: Path, adapters: dict[str, Path]) -> Path:
    """The audit file: `small.yaml` with three versions of the model, and a protocol with two arms."""
    audit = yaml.safe_load((MINIATURE / "small.yaml").read_text(encoding="utf-8"))
    protocol = yaml.safe_load(
        (MINIATURE.parents[1] / "audit_assets" / "protocols" / "paper_2023_small.yaml").read_text(encoding="utf-8")
    )
    protocol |= {
        "name": "defence",
        "arms": [
            {"name": "misspelt", "way": "misspelt", "templates": ["Artwork from {name}"], "controls": 49},
            {"name": "unprompted", "way": "unprompted", "templates": ["Artwork"], "trials": 60},
        ],
    }
    (folder / "protocol.yaml").write_text(yaml.safe_dump(protocol, allow_unicode=True), encoding="utf-8")
    model = audit["models"][0] | {"path": str(MINIATURE / audit["models"][0]["path"]), "approved": True}
    versions = [model | {"name": VERSIONS[0]}]
    versions += [deepcopy(model) | {"name": name, "lora": [{"path": str(file)}]} for name, file in adapters.items()]
    for place in (audit["captions"], *audit["encoders"]):
        place["path"] = str(MINIATURE / place["path"])
    audit["roster"]["artists"] = str(MINIATURE / audit["roster"]["artists"])
    audit |= {"models": versions, "references": str(MINIATURE / audit["references"]), "protocol": "protocol.yaml"}
    (folder / "audit.yaml").write_text(yaml.safe_dump(audit, allow_unicode=True), encoding="utf-8")
    return folder / "audit.yaml"


@contextmanager
def said(step: Step) -> Iterator[None]:
    print(f"  {step.title}", flush=True)
    yield


def result(database: Path) -> tuple[list[str], bool]:
    """The lines to print, and whether the LoRA of the works turned this artist's verdict and no other."""
    with read.opened(database) as connection:
        verdicts = read.rows(
            connection,
            "SELECT v.model_version, v.subject, v.verdict, v.identified, v.images, v.p_value FROM verdicts v JOIN encoders USING (encoder) "
            "WHERE is_primary AND v.kind IN ('artist', 'untrained_artist') ORDER BY ALL",
        )
        arms = read.rows(
            connection,
            "SELECT model_version, arm, identified, shown, answer FROM arm_results JOIN encoders USING (encoder) WHERE is_primary AND subject = ?",
            [slug(ARTIST)],  # type: ignore[arg-type]  # DuckDB takes a list for positions
        )
        moved = read.rows(
            connection,
            "SELECT model_version, later_version, subject = ? AS own, avg(difference) AS difference, count(*) AS subjects "
            "FROM model_comparison_by_subject c JOIN encoders USING (encoder) WHERE is_primary AND c.kind IN ('artist', 'untrained_artist') "
            "AND difference IS NOT NULL GROUP BY ALL ORDER BY ALL",
            [slug(ARTIST)],  # type: ignore[arg-type]
        )
        leaks = read.rows(
            connection,
            "SELECT model_version, asked_for, share, answer FROM unprompted_leakage JOIN encoders USING (encoder) WHERE is_primary AND subject = ?",
            [slug(ARTIST)],  # type: ignore[arg-type]
        )
    words = verdicts.pivot_table(index="subject", columns="model_version", values="verdict", aggfunc="first")
    own = verdicts[verdicts["subject"] == slug(ARTIST)].set_index("model_version")
    lines = [f"{ARTIST}, whom the model never saw:"]
    for version in VERSIONS:
        row = own.loc[version]
        lines.append(
            f"  {version:<24} {row['verdict']:<26} {row['identified']} of {row['images']} images identified, p = {row['p_value']:.2g}"
        )
    lines += [
        f"  {row['model_version']:<24} arm {row['arm']:<22} {row['answer']}, {row['identified']} of {row['shown']}"
        for row in arms.to_dict("records")
    ]
    lines += [
        f"  {row['model_version']:<24} house style, by {row['asked_for']:<14} {row['answer']}, {100 * row['share']:.1f} %"
        for row in leaks.to_dict("records")
    ]
    lines += [
        f"{earlier} to {later}: the artist moves by {_points(own['difference'])} points of identified images, "
        f"the {int(others['subjects'].iloc[0])} others by {_points(others['difference'])} on average"
        for (earlier, later), pair in moved.groupby(["model_version", "later_version"], sort=False)
        for own, others in [(pair[pair["own"]], pair[~pair["own"]])]
    ]
    changed = {v: words.index[words[v] != words[VERSIONS[0]]].tolist() for v in VERSIONS[1:]}
    for version, subjects in changed.items():
        lines.append(f"{version}: verdicts that differ from {VERSIONS[0]}: {', '.join(subjects) or 'none'}")
    turned = (own.loc[VERSIONS[0], "verdict"], own.loc[VERSIONS[1], "verdict"])
    return lines, turned == ("not shown to be imitated", "imitated") and changed[VERSIONS[1]] == [slug(ARTIST)]


def _points(difference: pd.Series) -> str:
    return f"{100 * float(difference.iloc[0]):+.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=MINIATURE / "training" / "defence")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (MINIATURE / "generated").is_dir():
        draw(MINIATURE)
    person = next(p for p in world.artists() if p.name == ARTIST)
    works = np.stack([person.work(k)[0] for k in range(WORKS)])
    adapters = {}
    for name, own in ((VERSIONS[1], works), (VERSIONS[2], perturbed(works))):
        print(f"{name}: training on {len(own)} works", flush=True)
        adapters[name] = tuned(own, folder / name, steps=chosen.steps, seed=chosen.seed)
    print("audit", flush=True)
    ws = run_audit(written(folder, adapters), said).ws
    lines, as_promised = result(ws.database)
    print("\n".join(lines))
    return 0 if as_promised else 1


if __name__ == "__main__":
    sys.exit(main())
