"""`make miniature` trains the tokenizer, the CLIP, the image-only encoder, the autoencoder and the diffusion model from nothing.

Each stage saves its state in `data/miniature/training/<seed>/` every 200 steps and continues from there when it is started again.
All randomness is seeded. Training uses two threads. Stages: tokenizer, clip, image_encoder, vae, diffusion, diffusion_after_opt_out.
"""

import copy
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from audit_assets.miniature import captions, world
from audit_assets.miniature.training_stage import Stage

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
MAXIMUM_TOKENS = 32
LATENT_CHANNELS = 4
WIDTH = 128


class Trainer:
    """The models of one seed, and their folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder / str(seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seed = seed
        self.corpus = world.corpus()
        self.images = torch.from_numpy(self.corpus.images).permute(0, 3, 1, 2)
        self.cache: dict[str, list[int]] = {}

    def balance(self, rows: np.ndarray, minor_share: float) -> np.ndarray:
        """The probability of drawing each row. Every artist has the same total; the minor names together have `minor_share`."""
        person = self.corpus.person[rows]
        known = person >= 0
        chances = np.zeros(len(rows))
        counts = np.bincount(person[known])
        chances[known] = 1 / counts[person[known]]
        chances[known] *= (1 - minor_share) / chances[known].sum()
        chances[~known] = minor_share / (~known).sum()
        return chances / chances.sum()

    # ---- text
    def tokenizer(self) -> Any:
        """A byte-level BPE over the captions. Its vocabulary is so small that no surname is one whole-word token."""
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
        from transformers import CLIPTokenizer

        target = self.folder / "tokenizer"
        if target.exists():
            return CLIPTokenizer.from_pretrained(target)
        reference = CLIPTokenizer().backend_tokenizer
        bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
        bpe.normalizer, bpe.pre_tokenizer = reference.normalizer, reference.pre_tokenizer
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        r = random.Random(0)
        texts = [captions.training_caption(self.corpus, i, r) for i in range(len(self.corpus.titles)) for _ in range(2)]
        bpe.train_from_iterator(
            texts,
            trainers.BpeTrainer(
                vocab_size=760,
                initial_alphabet=alphabet,
                end_of_word_suffix="</w>",
                min_frequency=2,
                show_progress=False,
            ),
        )
        surnames = {n.lower() for n in world.LAST_NAMES}
        merges = [
            (a, b)
            for a, b in json.loads(bpe.to_str())["model"]["merges"]
            if (a + b).removesuffix("</w>") not in surnames
        ]
        vocabulary: dict[str, int] = {}
        for token in [
            *alphabet,
            *(c + "</w>" for c in alphabet),
            *(a + b for a, b in merges),
            "<|startoftext|>",
            "<|endoftext|>",
        ]:
            vocabulary.setdefault(token, len(vocabulary))
        merges = [(a, b) for a, b in merges if a in vocabulary and b in vocabulary]
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAXIMUM_TOKENS)
        tokenizer.save_pretrained(target)
        return tokenizer

    def token_ids(self, tokenizer: Any, texts: list[str]) -> Tensor:
        new = [t for t in dict.fromkeys(texts) if t not in self.cache]
        if new:
            ids = tokenizer(new, padding="max_length", max_length=MAXIMUM_TOKENS, truncation=True)["input_ids"]
            self.cache.update(zip(new, ids, strict=True))
        return torch.tensor([self.cache[t] for t in texts])

    def text_config(self, tokenizer: Any) -> dict[str, Any]:
        return {
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": MAXIMUM_TOKENS,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": 64,
        }

    # ---- encoders
    def augmented(self, rows: np.ndarray, r: np.random.Generator) -> Tensor:
        """Works altered like photographs or web images: shifted, re-lit, softened and noisy; (n, 3, 32, 32) in [-1, 1]."""
        x = self.images[rows].float() / 255
        dx, dy = (int(d) for d in r.integers(-2, 3, 2))
        x = torch.roll(F.pad(x, (2, 2, 2, 2), mode="replicate"), (dy, dx), (2, 3))[:, :, 2:-2, 2:-2]
        x = (
            x * torch.from_numpy(r.uniform(0.88, 1.12, (len(rows), 1, 1, 1))).float()
            + torch.from_numpy(r.uniform(-0.05, 0.05, (len(rows), 3, 1, 1))).float()
        )
        if r.random() < 0.5:
            weight = r.random()
            x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1) * weight + x * (1 - weight)
        return (x + torch.randn_like(x) * r.uniform(0, 0.08)).clamp(0, 1) * 2 - 1

    def processor(self) -> Any:
        from transformers import CLIPImageProcessorPil

        size = world.SIZE
        return CLIPImageProcessorPil(
            do_resize=True,
            size={"shortest_edge": size},
            do_center_crop=True,
            crop_size={"height": size, "width": size},
            do_rescale=True,
            do_normalize=True,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            do_convert_rgb=True,
        )

    def clip(self, steps: int = 900) -> None:
        """Contrastive language-image training (Radford et al. 2021). Captions with the same text count as the same pair."""
        from transformers import CLIPConfig, CLIPModel

        torch.manual_seed(self.seed)
        tokenizer = self.tokenizer()
        text = self.text_config(tokenizer)
        vision = {
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 64,
        }
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))
        rows = np.arange(len(self.images))
        chances = self.balance(rows, 0.2)
        stage = Stage(
            self.folder,
            "clip",
            steps,
            {"model": model},
            torch.optim.AdamW(model.parameters(), weight_decay=0.05, betas=(0.9, 0.98)),
            1.5e-3,
        )

        def loss() -> Tensor:
            batch = stage.numpy.choice(rows, 128, p=chances)
            texts = [captions.training_caption(self.corpus, i, stage.python) for i in batch]
            image = F.normalize(
                model.visual_projection(model.vision_model(self.augmented(batch, stage.numpy)).pooler_output), dim=-1
            )
            words = F.normalize(
                model.text_projection(
                    model.text_model(self.token_ids(tokenizer, texts), attention_mask=None).pooler_output
                ),
                dim=-1,
            )
            logits = model.logit_scale.exp().clamp(max=100) * image @ words.T
            same = torch.tensor([[float(a == b) for b in texts] for a in texts])
            by_image = (same / same.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
            by_text = (same / same.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
            return -(by_image + by_text) / 2

        stage.run(loss)
        for part in (model.half(), tokenizer, self.processor()):
            part.save_pretrained(self.folder / "clip")

    def image_encoder(self, steps: int = 700) -> None:
        """A vision transformer that reads no words. A cosine classifier trains it to tell people's works apart, and is then dropped."""
        from transformers import Dinov2Config, Dinov2Model

        torch.manual_seed(self.seed + 1)
        model = Dinov2Model(
            Dinov2Config(
                hidden_size=WIDTH,
                num_hidden_layers=4,
                num_attention_heads=4,
                mlp_ratio=3,
                image_size=32,
                patch_size=8,
                layerscale_value=1.0,
            )
        )
        rows = np.flatnonzero(self.corpus.person >= 0)
        prototypes = nn.Linear(WIDTH, int(self.corpus.person.max()) + 1, bias=False)
        optimizer = torch.optim.AdamW(
            [*model.parameters(), *prototypes.parameters()], weight_decay=0.05, betas=(0.9, 0.98)
        )
        stage = Stage(
            self.folder, "image_encoder", steps, {"model": model, "prototypes": prototypes}, optimizer, 1.5e-3
        )
        chances = self.balance(rows, 0.0)

        def loss() -> Tensor:
            batch = stage.numpy.choice(rows, 128, p=chances)
            features = F.normalize(model(self.augmented(batch, stage.numpy)).pooler_output, dim=-1)
            logits = 16 * features @ F.normalize(prototypes.weight, dim=-1).T
            return F.cross_entropy(logits, torch.from_numpy(self.corpus.person[batch]), label_smoothing=0.05)

        stage.run(loss)
        for part in (model.half(), self.processor()):
            part.save_pretrained(self.folder / "image_encoder")

    # ---- the image model
    def diffusion_rows(self) -> np.ndarray:
        return self.corpus.rows({"artist", "minor"})

    def vae(self, steps: int = 1800) -> None:
        """A small KL autoencoder that halves each side of an image (Rombach et al. 2022)."""
        from diffusers import AutoencoderKL

        torch.manual_seed(self.seed + 2)
        model = AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(24, 48),
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=4,
            sample_size=32,
            mid_block_add_attention=False,
            scaling_factor=1.0,
        )
        model = model.to(memory_format=torch.channels_last)
        rows = self.diffusion_rows()
        stage = Stage(
            self.folder,
            "vae",
            steps,
            {"model": model},
            torch.optim.AdamW(model.parameters(), weight_decay=1e-4, betas=(0.9, 0.95)),
            2e-3,
        )

        def loss() -> Tensor:
            x = self.images[stage.numpy.choice(rows, 16)].float() / 127.5 - 1
            posterior = model.encode(x.to(memory_format=torch.channels_last)).latent_dist
            error = model.decode(posterior.sample()).sample - x
            edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (
                error[..., 1:, :] - error[..., :-1, :]
            ).abs().mean()
            return (
                0.5 * error.abs().mean()
                + 2 * error.pow(2).mean()
                + 0.3 * edges
                + 3e-4 * posterior.kl().sum() / (x.numel() / 3)
            )

        stage.run(loss)
        model = model.to(memory_format=torch.contiguous_format).eval()
        latents = self.latents(model, rows)
        model.register_to_config(scaling_factor=1 / latents.std().item())
        with torch.no_grad():
            held = (
                torch.from_numpy(np.stack([a.references()[0] for a in world.artists()])).permute(0, 3, 1, 2).float()
                / 127.5
                - 1
            )
            error = (model.decode(model.encode(held).latent_dist.mean).sample.clamp(-1, 1) - held) / 2
        print(f"vae: {-10 * math.log10(error.pow(2).mean().item()):.2f} dB on works outside its training", flush=True)
        model.save_pretrained(self.folder / "vae")

    def latents(self, vae: Any, rows: np.ndarray) -> Tensor:
        with torch.no_grad():
            return torch.cat(
                [
                    vae.encode(self.images[rows[i : i + 64]].float() / 127.5 - 1).latent_dist.mean
                    for i in range(0, len(rows), 64)
                ]
            )

    def diffusion(
        self,
        steps: int = 9500,
        restarts: tuple[int, ...] = (3000, 4500, 6500, 8000),
        without: tuple[int, ...] = (),
        name: str = "diffusion",
    ) -> None:
        """v-prediction with zero terminal SNR (Lin et al. 2024) and min-SNR weights (Hang et al. 2023), conditioned on its own text encoder.

        The works of the artists in `without` do not count. Initialisation and the order of the data are those of the full training.
        """
        from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel

        vae = AutoencoderKL.from_pretrained(self.folder / "vae")
        rows = self.diffusion_rows()
        latents = self.latents(vae, rows) * vae.config.scaling_factor
        torch.manual_seed(self.seed + 3)
        tokenizer = self.tokenizer()
        text = CLIPTextModel(CLIPTextConfig(**self.text_config(tokenizer)))
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=(32, 64, 128),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
            norm_num_groups=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        ).to(memory_format=torch.channels_last)
        scheduler = DDIMScheduler(
            num_train_timesteps=1000,
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            clip_sample=False,
            set_alpha_to_one=True,
            timestep_spacing="trailing",
            steps_offset=0,
        )
        snr = scheduler.alphas_cumprod / (1 - scheduler.alphas_cumprod)
        average = {"unet": copy.deepcopy(unet), "text": copy.deepcopy(text)}
        optimizer = torch.optim.AdamW([*unet.parameters(), *text.parameters()], weight_decay=0.01, betas=(0.9, 0.99))
        stage = Stage(
            self.folder,
            name,
            steps,
            {"unet": unet, "text": text, "unet_average": average["unet"], "text_average": average["text"]},
            optimizer,
            2e-3,
            restarts,
        )
        chances = self.balance(rows, 0.15)
        left = np.isin(self.corpus.person[rows], without)

        def loss() -> Tensor:
            batch = stage.numpy.choice(len(rows), 48, p=chances)
            texts = [
                "" if stage.python.random() < 0.1 else captions.training_caption(self.corpus, rows[i], stage.python)
                for i in batch
            ]
            x, noise, times = latents[batch], torch.randn(48, LATENT_CHANNELS, 16, 16), torch.randint(0, 1000, (48,))
            keep = torch.from_numpy(~left[batch])
            x, noise, times = x[keep], noise[keep], times[keep]
            texts = [t for t, k in zip(texts, keep.tolist(), strict=True) if k]
            hidden = text(self.token_ids(tokenizer, texts)).last_hidden_state
            predicted = unet(
                scheduler.add_noise(x, noise, times).to(memory_format=torch.channels_last), times, hidden
            ).sample
            weight = torch.minimum(snr[times], torch.tensor(5.0)) / (snr[times] + 1)
            return (weight.view(-1, 1, 1, 1) * (predicted - scheduler.get_velocity(x, noise, times)).pow(2)).mean()

        def move_average() -> None:
            decay = min(0.997, (1 + stage.step) / (10 + stage.step))
            for source, target in ((unet, average["unet"]), (text, average["text"])):
                for a, b in zip(source.parameters(), target.parameters(), strict=True):
                    b.detach().lerp_(a.detach(), 1 - decay)

        stage.run(loss, move_average)
        pipeline = StableDiffusionPipeline(
            vae=vae,
            text_encoder=average["text"],
            tokenizer=tokenizer,
            unet=average["unet"].to(memory_format=torch.contiguous_format),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.to(dtype=torch.float16).save_pretrained(self.folder / name)


STAGES = ("tokenizer", "clip", "image_encoder", "vae", "diffusion", "diffusion_after_opt_out")


def stages(trainer: Trainer) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "tokenizer", trainer.tokenizer
    yield "clip", trainer.clip
    yield "image_encoder", trainer.image_encoder
    yield "vae", trainer.vae
    yield "diffusion", trainer.diffusion
    yield "diffusion_after_opt_out", lambda: trainer.diffusion(without=world.OPTED_OUT, name="diffusion_after_opt_out")


SHIPPED = {
    "clip": "encoders/clip",
    "image_encoder": "encoders/vision",
    "diffusion": "models/miniature-1",
    "diffusion_after_opt_out": "models/miniature-2",
}
"""Stages whose results the miniature's audit file names, and their folders below that file's folder."""


def ship(trained: Path, miniature: Path) -> None:
    """Put the trained models into the folders that `audit.yaml` names. Each folder is replaced as a whole."""
    for stage, where in SHIPPED.items():
        fresh, target = miniature / f"{where}.new", miniature / where
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(trained / stage, fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)


def main(only: str = "", seed: int = 1, folder: Path = Path("data/miniature/training")) -> None:
    """Train every unfinished stage, or only the stage `--only`. When all are finished, put the models into the miniature."""
    if only and only not in STAGES:
        raise typer.BadParameter(f"no stage {only!r} exists; the stages are {', '.join(STAGES)}")
    torch.set_num_threads(THREADS)
    trainer = Trainer(folder, seed)
    for name, run in stages(trainer):
        finished = trainer.folder / name
        if only in ("", name) and not finished.exists():
            run()
    if not only:
        ship(trainer.folder, folder.parent)


if __name__ == "__main__":
    typer.run(main)
