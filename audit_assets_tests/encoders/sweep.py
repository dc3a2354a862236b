"""Every architecture of encoders, tried: what becomes of a tiny encoder of each. `docs/models.md` has the table that this module makes.

python -m audit_assets_tests.encoders.sweep
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from audit_assets.encoders.encoder import TransformersEncoder
from audit_assets.models.architectures import REFUSED
from audit_assets.models.encoders import ResolvedEncoder, resolve_encoder
from audit_assets.untrusted.weights import read_json
from audit_assets_tests.encoders.tiny_encoders import TINY, save

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
_BEGIN, _END = "<!-- made by audit_assets_tests.encoders.sweep -->", "<!-- end -->"


def pictures(count: int = 5) -> list[Image.Image]:
    draws = np.random.default_rng(5)
    return [Image.fromarray(draws.integers(0, 256, (40, 48, 3), np.uint8)) for _ in range(count)]


@dataclass(frozen=True)
class Tried:
    """What one tiny encoder did."""

    model_type: str
    resolved: ResolvedEncoder
    last_layer: str
    """The module with weights that ran last, seen while an image went through."""
    cosine: float
    """The smallest cosine between our vector of an image and the library's own features of it."""
    labels: str


def tried(family: str, folder: Path) -> Tried:
    resolved = resolve_encoder("tiny", TINY[family].kind, str(save(family, folder)))
    encoder = TransformersEncoder(resolved, "cpu")
    ran: list[str] = []
    for name, module in encoder.model.named_modules():
        if isinstance(getattr(module, "weight", None), torch.nn.Parameter):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    ours = encoder.embed_images(pictures())
    last = ran[-1]
    inputs = dict(encoder.processor(images=pictures(), return_tensors="pt"))
    own = torch.nn.functional.normalize(TINY[family].own(folder, inputs).float(), dim=-1).numpy()
    model_type = str(read_json(folder / "config.json")["model_type"])
    return Tried(model_type, resolved, last, float((ours * own).sum(axis=1).min()), _labels(encoder))


def _labels(encoder: TransformersEncoder) -> str:
    """How labels are read: measured on the tokens of a text in capitals."""
    if encoder.tokenizer is None:
        return "–"
    capitals, small = (encoder.tokenizer.own(text)["input_ids"] for text in ("ART BY KLEE", "art by klee"))
    if encoder.tokenizer.lower_case:
        return "in lower case, by the audit"
    return "in lower case, by its tokenizer" if capitals == small else "as written"


def table() -> str:
    lines = [
        "| architecture | vector of an image | last layer | labels | tried as, compared with |",
        "|---|---|---|---|---|",
    ]
    rows: dict[str, list[tuple[str, Tried]]] = {}
    for family in TINY:
        with tempfile.TemporaryDirectory() as folder:
            found = tried(family, Path(folder))
        if found.cosine < 0.9999:
            raise AssertionError(f"{family} gives other vectors than {TINY[family].own_name}")
        rows.setdefault(_cells(found), []).append((family, found))
    for cells, tries in sorted(rows.items()):
        with_own = ", ".join(f"{family} ({TINY[family].own_name.split(',')[0]})" for family, _ in tries)
        lines.append(f"{cells} {with_own} |")
    lines += ["", "| refused | because |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {reason} |" for name, reason in sorted(REFUSED.items()))])


def _cells(found: Tried) -> str:
    pooling = found.resolved.pooling
    assert pooling is not None
    return f"| `{found.model_type}` | {pooling.output} | `{pooling.layer}` | {found.labels} |"


def section(page: str) -> str:
    """The part of the page that this module makes."""
    found = re.search(f"{re.escape(_BEGIN)}\n(.*?)\n{re.escape(_END)}", page, re.S)
    assert found is not None, f"{PAGE} has no section {_BEGIN}"
    return found[1]


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(f"{_BEGIN}\n{section(page)}\n", f"{_BEGIN}\n{table()}\n"), encoding="utf-8")
