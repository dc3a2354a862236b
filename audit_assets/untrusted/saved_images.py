"""These functions read what the program that drew an image wrote into the file: prompt, seed and model.

Known are the web UI and its kin (`parameters`), ComfyUI (`prompt`, `workflow`), InvokeAI (`invokeai_metadata`,
`sd-metadata`), NovelAI (`Comment`), Midjourney (`Description`, or the name of the file) and DALL-E (the name of the file).
A value that is not certain is left out: if two samplers of a workflow have different seeds, no seed is known.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from audit_assets.untrusted.images import FORMATS
from audit_assets.untrusted.png import MAGIC, texts_of

LONGEST_PROMPT = 20_000
FILE_NAME = "file name"
"""An origin that begins with this is the name of the file."""
_MOST_NODES = 5_000


class Said(NamedTuple):
    """This is what a file says about its making. None stands for what it does not say."""

    prompt: str | None
    seed: int | None
    model: str | None
    origin: str
    """Where in the file the values were found."""


def said_in(path: Path) -> Said | None:
    """Return what a file says about its making, and None if it says nothing that is known here.

    No pixel is decoded, and no content of a text raises an error.
    """
    texts = _texts(path)
    for key, read in _READERS.items():
        if key in texts:
            with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
                if (found := _clean(read(texts[key]))) is not None:
                    return found
    return _clean(_of_name(path.stem))


def _clean(found: Said | None) -> Said | None:
    """Return values that can be kept: texts that are Unicode and not endless, seeds below 2^64."""
    if found is None:
        return None
    prompt, model = (_text(value) for value in (found.prompt, found.model))
    seed = found.seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        seed = None
    return None if (prompt, seed, model) == (None, None, None) else Said(prompt, seed, model, found.origin)


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST_PROMPT:
        return None
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip() or None


def _whole(value: Any) -> int | None:
    """Return a whole number that is written as a number or as digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# ---- where texts lie
def _texts(path: Path) -> dict[str, str]:
    with suppress(OSError):
        with open(path, "rb") as file:
            is_png = file.read(len(MAGIC)) == MAGIC
        if is_png:
            return {key.lower(): text for key, text in texts_of(path)}
        with suppress(Exception):  # a damaged file makes a decoder raise any exception; open_image refuses it by name
            return _of_exif(path)
    return {}


def _of_exif(path: Path) -> dict[str, str]:
    """The texts of a JPEG, WebP or AVIF. ComfyUI writes `prompt:{...}` into any text field."""
    with Image.open(path, formats=FORMATS) as image:
        exif, comment = image.getexif(), image.info.get("comment", b"")
        found = {}
        if comment:
            found["parameters"] = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
        user = exif.get_ifd(0x8769).get(0x9286, b"")
        if user:
            found["parameters"] = _user_comment(user)
        for value in exif.values():
            if isinstance(value, str) and (known := re.match(r"\s*(prompt|workflow)\s*:\s*(?=\{)", value, re.I)):
                found[known[1].lower()] = value[known.end() :]
        return found


def _user_comment(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    code, body = content[:8], content[8:]
    if code.startswith(b"UNICODE"):
        zeros = (body[0::2].count(0), body[1::2].count(0))  # of Latin text; most programs write the large end first
        return body.decode("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be", "replace")
    return (body if code in (b"ASCII\0\0\0", bytes(8)) else content).decode("utf-8", "replace")


# ---- the web UI
def _parameters(text: str) -> Said | None:
    with suppress(ValueError):  # a prompt of the web UI may begin with a brace too
        if isinstance(found := json.loads(text), dict):
            return _parameters_as_json(found)
    lines = text.replace("\r\n", "\n").split("\n")
    last = next((n for n in range(len(lines) - 1, -1, -1) if re.search(r"(^|, )Steps: [0-9]+", lines[n])), None)
    if last is None:
        return None
    settings = dict(re.findall(r'\s*([\w ./-]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', lines[last]))
    above = "\n".join(lines[:last])
    prompt = re.split(r"(?:^|\n)Negative prompt:", above)[0]
    model = settings.get("Model") or settings.get("Model hash")
    return Said(
        prompt, _whole(settings.get("Seed", "").strip()), model.strip(' "') if model else None, "parameters (web UI)"
    )


def _parameters_as_json(found: Mapping[str, Any]) -> Said:
    """SwarmUI and Fooocus write JSON where the web UI writes lines."""
    own = found.get("sui_image_params", found)
    model = own.get("model") or own.get("base_model") or own.get("Model")
    seed = _whole(own.get("seed", own.get("Seed")))
    return Said(own.get("prompt") or own.get("Prompt"), seed, model, "parameters (JSON)")


# ---- ComfyUI
_TEXTS = ("text", "text_g", "t5xxl", "clip_l", "prompt", "string", "value", "positive")
_MODELS = ("ckpt_name", "unet_name", "model_name")
_WIDGETS = {
    "CLIPTextEncode": ("text",),
    "KSampler": ("seed",),
    "KSamplerAdvanced": ("add_noise", "noise_seed"),
    "RandomNoise": ("noise_seed",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
}
"""The first values of nodes that a saved workflow lists without their names."""


def _comfy(text: str) -> Said | None:
    nodes = json.loads(text)
    if not isinstance(nodes, dict) or len(nodes) > _MOST_NODES:
        return None
    graph = {
        str(key): node for key, node in nodes.items() if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    return _of_graph(graph, "prompt (ComfyUI)")


def _workflow(text: str) -> Said | None:
    found = json.loads(text)
    nodes, links = found["nodes"], found.get("links", [])
    if len(nodes) > _MOST_NODES:
        return None
    sources = {link[0]: [str(link[1]), link[2]] for link in links if isinstance(link, list) and len(link) >= 3}
    graph = {}
    for node in nodes:
        if node.get("mode") in (2, 4):  # muted, bypassed
            continue
        values = node.get("widgets_values")
        inputs: dict[str, Any] = dict(
            zip(_WIDGETS.get(node.get("type"), ()), values if isinstance(values, list) else (), strict=False)
        )
        for port in node.get("inputs") or []:
            if port.get("link") in sources:
                inputs[port["name"]] = sources[port["link"]]
        graph[str(node["id"])] = {"class_type": node.get("type"), "inputs": inputs}
    return _of_graph(graph, "workflow (ComfyUI)")


def _of_graph(graph: Mapping[str, Any], origin: str) -> Said | None:
    """What all samplers of a graph agree on."""
    prompts: set[str] = set()
    seeds: set[int] = set()
    models: set[str] = set()
    for node in graph.values():
        inputs = node["inputs"]
        if not ({"positive", "guider"} & inputs.keys() and {"seed", "noise_seed", "noise"} & inputs.keys()):
            continue
        start = inputs["positive"] if "positive" in inputs else inputs["guider"]
        prompts |= set(_strings(graph, start, _TEXTS, ("conditioning", "positive", "cond1")))
        seeds |= set(_numbers(graph, inputs))
        models |= set(_strings(graph, inputs.get("model", inputs.get("guider")), _MODELS, ("model",)))
    prompt, model = (next(iter(values)) if len(values) == 1 else None for values in (prompts, models))
    seed = next(iter(seeds)) if len(seeds) == 1 else None
    return None if (prompt, seed, model) == (None, None, None) else Said(prompt, seed, model, origin)


def _strings(graph: Mapping[str, Any], link: Any, ends: tuple[str, ...], through: tuple[str, ...]) -> Iterator[str]:
    """The texts at the ends of a link: of the nodes that it leads to, through inputs of some names."""
    open_links, seen = [link], set()
    while open_links:
        link = open_links.pop()
        if not (isinstance(link, list) and link and str(link[0]) in graph) or str(link[0]) in seen:
            continue
        seen.add(str(link[0]))
        inputs = graph[str(link[0])]["inputs"]
        own = [inputs[name] for name in ends if name in inputs]
        yield from dict.fromkeys(value.strip() for value in own if isinstance(value, str) and value.strip())
        open_links += [value for value in own if isinstance(value, list)]
        open_links += [inputs[name] for name in through if name in inputs]


def _numbers(graph: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[int]:
    value = next((inputs[name] for name in ("seed", "noise_seed", "noise") if name in inputs), None)
    for _ in range(8):
        if (number := _whole(value)) is not None:
            yield number
            return
        if not (isinstance(value, list) and value and str(value[0]) in graph):
            return
        of = graph[str(value[0])]["inputs"]
        value = next((of[name] for name in ("seed", "noise_seed", "value", "int") if name in of), None)


# ---- InvokeAI, NovelAI
def _invoke(text: str) -> Said:
    found = json.loads(text)
    model = found.get("model")
    if isinstance(model, dict):
        model = model.get("name") or model.get("model_name") or model.get("key")
    return Said(found.get("positive_prompt"), _whole(found.get("seed")), model, "invokeai_metadata (InvokeAI)")


def _invoke_before(text: str) -> Said:
    found = json.loads(text)
    image = found["image"]
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        prompt = ", ".join(part["prompt"] for part in prompt) if all("prompt" in part for part in prompt) else None
    return Said(prompt, _whole(image.get("seed")), found.get("model_weights"), "sd-metadata (InvokeAI)")


def _dream(text: str) -> Said | None:
    known = re.match(r'"(.*)"(.*)$', text, re.S)
    seed = re.search(r"(?:^|\s)-S\s*([0-9]{1,20})", known[2]) if known else None
    return Said(known[1], int(seed[1]) if seed else None, None, "Dream (InvokeAI)") if known else None


def _novel(text: str) -> Said | None:
    found = json.loads(text)
    if "prompt" not in found or "seed" not in found:
        return None
    return Said(found["prompt"], _whole(found["seed"]), found.get("model"), "Comment (NovelAI)")


# ---- Midjourney, DALL-E
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _midjourney(text: str) -> Said | None:
    known = re.match(rf"(.*?)\s*Job ID: {_UUID}\s*$", text, re.S | re.I)
    return _with_flags(known[1], "Description (Midjourney)") if known else None


def _with_flags(prompt: str, origin: str) -> Said:
    """A prompt of Midjourney ends with flags such as `--v 6.1 --seed 7`."""
    words, _, flags = f" {prompt}".partition(" --")
    flags = f"--{flags}"
    seed = re.search(r"--(?:seed|sameseed) ([0-9]{1,20})\b", flags)
    version = re.search(r"--(v|version|niji) ([0-9][0-9.]*)", flags)
    model = f"Midjourney {'niji ' if version[1] == 'niji' else ''}{version[2]}" if version else "Midjourney"
    return Said(words.strip(), int(seed[1]) if seed else None, model, origin)


def _of_name(stem: str) -> Said | None:
    """Midjourney names a file `<user>_<words of the prompt>_<uuid>`, DALL-E `DALL·E <time> - <prompt>`.

    The name of a file keeps neither punctuation nor the end of a long prompt.
    """
    if known := re.fullmatch(rf"([^_]+)_(.+)_{_UUID}(?:_[0-3])?(?: ?\([0-9]+\))?", stem, re.I):
        return Said(" ".join(known[2].replace("_", " ").split()), None, "Midjourney", "file name (Midjourney)")
    if known := re.fullmatch(r"DALL[·.\-_]?E [0-9-]{10} [0-9.]{5,8} - (.+)", stem):
        return Said(known[1], None, "DALL-E", "file name (DALL-E)")
    return None


_READERS = {
    "invokeai_metadata": _invoke,
    "sd-metadata": _invoke_before,
    "dream": _dream,
    "parameters": _parameters,
    "prompt": _comfy,
    "workflow": _workflow,
    "comment": _novel,
    "description": _midjourney,
}
"""The readers by the keyword of the text. The first one that finds something counts."""
