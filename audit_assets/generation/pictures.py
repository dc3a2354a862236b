"""A loaded pipeline that is given a picture beside the prompt. This module imports torch: import it only to make images."""

import inspect
from typing import Any

from diffusers import AutoPipelineForImage2Image
from PIL import Image, ImageOps

from audit_assets.errors import InputError
from audit_assets.generation.imitate import Upload
from audit_assets.models.takes_pictures import NO_PICTURES, picture_class


def taking_pictures(pipeline: Any) -> Any:
    """The same components, adapters included, as the pipeline of diffusers that draws from pictures. InputError if there is none."""
    own = type(pipeline).__name__
    found = picture_class(own)
    if found is None:
        raise InputError(f"{NO_PICTURES}: diffusers has no image-to-image class for {own}.")
    if found == own:
        return pipeline
    taking = AutoPipelineForImage2Image.from_pipe(pipeline, add_watermarker=False)  # most classes take no such argument
    taking.set_progress_bar_config(disable=True)
    return taking


def takes_one_at_a_time(pipeline: Any) -> bool:
    """Whether several pictures would be several references of one image, as in pipelines that edit, and not one for each prompt."""
    return "strength" not in _taken(pipeline)


def with_picture(pipeline: Any, arguments: dict[str, Any], upload: Upload, count: int) -> dict[str, Any]:
    """The arguments of a call for `count` images from one picture, which is cut to the proportions that the model draws."""
    taken, width, height = _taken(pipeline), arguments.get("width"), arguments.get("height")
    picture = upload.picture.convert("RGB")
    if width and height:
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    kept = {name: value for name, value in arguments.items() if name in taken}
    if takes_one_at_a_time(pipeline):
        return {**kept, "image": picture}
    return {**kept, "image": [picture] * count, "strength": upload.strength}


def _taken(pipeline: Any) -> set[str]:
    return set(inspect.signature(type(pipeline).__call__).parameters)
