"""Images that an operator saved from a model that only its owner can run: `<folder>/<artist slug or name>/<any name>.{png,jpg,webp}`.

Files count in order of name. An optional `manifest.csv` beside them gives the `prompt`, `date` and `seed` of each `file`. Images
that deviate from the protocol (more or fewer images, unknown seeds, no control names) are kept, and the deviations are
reported. A file that cannot be read as an image is refused by name, and the artist then counts as not supplied.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audit_assets.config import FEWEST_IMAGES, Protocol
from audit_assets.errors import InputError
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.hashing import digest, sha256_once
from audit_assets.untrusted.folders import _manifest, artist_folder, artist_folders
from audit_assets.untrusted.images import open_image
from audit_assets.warehouse.images import ImageStore, status_of


def unclaimed(folder: Path, names: Mapping[str, str]) -> list[str]:
    """One sentence per folder that belongs to no subject. Otherwise a subject with a misspelt folder would only seem not supplied.

    `names`: subject -> name.
    """
    claimed = {artist_folder(folder, subject, name) for subject, name in names.items()}
    return [f"{own.name}: this folder belongs to no subject" for own in artist_folders(folder) if own not in claimed]


def check_names(folder: Path, names: Mapping[str, str]) -> None:
    """InputError if no folder belongs to a subject, because nothing would be audited. `names`: subject -> name."""
    folders = artist_folders(folder)
    if len(unclaimed(folder, names)) == len(folders):
        raise InputError(
            f"{folder}: none of its {len(folders)} folders, such as {folders[0].name!r}, has the name of a subject; rename them to the names in the table of artists."
        )


def fingerprint(files: list[Path]) -> str:
    """The hash of the inputs of a subject's rows: names and bytes of its images, and its manifest."""
    manifest = [files[0].parent / "manifest.csv"] if files else []
    return digest([(file.name, sha256_once(file)) for file in [*files, *(m for m in manifest if m.is_file())]])


def supplied_rows(
    files: list[Path], protocol: Protocol, *, model_version: str, subject: str, name: str, store: ImageStore
) -> pd.DataFrame:
    """One row per image, and one `not_supplied` row per missing image that the protocol asks for.

    An image belongs to the template whose prompt its manifest gives, otherwise to the first template. Trials are numbered in
    order of name. Seed, prompt and date are NULL if the manifest does not give them. InputError names a file that cannot be
    read.
    """
    manifest = _manifest(files)
    prompts = [protocol.prompt(t, name) for t in range(len(protocol.templates))]
    rows, trials = [], [0] * len(prompts)
    for file in files:
        said = manifest.get(file.name, {})
        image = open_image(file)
        template = prompts.index(said["prompt"]) if said.get("prompt") in prompts else 0
        rows.append(
            {
                "model_version": model_version,
                "subject": subject,
                "template": template,
                "trial": trials[template],
                "prompt": said.get("prompt"),
                "seed": int(said["seed"]) if "seed" in said else None,
                "generation_hash": protocol.generation_hash,
                "image_sha256": store.put(image),
                "width": image.width,
                "height": image.height,
                "status": status_of(image),
                "file": f"{file.parent.name}/{file.name}",
                "date": said.get("date"),
            }
        )
        trials[template] += 1
    absent = absent_rows(protocol, model_version=model_version, subject=subject)
    rows += [row for row in absent if row["trial"] >= trials[row["template"]]]
    return imitation_table(rows)


def deviations(table: pd.DataFrame, protocol: Protocol, subjects: pd.DataFrame) -> list[str]:
    """One sentence per deviation of a folder's images from the protocol, for the checks and the report.

    `table` has the rows of any number of subjects; `subjects` has columns subject and kind. A subject with fewer than
    FEWEST_IMAGES images (or fewer than the protocol asks for, if that is less) is `not auditable`. A subject without images
    was not supplied.
    """
    asked = len(protocol.templates) * protocol.trials
    images = table[table["image_sha256"].notna()]
    counts = images.groupby("subject").size().reindex(table["subject"].unique(), fill_value=0)
    kinds = subjects.set_index("subject")["kind"].reindex(counts.index)
    controls = counts[kinds.isin(["random_name", "nonsense"])]
    found = [
        f"{subject}: {count} images, not {asked}" + ("; not auditable" if count < min(FEWEST_IMAGES, asked) else "")
        for subject, count in counts.items()
        if count not in (0, asked)
    ]
    if absent := int((counts == 0).sum()):
        found.insert(0, f"{absent} of {len(counts)} subjects were not supplied")
    if len(controls) and not (controls > 0).any():
        found.insert(
            0,
            "no control name was supplied: the audit cannot show what the model draws for a name that belongs to no artist",
        )
    if unknown := int(images["seed"].isna().sum()):
        found.append(f"{unknown} of {len(images)} images have no known seed")
    if unsaid := int(images["prompt"].isna().sum()):
        found.append(f"{unsaid} of {len(images)} images have no known prompt")
    return found
