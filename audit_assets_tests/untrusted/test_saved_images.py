"""What programs that draw images write into their files is read; what is not certain is not known."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from audit_assets.untrusted.saved_images import said_in

A1111 = """Artwork from Ada Example, {a|b}
second line
Negative prompt: blurry, bad
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1234, Size: 64x48, Model hash: abcdef, Model: my-model_v1, Lora hashes: "a: 1, b: 2", Version: v1.9"""


def png(path: Path, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key.replace("__", "-"), text, zip=len(text) > 1000)
    Image.new("RGB", (8, 8), "red").save(path, pnginfo=info)
    return path


def comfy(prompt: Any = "Artwork from Ada Example", seed: Any = 7, **more: Any) -> dict[str, Any]:
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "my.safetensors"}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": prompt, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "3": {"class_type": "KSampler", "inputs": {"seed": seed, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0]}},
        **more,
    }  # fmt: skip


FLUX = {
    "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": ["9", 0]}},
    "9": {"class_type": "PrimitiveString", "inputs": {"value": "Artwork from Ada Example"}},
    "3": {"class_type": "FluxGuidance", "inputs": {"conditioning": ["2", 0], "guidance": 3.5}},
    "4": {"class_type": "BasicGuider", "inputs": {"model": ["1", 0], "conditioning": ["3", 0]}},
    "5": {"class_type": "RandomNoise", "inputs": {"noise_seed": 2**63 + 1}},
    "6": {"class_type": "SamplerCustomAdvanced", "inputs": {"noise": ["5", 0], "guider": ["4", 0]}},
}
WORKFLOW = {
    "nodes": [
        {"id": 4, "type": "CheckpointLoaderSimple", "widgets_values": ["my.safetensors"]},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["Artwork from Ada Example"], "inputs": [{"name": "clip", "link": 5}]},
        {"id": 3, "type": "KSampler", "widgets_values": [7, "randomize", 20], "inputs": [{"name": "model", "link": 1}, {"name": "positive", "link": 2}]},
    ],
    "links": [[1, 4, 0, 3, 0, "MODEL"], [2, 6, 0, 3, 1, "CONDITIONING"], [5, 4, 1, 6, 0, "CLIP"]],
}  # fmt: skip
PROMPT = "Artwork from Ada Example"


@pytest.mark.parametrize(
    ("texts", "prompt", "seed", "model"),
    [
        ({"parameters": A1111}, "Artwork from Ada Example, {a|b}\nsecond line", 1234, "my-model_v1 with a, b"),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9"}, PROMPT, 9, None),
        ({"parameters": f"{PROMPT}\nsteps to heaven"}, f"{PROMPT}\nsteps to heaven", None, None),
        ({"parameters": f"{PROMPT}\nNegative prompt: blurry"}, PROMPT, None, None),
        ({"parameters": f'{PROMPT}\nSteps: 2, Seed: 9, Model: m, Hypernet: ada(0123abcd), Hypernet strength: 1, TI hashes: "bo: 12, cy: 34", Refiner: xl [0123abcdef]'}, PROMPT, 9, "m with ada, bo, cy, xl"),
        ({"prompt": PROMPT}, PROMPT, None, None),
        ({"Prompt": json.dumps({"positive_prompt": PROMPT, "negative_prompt": "blurry"})}, PROMPT, None, None),
        ({"parameters": json.dumps({"sui_image_params": {"prompt": PROMPT, "seed": 3, "model": "x"}})}, PROMPT, 3, "x"),
        ({"prompt": json.dumps(comfy())}, PROMPT, 7, "my.safetensors"),
        ({"prompt": json.dumps(comfy(seed=["8", 0], **{"8": {"inputs": {"value": 5}}}))}, PROMPT, 5, "my.safetensors"),
        ({"prompt": json.dumps(FLUX)}, PROMPT, 2**63 + 1, "flux.safetensors"),
        ({"workflow": json.dumps(WORKFLOW)}, PROMPT, 7, "my.safetensors"),
        ({"workflow": json.dumps({"nodes": []})}, None, None, None),
        ({"prompt": json.dumps(comfy(note={"inputs": {"x": "y" * 2_000_000}}))}, PROMPT, 7, "my.safetensors"),
        ({"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "seed": 4, "model": {"name": "sdxl"}})}, PROMPT, 4, "sdxl"),
        ({"sd__metadata": json.dumps({"model_weights": "sd", "image": {"prompt": [{"prompt": PROMPT, "weight": 1}], "seed": 6}})}, PROMPT, 6, "sd"),
        ({"Dream": f'"{PROMPT}" -s50 -S1234 -W512'}, PROMPT, 1234, None),
        ({"Comment": json.dumps({"prompt": PROMPT, "seed": 8, "steps": 28})}, PROMPT, 8, None),
        ({"Description": f"{PROMPT} --ar 16:9 --seed 11 --v 6.1 Job ID: 0123abcd-0123-4567-89ab-0123456789ab"}, PROMPT, 11, "Midjourney 6.1"),
        ({}, None, None, None),
    ],
)  # fmt: skip
def test_prompt_seed_and_model_are_read_from_the_file(
    tmp_path: Path, texts: dict[str, str], prompt: str | None, seed: int | None, model: str | None
) -> None:
    found = said_in(png(tmp_path / "0.png", **texts))
    if (prompt, seed, model) == (None, None, None):
        assert found is None
    else:
        assert found is not None
        assert found[:3] == (prompt, seed, model)


FOOOCUS = {"prompt": PROMPT, "full_prompt": [f"cinematic still {PROMPT}", f"{PROMPT}, elegant"], "seed": "12", "base_model": "jx",
           "loras": [["None", 1.0, ""], ["offset.safetensors", 0.1, "ab"]], "styles": "['Fooocus V2']"}  # fmt: skip
WITH_LORA = comfy(**{
    "5": {"class_type": "LoraLoader", "inputs": {"lora_name": "ada.safetensors", "model": ["4", 0]}},
    "8": {"class_type": "Power Lora Loader", "inputs": {"lora_1": {"on": True, "lora": "b.safetensors"}, "lora_2": {"on": False, "lora": "c"}, "model": ["5", 0]}},
    "9": {"class_type": "LoraLoader", "inputs": {"lora_name": "of-nothing.safetensors"}},
    "3": {"class_type": "KSampler", "inputs": {"seed": 7, "model": ["8", 0], "positive": ["6", 0]}},
})  # fmt: skip
XMP = (
    '<x:xmpmeta><rdf:Description><exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">'
    + json.dumps({"c": PROMPT, "uc": "", "seed": 21, "model": "m.ckpt", "strength": 1, "mask_blur": 2.5, "lora": [{"model": "a.ckpt"}]}).replace('"', "&quot;")
    + "</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></x:xmpmeta>"
)  # fmt: skip
RESOURCES = 'Steps: 9, Seed: 2, Civitai resources: [{"type":"checkpoint","modelName":"Big","modelVersionName":"v2"},{"type":"lora","modelName":"Ada"}], Civitai metadata: {}'


@pytest.mark.parametrize(
    ("texts", "prompt", "seed", "model"),
    [
        ({"parameters": json.dumps(FOOOCUS)}, f"cinematic still {PROMPT}, {PROMPT}, elegant", 12, "jx with offset.safetensors"),
        ({"parameters": json.dumps({**FOOOCUS, "full_prompt": [PROMPT], "loras": []})}, PROMPT, 12, "jx"),
        ({"parameters": f"{PROMPT}\n{RESOURCES}"}, PROMPT, 2, "Big v2 with Ada"),
        ({"prompt": json.dumps(WITH_LORA)}, PROMPT, 7, "my.safetensors with b.safetensors, ada.safetensors"),
        ({"prompt": json.dumps(comfy(**{"6": {"class_type": "CLIPTextEncodeSDXL", "inputs": {"text_g": PROMPT, "text_l": "by others"}}}))}, None, 7, "my.safetensors"),
        ({"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "positive_style_prompt": "oil", "seed": 4, "model": {"name": "x"}, "loras": [{"model": {"name": "ada"}, "weight": 1}]})}, f"{PROMPT}, oil", 4, "x with ada"),
        ({"Comment": json.dumps({"prompt": PROMPT, "seed": 8, "v4_prompt": {"caption": {"char_captions": [{"char_caption": "a girl"}]}}}), "Source": "NovelAI Diffusion V4 1234"}, f"{PROMPT}, a girl", 8, "NovelAI Diffusion V4 1234"),
        ({"prompt": PROMPT, "seed": "31", "use_stable_diffusion_model": "sd", "use_lora_model": "None"}, PROMPT, 31, "sd"),
        ({"XML:com.adobe.xmp": XMP}, PROMPT, 21, "m.ckpt with a.ckpt"),
        ({"XML:com.adobe.xmp": "<exif:UserComment>{" * 20_000}, None, None, None),
    ],
)  # fmt: skip
def test_words_that_a_program_added_and_adapters_are_read_too(
    tmp_path: Path, texts: dict[str, str], prompt: str | None, seed: int | None, model: str | None
) -> None:
    found = said_in(png(tmp_path / "0.png", **texts))
    assert (found[:3] if found else (None, None, None)) == (prompt, seed, model)
    assert found is None or found.apart is None


OTHER = "Artwork from Bo Sample"


def joined(**node: Any) -> dict[str, Any]:
    """A graph whose sampler gets what `node` makes of PROMPT (node 8) and OTHER (node 9)."""
    ends = {n: {"class_type": "CLIPTextEncode", "inputs": {"text": text}} for n, text in (("8", PROMPT), ("9", OTHER))}
    return comfy(**ends, **{"6": {"class_type": "Any", "inputs": node}})


STEPS = "Steps: 20, Seed: 9, Model: m"


@pytest.mark.parametrize(
    ("texts", "stated"),
    [
        ({"prompt": json.dumps(joined(conditioning_to=["8", 0], conditioning_from=["9", 0]))}, {PROMPT, OTHER}),
        ({"prompt": json.dumps(joined(conditioning_1=["8", 0], conditioning_2=["9", 0]))}, {PROMPT, OTHER}),
        ({"prompt": json.dumps(joined(a_future_name=["8", 0], another=["9", 0]))}, {PROMPT, OTHER}),
        ({"prompt": json.dumps(joined(text_g=PROMPT, text_l=OTHER))}, {PROMPT, OTHER}),
        ({"prompt": json.dumps(joined(string_a=PROMPT, string_b="Sample", delimiter=", "))}, {PROMPT, "Sample"}),
        ({"prompt": json.dumps(joined(text_positive=PROMPT, text_negative="bad hands", style="anime"))}, {PROMPT, "anime"}),
        ({"prompt": json.dumps({"1": {"class_type": "ImageNode", "inputs": {"prompt": PROMPT, "style": "Sample"}}})}, {PROMPT, "Sample"}),
        ({"parameters": f'{PROMPT}\n{STEPS}, Hires prompt: "night, by Bo Sample", Hires upscale: 2'}, {PROMPT, "night, by Bo Sample"}),
        ({"parameters": f"{PROMPT}\n{STEPS}, ADetailer model: face, ADetailer prompt 2nd: Bo Sample"}, {PROMPT, "Bo Sample"}),
        ({"parameters": f"{PROMPT}\n{STEPS}", "prompt": json.dumps(comfy(prompt=OTHER))}, {PROMPT, OTHER}),
        ({"prompt": PROMPT, "positive__prompt": OTHER}, {PROMPT, OTHER}),
        *(({key: OTHER}, {OTHER}) for key in ("Description", "Title", "Comment", "Caption")),
        ({"XML:com.adobe.xmp": f"<dc:description><rdf:Alt><rdf:li>{OTHER}</rdf:li></rdf:Alt></dc:description>"}, {OTHER}),
    ],
)  # fmt: skip
def test_words_that_may_not_be_the_prompt_or_not_all_of_it_are_kept_as_texts(
    tmp_path: Path, texts: dict[str, str], stated: set[str]
) -> None:
    found = said_in(png(tmp_path / "0.png", **texts))
    assert found is not None
    assert found.prompt is None
    assert set(found.texts) == stated


@pytest.mark.parametrize(
    "texts",
    [
        {"prompt": json.dumps(joined(conditioning_to=["8", 0], text_negative="bad hands"))},
        {"prompt": json.dumps(joined(clip_l=PROMPT, t5xxl=f"{PROMPT} ", guidance=3.5))},
        {"parameters": f"{PROMPT}\n{STEPS}, Hires prompt: {PROMPT}, ADetailer prompt: [PROMPT], ADetailer negative prompt: bad"},
        {"parameters": f"{PROMPT}\n{STEPS}", "prompt": json.dumps(comfy())},
        {"parameters": f"{PROMPT}\n{STEPS}", "Title": "A lake", "Description": OTHER},
        {"prompt": json.dumps({"1": {"class_type": "ImageNode", "inputs": {"prompt": PROMPT, "style": "None"}}, "2": {"class_type": "Note", "inputs": {"text": "by me"}}})},
    ],
)  # fmt: skip
def test_the_same_words_again_and_words_of_no_prompt_leave_the_prompt_known(
    tmp_path: Path, texts: dict[str, str]
) -> None:
    found = said_in(png(tmp_path / "0.png", **texts))
    assert found is not None
    assert (found.prompt, found.texts) == (PROMPT, ())


@pytest.mark.parametrize("key", ["Description", "Title", "Comment"])
@pytest.mark.parametrize(
    "text",
    ["Created with GIMP", "OLYMPUS DIGITAL CAMERA", "SONY DSC", "CREATOR: gd-jpeg v1.0 (using IJG JPEG v80), quality = 90",
     "Adobe Photoshop 25.1 (Macintosh)", "Made with Google AI", "Untitled", "Untitled-1", "IMG_2041", "image 3", "2026-01-31 10:00:00", "https://example.org/1", "lake.png"],
)  # fmt: skip
def test_marks_of_programs_and_cameras_are_no_prompt(tmp_path: Path, key: str, text: str) -> None:
    assert said_in(png(tmp_path / "0.png", **{key: text})) is None


@pytest.mark.parametrize("key", ["Software", "Author", "Artist", "Copyright", "Creation Time", "date:create", "Source", "Negative prompt"])  # fmt: skip
def test_fields_that_hold_no_prompt_are_not_read(tmp_path: Path, key: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, OTHER)
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png", pnginfo=info)
    assert said_in(tmp_path / "0.png") is None


@pytest.mark.parametrize(
    "text", ["Created by Bo Sample", "Screenshot of a lake by Bo Sample", "Photoshop of Bo Sample"]
)
def test_words_that_begin_like_a_mark_are_still_words(tmp_path: Path, text: str) -> None:
    found = said_in(png(tmp_path / "0.png", Title=text))
    assert found is not None
    assert found.texts == (text,)


def test_descriptions_and_comments_of_other_formats_may_state_a_prompt(tmp_path: Path) -> None:
    for tag in (0x010E, 0x9C9B):
        exif = Image.Exif()
        exif[tag] = OTHER if tag == 0x010E else (OTHER + "\0").encode("utf-16-le")
        Image.new("RGB", (8, 8)).save(tmp_path / "0.jpg", exif=exif)
        found = said_in(tmp_path / "0.jpg")
        assert found is not None
        assert found.texts == (OTHER,)
    Image.new("RGB", (8, 8)).save(tmp_path / "1.jpg", comment=OTHER.encode())
    found = said_in(tmp_path / "1.jpg")
    assert found is not None
    assert found.texts == (OTHER,)
    Image.new("RGB", (8, 8)).save(tmp_path / "2.jpg", comment=f"{PROMPT}\n{STEPS}".encode())
    found = said_in(tmp_path / "2.jpg")
    assert found is not None
    assert found[:3] == (PROMPT, 9, "m")


def test_a_prompt_that_the_graph_does_not_state_is_said(tmp_path: Path) -> None:
    graph = comfy(prompt=["8", 0], **{"8": {"class_type": "WritesAPrompt", "inputs": {"tokens": 70}}})
    found = said_in(png(tmp_path / "0.png", prompt=json.dumps(graph)))
    assert found is not None
    assert (found.prompt, found.texts, found.apart) == (None, (), "was made from words that its file does not state")


LOADED = {
    "20": {"class_type": "LoadImage", "inputs": {"image": "work.png"}},
    "21": {"class_type": "VAEEncode", "inputs": {"pixels": ["20", 0]}},
}
BEGINS = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 7, "model": ["4", 0], "positive": ["6", 0], "latent_image": ["21", 0]},
    }
}


@pytest.mark.parametrize(
    ("texts", "apart"),
    [
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Denoising strength: 0.6"}, "was made also from another image"),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Denoising strength: 0.6, Hires upscale: 2"}, None),
        ({"parameters": f'{PROMPT}\nSteps: 20, Seed: 9, ControlNet 0: "Module: reference_only, Weight: 1"'}, "was made also from another image"),
        ({"parameters": json.dumps({"sui_image_params": {"prompt": PROMPT, "initimagecreativity": 0.6}})}, "was made also from another image"),
        ({"parameters": json.dumps({"prompt": PROMPT, "seed": 1, "init_image_path": None, "controlnet": "none"})}, None),
        ({"prompt": json.dumps(comfy(**LOADED, **BEGINS))}, "was made also from another image"),
        ({"prompt": json.dumps(comfy(**LOADED))}, None),
        ({"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "generation_mode": "sdxl_img2img"})}, "was made also from another image"),
        ({"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "ipAdapters": [{"image": {}}]})}, "was made also from another image"),
        ({"invokeai_metadata": json.dumps({"positive_prompt": PROMPT, "generation_mode": "txt2img", "controlnets": [], "canvas_v2_metadata": {"controlLayers": [], "referenceImages": []}, "control_layers": {"layers": [], "version": 5}})}, None),
        ({"sd__metadata": json.dumps({"image": {"prompt": PROMPT, "type": "img2img"}})}, "was made also from another image"),
        ({"Dream": f'"{PROMPT}" -s50 -S1 -I work.png'}, "was made also from another image"),
        ({"Comment": json.dumps({"prompt": PROMPT, "seed": 8, "request_type": "Img2ImgRequest"})}, "was made also from another image"),
        ({"Comment": json.dumps({"prompt": PROMPT, "seed": 8, "request_type": "PromptGenerateRequest", "reference_image_multiple": []})}, None),
        ({"XML:com.adobe.xmp": XMP.replace("strength&quot;: 1", "strength&quot;: 0.4")}, "was made also from another image"),
        ({"Description": f"{PROMPT} --ar 1:1 --sref https://s.mj.run/x --v 6 Job ID: 0123abcd-0123-4567-89ab-0123456789ab"}, "was made also from what --sref refers to"),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Size: 8x4"}, "is a grid of several images"),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Size: 8x8"}, None),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Size: 8x5"}, None),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9, Size: 4x4, Hires upscale: 2"}, None),
        ({"Description": f"{PROMPT} --ar 1:1 --profile ab1 --v 7 Job ID: 0123abcd-0123-4567-89ab-0123456789ab"}, "was made also from what --profile refers to"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_of_its_prompt_alone_says_so(
    tmp_path: Path, texts: dict[str, str], apart: str | None
) -> None:
    found = said_in(png(tmp_path / "0.png", **texts))
    assert found is not None
    assert (found.prompt, found.apart) == (PROMPT, apart)


def test_a_grid_of_the_web_ui_is_known_by_its_name(tmp_path: Path) -> None:
    found = said_in(png(tmp_path / "grid-0001.png", parameters=f"{PROMPT}\nSteps: 20, Seed: 9"))
    assert found is not None
    assert found.apart == "is a grid of several images"


def test_samplers_that_disagree_leave_the_value_unknown(tmp_path: Path) -> None:
    second = {"30": {"class_type": "KSampler", "inputs": {"seed": 8, "model": ["4", 0], "positive": ["6", 0]}}}
    found = said_in(png(tmp_path / "0.png", prompt=json.dumps(comfy(**second))))
    assert found is not None
    assert found[:3] == (PROMPT, None, "my.safetensors")


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("ben_Artwork_from_Ada_Example_0123abcd-0123-4567-89ab-0123456789ab", PROMPT),
        ("ben_Artwork_from_Ada_Example_0123abcd-0123-4567-89ab-0123456789ab_2", PROMPT),
        ("DALL·E 2023-10-12 12.30.11 - Artwork from Ada Example", PROMPT),
        ("image (1)", None),
        ("0123abcd-0123-4567-89ab-0123456789ab", None),
    ],
)
def test_the_names_of_midjourney_and_dalle_hold_the_prompt(tmp_path: Path, name: str, prompt: str | None) -> None:
    found = said_in(png(tmp_path / f"{name}.png"))
    assert (found.prompt if found else None) == prompt


@pytest.mark.parametrize("order", ["be", "le"])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_parameters_in_the_exif_are_read(tmp_path: Path, suffix: str, order: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow writes no EXIF into a PNG that has only fields within fields
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode(f"utf-16-{order}")
    Image.new("RGB", (8, 8)).save(tmp_path / f"0.{suffix}", exif=exif)
    found = said_in(tmp_path / f"0.{suffix}")
    assert found is not None
    assert (found.seed, found.model) == (1234, "my-model_v1 with a, b")
    exif = Image.Exif()
    exif[0x010F] = "prompt:" + json.dumps(comfy())
    Image.new("RGB", (8, 8)).save(tmp_path / f"1.{suffix}", exif=exif)
    found = said_in(tmp_path / f"1.{suffix}")
    assert found is not None
    assert found.prompt == PROMPT


def test_the_exif_that_imagemagick_writes_into_a_text_of_a_png_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = OTHER
    digits = exif.tobytes().hex()
    lines = "\n".join(digits[n : n + 72] for n in range(0, len(digits), 72))
    for text, texts in ((f"\nexif\n{len(digits) // 2:8}\n{lines}", (OTHER,)), ("\nexif\n 4\nno digits", None)):
        found = said_in(png(tmp_path / "0.png", **{"Raw profile type exif": text}))
        assert (found.texts if found else None) == texts


@pytest.mark.parametrize("body", [b"", b"II", b"MM\0*\xff\xff\xff\xff", b"x" * 2_000_000])
def test_a_damaged_or_endless_exif_of_a_png_says_nothing_and_hides_no_other_text(tmp_path: Path, body: bytes) -> None:
    plain = png(tmp_path / "0.png", parameters=A1111).read_bytes()
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "0.png").write_bytes(plain[:33] + chunk + plain[33:])
    found = said_in(tmp_path / "0.png")
    assert found is not None
    assert found.seed == 1234


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["3", "4", "6"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "seed", "positive", "text", "model", "prompt", "nodes", "links", "image", "3", "4", "class_type", "lora_name", "loras", "full_prompt", "init_image", "v4_prompt", "c"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["prompt", "workflow", "parameters", "invokeai_metadata", "sd__metadata", "Dream", "Comment", "Description", "Title", "XML:com.adobe.xmp"]), st.one_of(JSON.map(json.dumps), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)))  # fmt: skip
def test_no_text_of_a_stranger_raises_and_what_is_read_can_be_kept(tmp_path: Path, key: str, text: str) -> None:
    found = said_in(png(tmp_path / "0.png", **{key: text}))
    if found is not None:
        assert found.prompt is None or found.prompt.encode("utf-8")
        assert found.seed is None or 0 <= found.seed < 2**64


def test_nested_and_endless_texts_are_passed_over(tmp_path: Path) -> None:
    assert said_in(png(tmp_path / "0.png", invokeai_metadata="[" * 100_000)) is None
    endless = said_in(
        png(tmp_path / "0.png", invokeai_metadata=json.dumps({"positive_prompt": "x" * 100_000, "seed": -1}))
    )
    assert endless is not None
    assert endless[:3] == (None, None, None)
    assert endless.texts == ("x" * 200,)
    loop = {
        "1": {"inputs": {"seed": 1, "positive": ["2", 0]}},
        "2": {"inputs": {"text": ["2", 0], "conditioning": ["1", 0]}},
    }
    found = said_in(png(tmp_path / "0.png", prompt=json.dumps(loop)))
    assert found is not None
    assert found[:2] == (None, 1)
    half = said_in(png(tmp_path / "0.png", invokeai_metadata='{"positive_prompt": "a\\ud800b\\u0000", "seed": 1}'))
    assert half is not None
    assert half.prompt == "a?b"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("parameters", "Artwork\nSteps: 20, " + "a " * 100_000),
        ("parameters", "Artwork\nSteps: 20, a: " + '"\\' * 100_000),
        ("Comment", '{"' + "a_" * 5_000 + 'x": "some words"}'),
        ("XML:com.adobe.xmp", "<dc:title>" * 50_000),
        ("XML:com.adobe.xmp", "<dc:title" * 50_000),
        ("XML:com.adobe.xmp", "<dc:title>" + "<" * 200_000 + "</dc:title>"),
        ("Description", "\n" * 200_000 + "x"),
    ],
    ids=["words", "quotes", "key", "elements", "half an element", "signs", "lines"],
)
def test_no_text_of_a_picture_holds_the_reader_up(tmp_path: Path, field: str, text: str) -> None:
    """Another person made the picture. Each of these texts took minutes or for ever, because an expression tried every way to read it."""
    known = PngImagePlugin.PngInfo()
    known.add_itxt(field, text, zip=True)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png", pnginfo=known)
    code = f"from pathlib import Path; from audit_assets.untrusted.saved_images import said_in; said_in(Path({str(tmp_path / 'a.png')!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["0.png", "0.jpg"])
def test_an_exif_of_thousands_of_damaged_fields_prints_nothing(tmp_path: Path, name: str) -> None:
    fields = b"".join(struct.pack("<HHII", tag, 2, 800_000, 100) for tag in range(5000))
    exif = b"II*\0" + struct.pack("<IH", 8, 5000) + fields
    Image.new("RGB", (8, 8)).save(tmp_path / name, exif=b"Exif\0\0" + exif)
    code = f"from pathlib import Path; from audit_assets.untrusted import images, saved_images; p = Path({str(tmp_path / name)!r})\n"
    code += "saved_images.said_in(p); images.open_image(p)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.parametrize(("other", "prompt"), [(A1111, True), (A1111.replace("Ada Example", "Bo Sample"), False)])
def test_an_exif_that_contradicts_the_texts_of_a_png_is_said(tmp_path: Path, other: str, prompt: bool) -> None:
    exif, info = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + other.encode("utf-16-be")
    info.add_text("parameters", A1111)
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png", exif=exif, pnginfo=info)
    found = said_in(tmp_path / "0.png")
    assert found is not None
    assert (found.prompt is not None and found.texts == ()) == prompt
    assert len(found.texts) == (0 if prompt else 2)
