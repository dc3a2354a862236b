"""A small audit that answers all three questions about one artist of the miniature, by models and encoders of the test's own."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from audit_assets_tests.conftest import MINIATURE

NAME, WORKS = "Mara Ulvang", "mara-ulvang"
IMAGES = 5
"""The fewest with which an artist can have another verdict than `not auditable`."""
MODEL: dict[str, Any] = {
    "name": "miniature-1",
    "source": "diffusers",
    "path": str(MINIATURE / "models" / "miniature-1"),
    "approved": True,
    "settings": {"steps": 15, "guidance": 3.0, "size": 32},
}
ENCODER = {"name": "miniature-clip", "kind": "image_text", "path": str(MINIATURE / "encoders" / "clip")}


def write(
    folder: Path, models: Sequence[dict[str, Any]], encoders: Sequence[dict[str, Any]], *, control_names: int
) -> Path:
    """Write the audit file, its protocol and the artist's works into a folder."""
    shutil.copytree(MINIATURE / "generated" / "references" / WORKS, folder / "works")
    (folder / "protocol.yaml").write_text(f"name: one\ntemplates: ['Artwork from {{name}}']\ntrials: {IMAGES}\n")
    content = {
        "protocol": "protocol.yaml",
        "artist": NAME,
        "references": "works/",
        "controls": {"random_names": control_names, "recombined_names": 0},
        "models": list(models),
        "encoders": list(encoders),
    }
    (folder / "audit.yaml").write_text(yaml.safe_dump(content))
    return folder / "audit.yaml"
