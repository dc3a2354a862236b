"""Near copies of real works in words: how they were found, and how many false ones the list may have."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from audit_assets.measurement.copy_detection import CONFIDENCE
from audit_assets.publication.words.numbers import counted, isolated, known, percent

NOT_LOOKED_FOR = "Near copies of real works were not looked for: an earlier version of the audit made this database."
TEXT_NOT_LOOKED_FOR = (
    "Text in images was not looked for. An encoder that reads text can take an image for an artist's because the name or signature "
    "is written in it."
)


def text(images: int, with_text: int, naming: int) -> str:
    """What was read in the images of a version. ``images``: those that were read; 0 if text was not looked for."""
    if not images:
        return f"{TEXT_NOT_LOOKED_FOR} Set `text_in_images: true` in the audit file, with the extra `ocr`."
    said = (
        f"{counted(images, 'image')} {'was' if images == 1 else 'were'} searched for text. Text was read in {with_text}, and in {naming} it names the artist or the control name that the image "
        "was made for."
    )
    blurred = " With all of it blurred, the verdicts are those of the setting “text in images blurred” below “What the result depends on”."
    return said + (blurred if with_text else "")


def text_of_artist(row: Mapping[str, Any]) -> str:
    """The text that was read in one image, for the artist's page."""
    names = "which names the artist" if row["names_artist"] else "which does not name the artist"
    return f"Text was read in the image of template {row['template']}, trial {row['trial']}: “{isolated(str(row['text']))}”, {names}."


def texts_of_version(rows: pd.DataFrame, version: str) -> list[str]:
    """The text that was read in images of one model version. ``rows``: of `read_artist.texts`."""
    own = rows[rows["model_version"] == version].to_dict("records")
    return [text_of_artist({str(k): v for k, v in row.items()}) for row in own]


def found(about: Mapping[str, Any] | None) -> list[str]:
    """What the search for near copies did and found, one sentence each. ``about``: the row of `copy_detection`, None without one."""
    if about is None:
        return [NOT_LOOKED_FOR]
    if not about["works"] or not about["images"]:
        return [
            f"Near copies of real works could not be looked for. {about['reason']} What would settle it: {about['settle']}"
        ]
    copies = int(about["copies"])
    said = [
        f"{counted(about['images'], 'image')} of this version, of every name that was asked for, were compared with "
        f"{counted(about['works'], 'real work')} of all artists, by {about['method']}. "
        f"{counted(copies, 'image is a near copy', 'images are near copies')} of a real work."
    ]
    if known(about["threshold"]) is None:
        said.append(
            f"The list has only pictures that are the same, because no threshold could be set. {about['reason']} "
            f"What would settle it: {about['settle']}"
        )
    else:
        said.append(
            f"Of {counted(about['units'], 'comparison')} that cannot be copies ({about['background']}), {int(about['above'])} reach the threshold "
            "or are the same picture as a work. "
            f"So with {percent(CONFIDENCE, 0)} confidence at most {percent(about['false_share'], 2)} of images that are no copies are called copies."
        )
    if copies:
        said.append(
            "Near copies count in neither experiment: they show that a work is reproduced, and not that a style is imitated."
        )
    return said


def of_artist(row: Mapping[str, Any], name: str) -> str:
    """Whose work an image is a near copy of, for the artist's page."""
    own = "of this artist" if row["subject"] == row["other_subject"] else f"of {isolated(str(row['other']))}"
    asked = "" if row["name"] == name else f" (asked for {isolated(str(row['name']))})"
    return f"A near copy of work {row['work']:.0f} {own}{asked}: similarity {row['similarity']:.3f}, score {row['score']:.2f}."
