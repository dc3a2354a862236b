"""Which pipelines take a picture beside the prompt: their own class does, or diffusers has one of the same components that does.

The sources are read and not imported, because importing diffusers loads torch.
"""

import ast
from functools import cache

from audit_assets.models.pipeline_source import installed, pipeline_source
from audit_assets.models.pipelines import ResolvedModel

NO_PICTURES = "this model takes no pictures"
_FROM_TEXT, _FROM_PICTURES = "AUTO_TEXT2IMAGE_PIPELINES_MAPPING", "AUTO_IMAGE2IMAGE_PIPELINES_MAPPING"


def picture_class(pipeline: str) -> str | None:
    """Return the class of diffusers that draws from a picture with the components of this one; None if none does."""
    source = pipeline_source(pipeline)
    if source is not None and "image" in source.takes:
        return pipeline
    by_family = _families()
    family = next((name for name, own in by_family[_FROM_TEXT].items() if own == pipeline), None)
    found = by_family[_FROM_PICTURES].get(family or "")
    taking = pipeline_source(found) if found else None
    return found if taking is not None and "image" in taking.takes else None


def takes_no_pictures(resolved: ResolvedModel) -> str:
    """Say why a model cannot be given a picture, and what would settle it; empty if it can."""
    if resolved.source == "image_folder":
        return "saved images do not say which work the model was given; ask a local pipeline, or a model behind an API."
    if resolved.source == "api":
        if resolved.api is not None and resolved.api.edits:
            return ""
        return f"{NO_PICTURES}: audit.yaml does not say that its server has /images/edits; set `api.edits` if it does."
    if resolved.source == "diffusers" and picture_class(str(resolved.pipeline_class)) is None:
        return (
            f"{NO_PICTURES}: diffusers has no image-to-image class for {resolved.pipeline_class}; ask by another way."
        )
    return ""


@cache
def _families() -> dict[str, dict[str, str]]:
    """Return the tables in which diffusers keeps the class of each family of pipelines, by task."""
    tree = ast.parse((installed() / "pipelines" / "auto_pipeline.py").read_text(encoding="utf-8"))
    found: dict[str, dict[str, str]] = {_FROM_TEXT: {}, _FROM_PICTURES: {}}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in found:
            pairs = (one for one in ast.walk(node.value) if isinstance(one, ast.Tuple) and len(one.elts) == 2)
            found[node.targets[0].id] = {
                str(key.value): own.id
                for key, own in (pair.elts for pair in pairs)
                if isinstance(key, ast.Constant) and isinstance(own, ast.Name)
            }
    return found
