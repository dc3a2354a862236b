"""What the graph of ComfyUI says about the image that it made: what all its samplers agree on.

A prompt is known if one text alone leads to the samplers. If several do, whatever joins them, or if a node adds words to a
text, the texts are kept and no prompt is known.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from audit_assets.untrusted.making import FROM_AN_IMAGE, UNSTATED, Said, of_texts, whole, with_adapters

_WORDS = re.compile(
    r"text|prompt|string|positive|t5xxl|clip_[lgh]$|value|style|wildcard|caption|artist|subject|"
    r"replace|find|prefix|suffix|append|prepend",
    re.I,
)
"""Inputs of these names hold words that can be part of a prompt, even one word alone."""
_NO_WORDS = re.compile(r"neg|_name$|^(ckpt|lora|control_?net|model|clip|vae|image|filename|file|path)", re.I)
"""Inputs of these names hold words of a negative prompt, or the name of a file."""
_NO_TEXT = re.compile(
    r"neg|^(clip|model|vae|images?|pixels|mask|samples|noise|sampler|sigmas|control_?net|latent\w*|clip_vision\w*|style_model)$",
    re.I,
)
"""Links of these names lead to no text of the prompt."""
_A_FILE = re.compile(r"\.(safetensors|sft|ckpt|pth?|bin|gguf|onnx|png|jpe?g|webp|gif|mp4|txt|yaml|json)$", re.I)
_NOTHING = ("", "none", "disabled", "false", "true", "base", "fixed", "randomize", "increment", "decrement")
_MODELS = ("ckpt_name", "unet_name", "model_name")
_WIDGETS = {
    "CLIPTextEncode": ("text",),
    "KSampler": ("seed",),
    "KSamplerAdvanced": ("add_noise", "noise_seed"),
    "RandomNoise": ("noise_seed",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "LoraLoader": ("lora_name",),
    "LoraLoaderModelOnly": ("lora_name",),
}
"""The first values of nodes that a saved workflow lists without their names."""
_ADAPTER = re.compile(r"(lora|lycoris|hypernetwork)(_name)?(_?\d+)?|(lora|hypernetwork)_name\w*", re.I)
_LOADS_AN_IMAGE = re.compile(r"load.*(image|video)", re.I)
_MOST_NODES = 5_000


def of_prompt(text: str) -> Said | None:
    """Read the graph that ComfyUI ran."""
    nodes = json.loads(text)
    if not isinstance(nodes, dict) or len(nodes) > _MOST_NODES:
        return None
    graph = {
        str(key): node for key, node in nodes.items() if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    return _of_graph(graph, "prompt (ComfyUI)")


def of_workflow(text: str) -> Said | None:
    """Read the graph as the editor saves it."""
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
        if node.get("type") not in _WIDGETS:
            shown = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
            inputs |= {f"widget {place}": value for place, value in enumerate(shown)}
        for port in node.get("inputs") or []:
            if port.get("link") in sources:
                inputs[port["name"]] = sources[port["link"]]
        graph[str(node["id"])] = {"class_type": node.get("type"), "inputs": inputs}
    return _of_graph(graph, "workflow (ComfyUI)")


def _of_graph(graph: Mapping[str, Any], origin: str) -> Said | None:
    texts: list[str] = []
    seeds: set[int] = set()
    models: set[str] = set()
    adapters: list[str] = []
    apart = None
    for node in graph.values():
        inputs = node["inputs"]
        if not ({"positive", "guider"} & inputs.keys() and {"seed", "noise_seed", "noise"} & inputs.keys()):
            continue
        start = inputs["positive"] if "positive" in inputs else inputs["guider"]
        found = list(_words_behind(graph, start))
        if not found:
            apart = apart or UNSTATED
        texts += [*found, *_words({key: value for key, value in inputs.items() if _WORDS.search(key)})]
        seeds |= set(_numbers(graph, inputs))
        models |= set(_strings(graph, inputs.get("model", inputs.get("guider")), _MODELS, ("model",)))
        for above in _above(graph, inputs):
            adapters += _adapters(above["inputs"])
            if _LOADS_AN_IMAGE.search(str(above.get("class_type"))):
                apart = FROM_AN_IMAGE
    if not texts and apart is None:  # no node is a sampler that is known here
        texts = [
            text
            for node in graph.values()
            if "Note" not in str(node.get("class_type"))
            for text in _words(node["inputs"])
        ]
    prompt, texts_apart = of_texts(texts)
    model = next(iter(models)) if len(models) == 1 else None
    seed = next(iter(seeds)) if len(seeds) == 1 else None
    model = with_adapters(model, adapters)
    if (prompt, seed, model, apart, texts_apart) == (None, None, None, None, ()):
        return None
    return Said(prompt, seed, model, origin, apart, texts_apart)


def _words_behind(graph: Mapping[str, Any], link: Any) -> Iterator[str]:
    """Yield the texts of every node that a link leads to, except through inputs that bring no text of the prompt."""
    if isinstance(link, str):
        yield link
    links, seen = [link], set()
    while links:
        link = links.pop()
        if isinstance(link, list) and link and (key := str(link[0])) in graph and key not in seen:
            seen.add(key)
            inputs = graph[key]["inputs"]
            yield from _words(inputs)
            links += [value for name, value in inputs.items() if not _NO_TEXT.search(name)]


def _words(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of one node: those whose input can hold words, and any other text of two words or more."""
    for name, value in inputs.items():
        if not isinstance(value, str) or _NO_WORDS.search(name) or _A_FILE.search(value.strip()):
            continue
        known = _WORDS.search(name) and value.strip().lower() not in _NOTHING and re.search(r"\w", value)
        if known or re.search(r"[^\W\d_]\W*\s+\W*[^\W\d_]", value):
            yield value


def _above(graph: Mapping[str, Any], inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every node that a node's inputs come from, near or far."""
    links, seen = list(inputs.values()), set()
    while links:
        link = links.pop()
        if isinstance(link, list) and link and (key := str(link[0])) in graph and key not in seen:
            seen.add(key)
            yield graph[key]
            links += graph[key]["inputs"].values()


def _adapters(inputs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the adapters that a node loads: `lora_name`, or slots such as `{"on": true, "lora": "a.safetensors"}`."""
    for key, value in inputs.items():
        if isinstance(value, str) and _ADAPTER.fullmatch(key):
            yield value
        if isinstance(value, Mapping) and isinstance(value.get("lora"), str) and value.get("on", True):
            yield value["lora"]


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
        if (number := whole(value)) is not None:
            yield number
            return
        if not (isinstance(value, list) and value and str(value[0]) in graph):
            return
        of = graph[str(value[0])]["inputs"]
        value = next((of[name] for name in ("seed", "noise_seed", "value", "int") if name in of), None)
