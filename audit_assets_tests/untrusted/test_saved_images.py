"""What programs that draw images write into their files is read; what is not certain is not known."""

import json
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
        ({"parameters": A1111}, "Artwork from Ada Example, {a|b}\nsecond line", 1234, "my-model_v1"),
        ({"parameters": f"{PROMPT}\nSteps: 20, Seed: 9"}, PROMPT, 9, None),
        ({"parameters": f"{PROMPT}\nsteps to heaven"}, None, None, None),
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
        ({"Description": "A photograph of a lake"}, None, None, None),
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
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_parameters_in_the_exif_of_other_formats_are_read(tmp_path: Path, suffix: str, order: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + A1111.encode(f"utf-16-{order}")
    Image.new("RGB", (8, 8)).save(tmp_path / f"0.{suffix}", exif=exif)
    found = said_in(tmp_path / f"0.{suffix}")
    assert found is not None
    assert (found.seed, found.model) == (1234, "my-model_v1")
    exif = Image.Exif()
    exif[0x010F] = "prompt:" + json.dumps(comfy())
    Image.new("RGB", (8, 8)).save(tmp_path / f"1.{suffix}", exif=exif)
    found = said_in(tmp_path / f"1.{suffix}")
    assert found is not None
    assert found.prompt == PROMPT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["3", "4", "6"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["inputs", "seed", "positive", "text", "model", "prompt", "nodes", "links", "image", "3", "4"]), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["prompt", "workflow", "parameters", "invokeai_metadata", "sd__metadata", "Dream", "Comment", "Description"]), st.one_of(JSON.map(json.dumps), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)))  # fmt: skip
def test_no_text_of_a_stranger_raises_and_what_is_read_can_be_kept(tmp_path: Path, key: str, text: str) -> None:
    found = said_in(png(tmp_path / "0.png", **{key: text}))
    if found is not None:
        assert found.prompt is None or found.prompt.encode("utf-8")
        assert found.seed is None or 0 <= found.seed < 2**64


def test_nested_and_endless_texts_are_passed_over(tmp_path: Path) -> None:
    for text in ("[" * 100_000, json.dumps({"positive_prompt": "x" * 100_000, "seed": -1})):
        assert said_in(png(tmp_path / "0.png", invokeai_metadata=text)) is None
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
