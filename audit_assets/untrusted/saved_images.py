"""These functions read what the program that drew an image wrote into the file: prompt, seed and model.

Known are the web UI and its kin (`parameters`), ComfyUI (`prompt`, `workflow`), InvokeAI (`invokeai_metadata`,
`sd-metadata`), NovelAI (`Comment`), Draw Things (XMP), Easy Diffusion (`prompt` beside `seed`), Midjourney (`Description`,
or the name of the file) and DALL-E (the name of the file). The prompt is the one that the model was sent, with the words
that the program added. A value that is not certain is left out: if two samplers of a workflow have different seeds, no
seed is known. Words that may not be the prompt, or not all of it, are kept as texts: those of several text fields, of programs that
contradict each other, and of a title or description (`plain_texts`).
"""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from audit_assets.untrusted.comfy import of_prompt, of_workflow
from audit_assets.untrusted.images import FORMATS
from audit_assets.untrusted.making import (
    A_GRID,
    FROM_AN_IMAGE,
    Said,
    adapters_of,
    image_in,
    of_texts,
    whole,
    with_adapters,
)
from audit_assets.untrusted.plain_texts import perhaps_stated, stated
from audit_assets.untrusted.png import MAGIC, exif_of, texts_of

LONGEST_PROMPT = 20_000
_SHOWN = 200
FILE_NAME = "file name"
"""An origin that begins with this is the name of the file."""


def said_in(path: Path) -> Said | None:
    """Return what a file says about its making, and None if it says nothing that is known here.

    No pixel is decoded, and no content of a text raises an error.
    """
    texts = _together(_texts(path))
    records = [found for keys in _READERS if (found := _record(path, texts, keys)) is not None]
    if not any(record.prompt or record.texts or record.apart for record in records):
        fields = list(stated(texts)) or list(perhaps_stated(texts))
        if fields:
            certain = bool(list(stated(texts)))
            prompt, several = of_texts(text for _, text in fields)
            origin = " and ".join(dict.fromkeys(f"the text {key!r}" for key, _ in fields))
            several = several or ((prompt,) if prompt and not certain else ())
            records.append(Said(None if several else prompt, None, None, origin, None, several))
    return _clean(_one(records) if records else _of_name(path.stem))


def _record(path: Path, texts: Mapping[str, str], keys: tuple[str, ...]) -> Said | None:
    """What one program recorded, by the first of its keywords that says anything."""
    for key in keys:
        if key in texts:
            with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
                if (found := _clean(_reader(key)(texts[key]))) is not None:
                    is_grid = key == "parameters" and found.apart is None and _is_grid(path, texts[key])
                    return found._replace(apart=A_GRID) if is_grid else found
    return None


def _one(records: list[Said]) -> Said:
    """What all records of a file say together. The first one counts, except that a prompt is known only if no record has others."""
    first = records[0]
    prompt, texts = of_texts(text for record in records for text in (record.prompt or "", *record.texts))
    certain = any(record.prompt for record in records)
    telling = [record for record in records if record.prompt or record.texts]
    return Said(
        prompt if certain else None,
        first.seed if first.seed is not None else next((r.seed for r in records if r.seed is not None), None),
        first.model or next((record.model for record in records if record.model), None),
        " and ".join(dict.fromkeys(record.origin for record in (telling or records)[: None if texts else 1])),
        next((record.apart for record in records if record.apart), None),
        texts or (() if certain or prompt is None else (prompt,)),
    )


def _clean(found: Said | None) -> Said | None:
    """Return values that can be kept: texts that are Unicode and not endless, seeds below 2^64."""
    if found is None:
        return None
    prompt, model = (_text(value) for value in (found.prompt, found.model))
    texts = tuple(text for value in found.texts if (text := _text(value[:LONGEST_PROMPT])) is not None)
    if prompt is None and isinstance(found.prompt, str):  # a prompt that is too long to keep is no prompt of a protocol
        texts = tuple(text for text in (_text(found.prompt[:_SHOWN]),) if text)
    seed = found.seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        seed = None
    if (prompt, seed, model, found.apart, texts) == (None, None, None, None, ()):
        return None
    return Said(prompt, seed, model, found.origin, found.apart, texts)


def _text(value: Any) -> str | None:
    if not isinstance(value, str) or len(value) > LONGEST_PROMPT:
        return None
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip() or None


# ---- where texts lie
def _texts(path: Path) -> dict[str, str]:
    with suppress(OSError):
        with open(path, "rb") as file:
            is_png = file.read(len(MAGIC)) == MAGIC
        if is_png:
            found = {}
            with suppress(Exception):  # damaged bytes raise any exception
                exif = Image.Exif()
                exif.load(exif_of(path))
                found = _of_exif(exif)
            return {**found, **{key.lower(): text for key, text in texts_of(path)}}
        with suppress(Exception):  # a damaged file makes a decoder raise any exception; open_image refuses it by name
            return _of_decoded(path)
    return {}


def _of_decoded(path: Path) -> dict[str, str]:
    """The texts of a JPEG, WebP or AVIF."""
    with Image.open(path, formats=FORMATS) as image:
        comment, found = image.info.get("comment", b""), {}
        if xmp := image.info.get("xmp"):
            found["xml:com.adobe.xmp"] = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)
        if comment:
            found["comment"] = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
        return {**found, **_of_exif(image.getexif())}


def _of_exif(exif: Image.Exif) -> dict[str, str]:
    """The texts of an EXIF. ComfyUI writes `prompt:{...}` into any text field."""
    found = {}
    if user := exif.get_ifd(0x8769).get(0x9286, b""):
        found["usercomment"] = _user_comment(user).strip("\0 ")
    for tag, name in _EXIF_TEXTS.items():
        if value := exif.get(tag):
            found[name] = value if isinstance(value, str) else bytes(value).decode("utf-16-le", "replace").strip("\0 ")
    for value in exif.values():
        if isinstance(value, str) and (known := re.match(r"\s*(prompt|workflow)\s*:\s*(?=\{)", value, re.I)):
            found[known[1].lower()] = value[known.end() :]
    return found


_EXIF_TEXTS = {0x010E: "imagedescription", 0x9C9B: "title", 0x9C9C: "comments", 0x9C9F: "subject"}
"""Texts of the EXIF that may state a prompt: the description, and title, comment and subject of Windows."""


def _user_comment(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    code, body = content[:8], content[8:]
    if code.startswith(b"UNICODE"):
        zeros = (body[0::2].count(0), body[1::2].count(0))  # of Latin text; most programs write the large end first
        return body.decode("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be", "replace")
    return (body if code in (b"ASCII\0\0\0", bytes(8)) else content).decode("utf-8", "replace")


def _together(texts: dict[str, str]) -> dict[str, str]:
    """The texts, with those in one that two programs spread over several, and those of the XMP by their names."""
    xmp = texts.get("xml:com.adobe.xmp", "")
    for name in ("title", "description"):
        start = re.search(rf"<dc:{name}\b[^<>]*>", xmp)
        own, end, _ = xmp[start.end() :].partition(f"</dc:{name}>") if start else ("", "", "")
        if end and (words := html.unescape(re.sub(r"<[^<>]*>", " ", own)).strip()):
            texts = {f"image {name}": words, **texts}
    if "seed" in texts and not texts.get("prompt", "{").lstrip().startswith("{"):
        return {**texts, _EASY: json.dumps(texts)}
    if texts.get("source", "").startswith("NovelAI") and "comment" in texts:
        with suppress(ValueError, TypeError, RecursionError):
            return {**texts, "comment": json.dumps({"model": texts["source"], **json.loads(texts["comment"])})}
    return texts


_EASY = "easy diffusion"


# ---- the web UI
def _parameters(text: str) -> Said | None:
    with suppress(ValueError):  # a prompt of the web UI may begin with a brace too
        if isinstance(found := json.loads(text), dict):
            return _parameters_as_json(found)
    lines = text.replace("\r\n", "\n").split("\n")
    last = next((n for n in range(len(lines) - 1, -1, -1) if re.search(r"(^|, )Steps: [0-9]+", lines[n])), None)
    if last is None:
        return None  # `plain_texts` reads it
    settings = dict(re.findall(r'(?:^|,)\s*([\w./-][\w ./-]*):\s*("(?:\\.|[^\\"])+"|[^,]*)', lines[last]))
    above = "\n".join(lines[:last])
    prompt, texts = of_texts([re.split(r"(?:^|\n)Negative prompt:", above)[0], *_more_words(settings)])
    listed = list(_resources(lines[last]))
    bases = [name for kind, name in listed if kind == "checkpoint"]
    model = settings.get("Model") or (bases[0] if len(bases) == 1 else None) or settings.get("Model hash")
    adapters = [name for key, value in settings.items() for name in _added(key.strip(), value.strip(' "'))]
    adapters += [name for kind, name in listed if kind not in ("checkpoint", "vae", "upscaler", "controlnet", "none")]
    # Denoising is of an image that was given, or of the first pass of a large image.
    passes = any(key.strip().lower().startswith(("hires", "first pass")) for key in settings)
    given = "Denoising strength" in settings and not passes
    given = given or any(key.strip().startswith("ControlNet") for key in settings)
    return Said(
        prompt,
        whole(settings.get("Seed", "").strip()),
        with_adapters(model.strip(' "') if model else None, adapters),
        "parameters (web UI)",
        FROM_AN_IMAGE if given else None,
        texts,
    )


def _more_words(settings: Mapping[str, str]) -> Iterator[str]:
    """Yield what further passes of the web UI and its extensions were asked for, beside the prompt."""
    for key, value in settings.items():
        if not re.search(r"\b(prompt|style)( \d\w*)?\s*$", key, re.I) or re.search(r"neg", key, re.I):
            continue
        text = value.strip()
        with suppress(ValueError):
            text = str(json.loads(text)) if text.startswith('"') else text
        text = re.sub(r"\[(PROMPT|SEP|SKIP)\]", "", text)
        if re.search(r"[^\W_]", text) and text.lower() not in ("base", "none", "true", "false", "default"):
            yield text


def _added(key: str, value: str) -> Iterator[str]:
    """Yield what a setting says that the model had in addition: adapters, hypernets, embeddings, a refiner."""
    if re.fullmatch(r"(Lora|Lyco|LyCORIS|TI|Hypernet) hashes", key):
        yield from (entry.partition(":")[0] for entry in value.split(","))
    elif re.fullmatch(r"Hypernet|Refiner|AddNet Model \d+", key):
        yield re.sub(r"\s*[(\[][0-9a-f]{6,}[)\]]$", "", value)


def _is_grid(path: Path, parameters: str) -> bool:
    """Whether an image of the web UI is several images side by side: each has the size that the text states."""
    if re.match(r"(xyz_)?grid[-_]", path.name):
        return True
    last = parameters[parameters.rfind("Steps: ") :]
    if (stated := re.search(r"Size: ([0-9]{1,5})x([0-9]{1,5})", last)) is None or re.search(
        r"upscal|resize", last, re.I
    ):
        return False
    one = int(stated[1]), int(stated[2])
    with Image.open(path, formats=FORMATS) as image:
        size = image.size
    return 0 not in one and size != one and not any(whole % part for whole, part in zip(size, one, strict=True))


def _resources(line: str) -> Iterator[tuple[str, str]]:
    """Kind and name of what an online service drew with, which it lists as JSON."""
    start = line.find("Civitai resources: ")
    if start >= 0:
        found, _ = json.JSONDecoder().raw_decode(line, line.index("[", start))
        for one in found:
            names = [str(one[key]) for key in ("modelName", "modelVersionName") if one.get(key)]
            yield str(one.get("type")).lower(), " ".join(names)


def _parameters_as_json(found: Mapping[str, Any], origin: str = "parameters (JSON)") -> Said:
    """SwarmUI and Fooocus write JSON where the web UI writes lines."""
    own = found.get("sui_image_params", found)
    models = ("model", "base_model", "Model", "base_model_name", "use_stable_diffusion_model")
    model = next((own[key] for key in models if own.get(key)), None)
    prompt = own.get("prompt") or own.get("Prompt")
    if isinstance(sent := own.get("full_prompt"), list) and sent:  # with the words of styles, and of an expansion
        prompt = ", ".join(dict.fromkeys(sent))
    seed = whole(own.get("seed", own.get("Seed")))
    return Said(prompt, seed, with_adapters(model, adapters_of(own)), origin, image_in(own))


def _easy(text: str) -> Said:
    return _parameters_as_json(json.loads(text), "texts (Easy Diffusion)")


def _draw_things(xmp: str) -> Said | None:
    comment = xmp.partition("<exif:UserComment>")[2].partition("</exif:UserComment>")[0]
    content = html.unescape(comment)
    found, _ = json.JSONDecoder().raw_decode(content, content.index("{"))
    if "c" not in found:
        return None
    given = image_in(found) or (FROM_AN_IMAGE if found.get("strength", 1) < 1 or found.get("control") else None)
    model = with_adapters(found.get("model"), adapters_of(found))
    return Said(found["c"], whole(found.get("seed")), model, "XMP (Draw Things)", given)


# ---- InvokeAI, NovelAI
def _invoke(text: str) -> Said:
    found = json.loads(text)
    model = found.get("model")
    if isinstance(model, dict):
        model = model.get("name") or model.get("model_name") or model.get("key")
    prompt, style = found.get("positive_prompt"), found.get("positive_style_prompt")
    if prompt and style and style != prompt:
        prompt = f"{prompt}, {style}"
    model = with_adapters(model, adapters_of(found))
    origin = "invokeai_metadata (InvokeAI)"
    return Said(prompt, whole(found.get("seed")), model, origin, image_in(found))


def _invoke_before(text: str) -> Said:
    found = json.loads(text)
    image = found["image"]
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        prompt = ", ".join(part["prompt"] for part in prompt) if all("prompt" in part for part in prompt) else None
    model, origin = found.get("model_weights"), "sd-metadata (InvokeAI)"
    return Said(prompt, whole(image.get("seed")), model, origin, image_in(image))


def _dream(text: str) -> Said | None:
    known = re.match(r'"(.*)"(.*)$', text, re.S)
    if known is None:
        return None
    seed = re.search(r"(?:^|\s)-S\s*([0-9]{1,20})", known[2])
    given = FROM_AN_IMAGE if re.search(r"\s(-I|--init_img)\b", known[2]) else None
    return Said(known[1], int(seed[1]) if seed else None, None, "Dream (InvokeAI)", given)


def _novel(text: str) -> Said | None:
    found = json.loads(text)
    if "prompt" not in found or "seed" not in found:
        return None
    characters = (found.get("v4_prompt") or {}).get("caption", {}).get("char_captions", [])
    prompt = ", ".join([found["prompt"], *(own["char_caption"] for own in characters)])
    return Said(prompt, whole(found["seed"]), found.get("model"), "Comment (NovelAI)", image_in(found))


# ---- Midjourney, DALL-E
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _midjourney(text: str) -> Said | None:
    known = re.search(rf"Job ID: {_UUID}\s*$", text, re.I)
    return _with_flags(text[: known.start()].rstrip(), "Description (Midjourney)") if known else None


def _with_flags(prompt: str, origin: str) -> Said:
    """A prompt of Midjourney ends with flags such as `--v 6.1 --seed 7`."""
    words, _, flags = f" {prompt}".partition(" --")
    flags = f"--{flags}"
    seed = re.search(r"--(?:seed|sameseed) ([0-9]{1,20})\b", flags)
    version = re.search(r"--(v|version|niji) ([0-9][0-9.]*)", flags)
    model = f"Midjourney {'niji ' if version[1] == 'niji' else ''}{version[2]}" if version else "Midjourney"
    apart = re.search(r"--(sref|cref|oref|iw|profile|p)(?=\s|$)", flags)
    return Said(
        words.strip(),
        int(seed[1]) if seed else None,
        model,
        origin,
        f"was made also from what --{apart[1]} refers to" if apart else None,
    )


def _of_name(stem: str) -> Said | None:
    """Midjourney names a file `<user>_<words of the prompt>_<uuid>`, DALL-E `DALL·E <time> - <prompt>`.

    The name of a file keeps neither punctuation nor the end of a long prompt.
    """
    if known := re.fullmatch(rf"([^_]+)_(.+)_{_UUID}(?:_[0-3])?(?: ?\([0-9]+\))?", stem, re.I):
        return Said(" ".join(known[2].replace("_", " ").split()), None, "Midjourney", "file name (Midjourney)")
    if known := re.fullmatch(r"DALL[·.\-_]?E [0-9-]{10} [0-9.]{5,8} - (.+)", stem):
        return Said(known[1], None, "DALL-E", "file name (DALL-E)")
    return None


_READERS = (
    ("invokeai_metadata", "sd-metadata", "dream"),
    ("parameters",),
    ("usercomment",),
    (_EASY,),
    ("prompt", "workflow"),
    ("comment",),
    ("xml:com.adobe.xmp",),
    ("description",),
)
"""The keywords of the texts that programs write, one row per program or kin. The first keyword of a row that says anything counts."""


def _reader(key: str) -> Callable[[str], Said | None]:
    readers: dict[str, Callable[[str], Said | None]] = {
        "invokeai_metadata": _invoke,
        "sd-metadata": _invoke_before,
        "dream": _dream,
        "parameters": _parameters,
        "usercomment": _parameters,
        _EASY: _easy,
        "prompt": of_prompt,
        "workflow": of_workflow,
        "comment": _comment,
        "xml:com.adobe.xmp": _draw_things,
        "description": _midjourney,
    }
    return readers[key]


def _comment(text: str) -> Said | None:
    """The comment of a PNG of NovelAI, or of a JPEG of the web UI."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        return _novel(text) or _parameters(text)
    return _parameters(text)
