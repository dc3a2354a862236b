"""What a pipeline class of the installed diffusers takes, needs and returns, from its source.

The source is parsed, because importing diffusers loads torch, which takes seconds.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

REQUIRED = "(required)"
"""This stands for the default of a parameter that has none."""
_IMAGES = (
    "image",
    "images",
    "mask_image",
    "control_image",
    "init_image",
    "input_image",
    "reference_image",
    "condition_image",
    "conditioning_image",
    "example_image",
    "source_prompt",
    "video",
)
_DRAW_WITHOUT = frozenset({"GlmImagePipeline", "StableCascadeCombinedPipeline", "UniDiffuserPipeline"})
"""These draw from a prompt alone, and leave it to a helper to see that no image was given."""
_BEGINS_WITH_AN_IMAGE = re.compile("Edit|Inpaint|Img2Img|ControlNet|Refiner|Upscale|SuperResolution|Layered|Pix2Pix")
_GUIDED = "do_classifier_free_guidance"
_MADE_OF = {
    "frames": "a video",
    "videos": "a video",
    "audios": "sound",
    "image_embeds": "embeddings for another pipeline",
    "image_embeddings": "embeddings for another pipeline",
    "text": "text",
    "texts": "text",
}
"""This says in words what a pipeline's output holds if it holds no images."""


def installed() -> Path:
    """Return the folder of the installed diffusers. Nothing is imported."""
    found = importlib.util.find_spec("diffusers")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@cache
def _files() -> dict[str, Path]:
    """Return the file that defines each class of diffusers' pipelines."""
    found: dict[str, Path] = {}
    for file in sorted((installed() / "pipelines").rglob("*.py")):
        # A literal beginning lets the search skip from newline to newline: a fifth of the time of ^ in lines of text.
        for name in re.findall(rb"\nclass (\w+)", b"\n" + file.read_bytes()):
            found.setdefault(name.decode(), file)
    return found


@dataclass(frozen=True)
class PipelineSource:
    """The methods of one class, its own before inherited ones, and the constants of its module."""

    name: str
    methods: Mapping[str, ast.FunctionDef]
    constants: Mapping[str, Any]

    @cached_property
    def takes(self) -> dict[str, Any]:
        """Map each parameter of the call to its default, REQUIRED if there is none, and Ellipsis if it is no literal."""
        call = self.methods["__call__"].args
        positional = [*call.posonlyargs, *call.args]
        defaults = [*[None] * (len(positional) - len(call.defaults)), *call.defaults]
        pairs = [*zip(positional, defaults, strict=True), *zip(call.kwonlyargs, call.kw_defaults, strict=True)]
        return {a.arg: REQUIRED if d is None else self._literal(d) for a, d in pairs if a.arg != "self"}

    @cached_property
    def components(self) -> list[str]:
        """The parameters with which the pipeline is built: its components, and options."""
        begin = self.methods.get("__init__")
        return [a.arg for a in (*begin.args.args, *begin.args.kwonlyargs)] if begin else []

    def _literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and node.id in self.constants:
            return self.constants[node.id]
        try:
            return ast.literal_eval(node)
        except ValueError:
            return ...

    @cached_property
    def needs(self) -> str | None:
        """A parameter beside the prompt without which the pipeline does not draw; None if a prompt alone suffices."""
        for name, default in self.takes.items():
            if default == REQUIRED and name not in ("prompt", "args", "kwargs"):
                return name
        for name in _IMAGES:
            if name not in self.takes or self.name in _DRAW_WITHOUT:
                continue
            if _BEGINS_WITH_AN_IMAGE.search(self.name):
                return name
            if self._is_refused_without(name) or not self._is_asked_for(name):
                return name
        return None

    def _is_asked_for(self, name: str) -> bool:
        """Whether the call tests if this parameter was given at all."""
        tests: list[ast.expr] = []
        for node in ast.walk(self.methods["__call__"]):
            if isinstance(node, ast.If | ast.IfExp):
                tests.append(node.test)
            elif isinstance(node, ast.Assign):
                tests.append(node.value)
        return any(_is_about(part, name) for test in tests for part in ast.walk(test))

    def _is_refused_without(self, name: str) -> bool:
        """Whether the call, or the check of its inputs, raises an error if this parameter is None."""
        for method in ("__call__", "check_inputs"):
            for node in ast.walk(self.methods[method]) if method in self.methods else ():
                if (
                    isinstance(node, ast.If)
                    and isinstance(node.test, ast.Compare)
                    and _is_about(node.test, name)
                    and isinstance(node.test.ops[0], ast.Is)
                    and isinstance(node.body[0], ast.Raise)
                ):
                    return True
        return False

    @cached_property
    def makes(self) -> str | None:
        """In words, what the pipeline makes in place of images; None if it makes images, or the source does not show it."""
        if {"num_frames", "video_length"} & self.takes.keys():
            return "a video"
        if "Prior" in self.name:
            return "embeddings for another pipeline"
        fields = {
            keyword.arg
            for node in ast.walk(self.methods["__call__"])
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call)
            for keyword in node.value.keywords
        }
        if fields & {"images", "image"}:
            return None
        return next((words for field, words in _MADE_OF.items() if field in fields), None)

    @cached_property
    def hands_generators(self) -> bool:
        """Whether every step of a scheduler is handed what the call was given as `generator`, by name or among further arguments."""
        steps = [
            node
            for method in self.methods.values()
            for node in ast.walk(method)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step"
        ]
        return all(
            any(keyword.arg in (None, "generator") for keyword in step.keywords)
            or any(_named(given) == "generator" for given in step.args)
            for step in steps
        )

    @cached_property
    def guided_above(self) -> float | None:
        """The guidance above which the pipeline reads a negative prompt; None if its source does not show one.

        It has a property for this, or its call compares the guidance itself.
        """
        shown = (self.methods[name] for name in (_GUIDED, "__call__") if name in self.methods)
        for node in (node for method in shown for node in ast.walk(method)):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt) and _is_guidance(node.left):
                limit = node.comparators[0]
                if isinstance(limit, ast.Constant) and isinstance(limit.value, int | float):
                    return float(limit.value)
        return None

    @cached_property
    def is_guided_by_its_unet(self) -> bool:
        """Whether the pipeline reads no negative prompt if its UNet hears the guidance itself, as one that was distilled for few steps."""
        shown = self.methods.get(_GUIDED)
        return shown is not None and "time_cond_proj_dim" in ast.unparse(shown)


def _is_guidance(node: ast.AST) -> bool:
    """Whether an expression is `guidance_scale`, or an attribute of this name."""
    name = node.attr if isinstance(node, ast.Attribute) else _named(node)
    return name is not None and name.lstrip("_") == "guidance_scale"


def _is_about(node: ast.AST, name: str) -> bool:
    """Whether an expression is `name`, `not name`, `name is None` or `name is not None`."""
    if isinstance(node, ast.Compare):
        return (
            isinstance(node.left, ast.Name)
            and node.left.id == name
            and isinstance(node.ops[0], ast.Is | ast.IsNot)
            and isinstance(node.comparators[0], ast.Constant)
            and node.comparators[0].value is None
        )
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) and _named(node.operand) == name


def _named(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


@cache
def pipeline_source(name: str) -> PipelineSource | None:
    """Return what a pipeline's source says; None if the installed diffusers has no pipeline of this name."""
    methods: dict[str, ast.FunctionDef] = {}
    constants: dict[str, Any] = {}
    for tree, definition in _lineage(name):
        for node in definition.body:
            if isinstance(node, ast.FunctionDef) and not _is_setter(node):
                methods.setdefault(node.name, node)
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    constants.setdefault(node.targets[0].id, ast.literal_eval(node.value))
                except ValueError:
                    continue
    return PipelineSource(name, methods, constants) if "__call__" in methods else None


def _is_setter(node: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Attribute) and d.attr == "setter" for d in node.decorator_list)


def _lineage(name: str) -> Iterator[tuple[ast.Module, ast.ClassDef]]:
    """Yield a class and those that it inherits from, as far as diffusers' pipelines define them."""
    file = _files().get(name)
    if file is None or name == "DiffusionPipeline":
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    definition = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    yield tree, definition
    for base in definition.bases:
        if isinstance(base, ast.Name):
            yield from _lineage(base.id)
