"""Compute the table of estimated costs in docs/operations.md from assumptions that the table itself states.

    python -m benchmarks.costs

Torch counts the FLOPs of 50 steps with guidance and one decoding on the architectures of SD 1.5 and SDXL, without
weights. Peaks are the makers' dense half-precision figures. The share of the peak and the prices are assumptions:
replace them by the values that you observe.
"""

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.simulation import written_in

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
GPUS = {"T4": (65, 0.35), "L4": (121, 0.70), "RTX 4090": (165, 0.50), "A100": (312, 1.80), "H100": (989, 3.00)}
"""Dense TFLOP/s in half precision; assumed price of an hour."""
SHARE = 0.4
"""Of the peak that a batched pipeline reaches."""
STEPS = 50
SUBJECTS, IMAGES = 250 + 70 + 70, 10
"""250 artists and both pools of control names, one template."""


@cache
def tflop_an_image() -> dict[str, float]:
    """Return the TFLOP per image of each model.

    Raise AssertionError if a model does not have as many parameters as the published weights.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    wide: dict[str, Any] = {
        "sample_size": 128, "cross_attention_dim": 2048, "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20), "block_out_channels": (320, 640, 1280), "use_linear_projection": True,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    }  # fmt: skip
    with torch.device("meta"):  # shapes alone
        small = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
        large = UNet2DConditionModel(**wide)
        decoder = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        )  # fmt: skip
        assert [sum(p.numel() for p in m.parameters()) for m in (small, large)] == [859_520_964, 2_567_463_684]
        conditions = {"text_embeds": torch.empty(1, 1280), "time_ids": torch.empty(1, 6)}
        return {
            "SD 1.5, 512 px": _tflop(small, decoder, 64, 768, {}),
            "SDXL, 1024 px": _tflop(large, decoder, 128, 2048, {"added_cond_kwargs": conditions}),
        }


def _tflop(unet: Any, decoder: Any, side: int, width: int, more: dict[str, Any]) -> float:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    latent = torch.empty(1, 4, side, side)
    with FlopCounterMode(display=False) as step:
        unet(sample=latent, timestep=torch.tensor(1), encoder_hidden_states=torch.empty(1, 77, width), **more)
    with FlopCounterMode(display=False) as decoding:
        decoder.decode(latent)
    return float(2 * STEPS * step.get_total_flops() + decoding.get_total_flops()) / 1e12


def costs() -> str:
    """Return the table as Markdown."""
    lines = [
        f"| GPU | peak, TFLOP/s | assumed per hour | {' | '.join(f'{m}: images/s | hours | cost' for m in tflop_an_image())} |",
        f"|---|---|---|{'---|---|---|' * len(tflop_an_image())}",
    ]
    for gpu, (peak, price) in GPUS.items():
        cells = []
        for flop in tflop_an_image().values():
            rate = SHARE * peak / flop
            hours = SUBJECTS * IMAGES / rate / 3600
            cells += [f"{rate:.2f}", f"{hours:.1f}", f"${hours * price:.2f}"]
        lines.append(f"| {gpu} | {peak} | ${price:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def blocks() -> dict[str, str]:
    said = f"{SUBJECTS} subjects x {IMAGES} images, {SHARE:.0%} of the peak:"
    return {"costs": f"{said}\n\n{costs()}"}


if __name__ == "__main__":
    PAGE.write_text(written_in(PAGE.read_text(encoding="utf-8"), blocks()), encoding="utf-8")
