"""Images that a person saved from a model which nobody else can run: `<folder>/<artist slug or name>/<any name>.{png,jpg,webp}`.

Files count in order of name. An optional `manifest.csv` beside them says of each `file` its `prompt`, `date` and `seed`. What
a person did otherwise than the protocol (more or fewer images, seeds nobody knows, no control names) is kept and said, never
refused; what cannot be read as an image is refused by name, and the artist then counts as not supplied.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from audit_assets.config import FEWEST_IMAGES, Protocol, digest
from audit_assets.errors import InputError
from audit_assets.generation.tables import absent_rows, imitation_table
from audit_assets.models.files import file_sha256
from audit_assets.references.works import SUFFIXES, artist_folder, read_manifest, works_of
from audit_assets.warehouse.images import ImageStore, check_header, is_blank, open_image

_FIELDS = ("file", "prompt", "date", "seed")


def artist_folders(folder: Path) -> list[Path]:
    """One folder an artist, in order of name. Links are left out: they may lead anywhere."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink())


def folder_files(own: Path) -> list[Path]:
    """The images and the manifest of one artist's folder, in order of name; no links, nothing below."""
    return sorted(
        p
        for p in own.iterdir()
        if (p.suffix.lower() in SUFFIXES or p.name == "manifest.csv") and p.is_file() and not p.is_symlink()
    )


def supplied_files(folder: Path, subject: str, name: str) -> list[Path]:
    """A subject's images in order of name, checked as far as their headers tell; empty where there is no folder for it.

    InputError names a folder that is empty or nested, a link, and a file that is no still RGB image of usual size.
    """
    own = artist_folder(folder, subject, name)
    if own is None:
        return []
    files = works_of(folder, subject, name)
    if nested := sorted(p for p in own.iterdir() if p.is_dir()):
        raise InputError(f"{nested[0]}: is a folder within an artist's; move its images up, or take it away.")
    if not files:
        raise InputError(f"{own}: holds no .png, .jpg or .webp; put the artist's images there, or delete the folder.")
    for file in files:
        check_header(file)
    return files


def folder_problems(folder: Path) -> list[str]:
    """What is wrong with the folder that can be known without decoding an image, one sentence an artist's folder."""
    problems = []
    for entry in sorted(p for p in folder.iterdir() if p.is_dir() or p.is_symlink()):
        try:
            _manifest(supplied_files(folder, entry.name, ""))
        except InputError as error:
            problems.append(str(error))
    return problems


def unclaimed(folder: Path, names: Mapping[str, str]) -> list[str]:
    """The folders that are no subject's, in words: a name that is misspelt would otherwise pass as not supplied.

    `names`: subject -> name.
    """
    claimed = {artist_folder(folder, subject, name) for subject, name in names.items()}
    return [f"{own.name}: is the folder of no subject" for own in artist_folders(folder) if own not in claimed]


def check_names(folder: Path, names: Mapping[str, str]) -> None:
    """InputError where no folder is a subject's: nothing at all would be audited. `names`: subject -> name."""
    folders = artist_folders(folder)
    if len(unclaimed(folder, names)) == len(folders):
        raise InputError(
            f"{folder}: none of its {len(folders)} folders, such as {folders[0].name!r}, has the name of a subject; name them as the table of artists does."
        )


def fingerprint(files: list[Path]) -> str:
    """The hash of what a subject's rows are made from: names and bytes of its images, and its manifest."""
    manifest = [files[0].parent / "manifest.csv"] if files else []
    return digest([(file.name, file_sha256(file)) for file in [*files, *(m for m in manifest if m.is_file())]])


def supplied_rows(
    files: list[Path], protocol: Protocol, *, model_version: str, subject: str, name: str, store: ImageStore
) -> pd.DataFrame:
    """One row an image and one `not_supplied` for each image that the protocol asks for and nobody gave.

    An image belongs to the template whose prompt its manifest gives, else to the first; trials count up in order of
    name. Seed, prompt and date are NULL where the manifest does not say. InputError names a file that cannot be read.
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
                "status": "blank" if is_blank(image) else "ok",
                "file": f"{file.parent.name}/{file.name}",
                "date": said.get("date"),
            }
        )
        trials[template] += 1
    absent = absent_rows(protocol, model_version=model_version, subject=subject)
    rows += [row for row in absent if row["trial"] >= trials[row["template"]]]
    return imitation_table(rows)


def _manifest(files: list[Path]) -> dict[str, dict[str, str]]:
    """What the manifest says of each file: only fields that are filled in, and whose values can be."""
    if not files:
        return {}
    path = files[0].parent / "manifest.csv"
    there = {file.name for file in files}
    said: dict[str, dict[str, str]] = {}
    for number, row in enumerate(read_manifest(files[0].parent, _FIELDS), 2):
        name = row["file"]
        if name in said:
            raise InputError(f"{path}, row {number}, file: {name!r} is given twice; keep one row.")
        if name not in there:
            raise InputError(
                f"{path}, row {number}, file: there is no image {name!r}; correct the name or delete the row."
            )
        said[name] = {field: value for field in _FIELDS[1:] if (value := (row.get(field) or "").strip())}
        _check_values(said[name], f"{path}, row {number}")
    return said


def _check_values(said: Mapping[str, str], where: str) -> None:
    seed, date = said.get("seed"), said.get("date")
    if seed is not None and not (seed.isdecimal() and seed.isascii() and int(seed) < 2**64):
        raise InputError(f"{where}, seed: {seed!r} is no whole number below 2^64; correct it, or leave it empty.")
    if date is not None:
        try:
            datetime.datetime.fromisoformat(date)
        except ValueError:
            raise InputError(f"{where}, date: {date!r} is no date such as 2026-10-31; correct it.") from None


def deviations(table: pd.DataFrame, protocol: Protocol, subjects: pd.DataFrame) -> list[str]:
    """How the images of a folder differ from the protocol, in words, for the checks and the report.

    `table`: the rows of any number of subjects; `subjects`: columns subject and kind. A subject with fewer than
    FEWEST_IMAGES images (or all that the protocol asks for) is `not auditable`; one without any was not supplied.
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
        found.insert(0, "no control name was supplied: what the model draws for a name nobody has is not known")
    if unknown := int(images["seed"].isna().sum()):
        found.append(f"{unknown} of {len(images)} images have no known seed")
    if unsaid := int(images["prompt"].isna().sum()):
        found.append(f"{unsaid} of {len(images)} images have no known prompt")
    return found
