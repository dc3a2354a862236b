"""The table of estimated costs in docs/operations.md: arithmetic on assumptions that stand in the table itself.

    python -m benchmarks.costs

TFLOP an image: SD 1.5 by torch's own counter (`benchmarks/generation.py --gpu`, 512 px, 50 steps with guidance); SDXL by the ratio of
published FLOPs of one UNet step (6.0 at 1024 px to 0.68 at 512 px). Peaks are the makers' dense half-precision figures. The share of the peak and the prices are
assumptions, to be replaced by what you see.
"""

from pathlib import Path

from benchmarks.simulation import written_in

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
TFLOP_AN_IMAGE = {"SD 1.5, 512 px": 82.5, "SDXL, 1024 px": 82.5 * 6.0 / 0.68}
"""800 TFLOP/s are 9.7 images/s of the first."""
GPUS = {"T4": (65, 0.35), "L4": (121, 0.70), "RTX 4090": (165, 0.50), "A100": (312, 1.80), "H100": (989, 3.00)}
"""Dense TFLOP/s in half precision; assumed price of an hour."""
SHARE = 0.4
"""Of the peak that a batched pipeline reaches."""
SUBJECTS, IMAGES = 250 + 70 + 70, 10
"""250 artists and both pools of control names, one template."""


def costs() -> str:
    """The table as Markdown."""
    lines = [
        f"| GPU | peak, TFLOP/s | assumed an hour | {' | '.join(f'{m}: images/s | hours | cost' for m in TFLOP_AN_IMAGE)} |",
        f"|---|---|---|{'---|---|---|' * len(TFLOP_AN_IMAGE)}",
    ]
    for gpu, (peak, price) in GPUS.items():
        cells = []
        for flop in TFLOP_AN_IMAGE.values():
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
