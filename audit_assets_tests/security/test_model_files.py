"""Hostile model folders: nothing in them is run, and nothing outside them is opened."""

import ast
import json
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from audit_assets.encoders.load import load
from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.adapters import resolve_lora
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets.untrusted.layout import PICKLES
from audit_assets.untrusted.weights import LARGEST_JSON, check_safetensors, licence, read_json
from audit_assets_tests.encoders import tiny_encoders
from audit_assets_tests.generation.tiny_pipelines import save


class _Payload:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("stable_diffusion", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    tiny_encoders.clip(folder)
    return folder


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture
def encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder, tmp_path / "encoder"))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that hostile code would leave."""
    return tmp_path / "code was run"


def opened(model: Path) -> ResolvedModel:
    """As an audit does: resolved, then loaded."""
    resolved = resolve_diffusers("m", str(model), None, {"steps": 1, "size": 16})
    DiffusersSource(resolved, "cpu")
    return resolved


@pytest.mark.parametrize("suffix", sorted(PICKLES))
def test_pickles_are_refused_and_never_opened(
    model: Path, encoder: Path, tmp_path: Path, trace: Path, suffix: str
) -> None:
    payload = pickle.dumps(_Payload(trace))
    for folder, name in ((model / "unet", "diffusion_pytorch_model"), (encoder, "pytorch_model")):
        (folder / f"{name}{suffix}").write_bytes(payload)
    opened(model)  # beside whole safetensors a pickle is not looked at
    load(resolve_encoder("e", "image_text", str(encoder)), "cpu")
    for weights in [*(model / "unet").glob("*.safetensors"), *encoder.glob("*.safetensors")]:
        weights.unlink()
    with pytest.raises(InputError, match=r"is a pickle, which can run code"):
        opened(model)
    with pytest.raises(InputError, match=r"is a pickle, which can run code"):
        resolve_encoder("e", "image_text", str(encoder))
    (tmp_path / f"adapter{suffix}").write_bytes(payload)
    with pytest.raises(InputError, match="can run code"):
        resolve_lora(str(tmp_path / f"adapter{suffix}"), None, 1.0)
    assert not trace.exists()


def hostile_module(trace: Path) -> str:
    return f"import pathlib\npathlib.Path({str(trace)!r}).touch()\nclass Mine: pass\n"


@pytest.mark.parametrize(
    ("changes", "module"),
    [
        ({"_class_name": ["pipeline", "Mine"]}, "pipeline.py"),
        ({"_class_name": "Mine"}, "pipeline.py"),
        ({"unet": ["my_unet", "Mine"]}, "unet/my_unet.py"),
        ({"unet": ["antigravity", "Mine"]}, "antigravity.py"),
        ({"unet": ["subprocess", "Popen"]}, "subprocess.py"),
        ({"unet": ["diffusers.pipelines", "Mine"]}, "pipeline.py"),
        ({"scheduler": ["..", "Mine"]}, "pipeline.py"),
        ({"../unet": ["diffusers", "UNet2DConditionModel"]}, "pipeline.py"),
    ],
)
def test_code_beside_a_model_is_not_run(
    model: Path, trace: Path, changes: dict[str, object], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps({**index, **changes}))
    (model / module).write_text(hostile_module(trace))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    with pytest.raises(InputError):
        opened(model)
    assert not trace.exists()


@pytest.mark.parametrize("where", ["unet/config.json", "text_encoder/config.json", "encoder"])
def test_an_auto_map_is_not_followed(model: Path, encoder: Path, trace: Path, where: str) -> None:
    file = encoder / "config.json" if where == "encoder" else model / where
    config = json.loads(file.read_text())
    config["auto_map"] = dict.fromkeys(("AutoModel", "AutoConfig", "AutoTokenizer"), "mine.Mine")
    (file.parent / "mine.py").write_text(hostile_module(trace))
    file.write_text(json.dumps(config))
    opened(model)
    load(resolve_encoder("e", "image_text", str(encoder)), "cpu")
    config["model_type"] = "mine"  # a type that only the code beside it knows
    file.write_text(json.dumps(config))
    if where == "encoder":
        with pytest.raises(InputError):
            load(resolve_encoder("e", "image_text", str(encoder)), "cpu")
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", LARGEST_JSON + 1) + b"{}",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        struct.pack("<Q", 400_010) + b'{"a":' * 80_002,
        struct.pack("<Q", 50) + b'{"a": {"data_offsets": [0, 1' + b"0" * 18 + b"]}}",
    ],
    ids=["endless", "too long", "lists", "objects", "far beyond the file"],
)
def test_a_header_that_is_a_bomb_is_bad_input(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bomb.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"bomb\.safetensors"):
        check_safetensors(tmp_path / "bomb.safetensors")


def test_a_configuration_that_is_nested_without_end_or_endless_is_bad_input(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"a":' * 200_000)
    with pytest.raises(InputError, match=r"config\.json: is not JSON"):
        read_json(file)
    with open(file, "wb") as stream:
        stream.truncate(LARGEST_JSON + 1)  # a hole: no disk is filled
    with pytest.raises(InputError, match=r"config\.json: has more than"):
        read_json(file)


@pytest.mark.parametrize("shard", ["../../outside.safetensors", "/etc/passwd", {"a": 1}, 7, ""])
def test_an_index_of_shards_leads_nowhere_else(encoder: Path, shard: object) -> None:
    (encoder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(InputError, match="is no name of a file beside it"):
        resolve_encoder("e", "image_text", str(encoder))


@pytest.mark.parametrize(
    "head",
    [
        "license: &a [x]\n" + "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9)) + "license: *k8",
        "license: " + "[" * 5000,
        "license: !!python/object/apply:os.system [true]",
        "license: 2023-99-99",
        "license: {a: b}",
        "license: !!timestamp x",
        "license: !!bool x",
        "license: !!int ''",
    ],
    ids=["aliases", "nesting", "object", "date", "mapping", "timestamp", "bool", "int"],
)  # fmt: skip
def test_a_model_card_that_is_a_bomb_says_nothing_of_a_licence(tmp_path: Path, head: str) -> None:
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\ntext")
    assert licence(tmp_path) is None


def test_weights_that_are_no_numbers_are_not_measured(tiny_encoder: Path, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    from audit_assets.encoders.embed import check_unit

    folder = Path(shutil.copytree(tiny_encoder, tmp_path / "broken"))
    file = next(folder.glob("*.safetensors"))
    tensors = {name: t * float("nan") if "visual_projection" in name else t for name, t in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    embeddings = load(resolve_encoder("e", "image_text", str(folder)), "cpu").embed_images(
        [Image.fromarray(np.zeros((32, 32, 3), np.uint8))]
    )
    with pytest.raises(ValueError, match="the encoder is broken"):
        check_unit(embeddings, ["an image"])


@pytest.mark.parametrize("name", ["AutoModel", "AutoModelForCausalLM", "Trainer", "pipeline", "PreTrainedModel.x", 7])
def test_a_text_encoder_is_loaded_by_a_class_of_its_own_and_nobody_is_asked(
    model: Path, trace: Path, name: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AutoModel` would ask on the terminal whether to run the code beside it, and take a `y` from a pipe."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    index = json.loads((model / "model_index.json").read_text())
    index["text_encoder"] = ["transformers", name]
    (model / "model_index.json").write_text(json.dumps(index))
    config = json.loads((model / "text_encoder" / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (model / "text_encoder" / "config.json").write_text(json.dumps(config))
    (model / "text_encoder" / "mine.py").write_text(hostile_module(trace))
    with pytest.raises(InputError, match=r"model_index\.json, text_encoder: .*(no class|has no model)"):
        opened(model)
    assert not trace.exists()


def test_every_call_that_loads_takes_the_safe_options() -> None:
    """A loading call that is added later is found here: none may leave it to the library whether code is run."""
    package = Path(__file__).parents[2] / "audit_assets"
    files = [file for file in sorted(package.rglob("*.py")) if "miniature" not in file.parts]
    calls = [
        (file.name, call)
        for file in files
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "from_pretrained"
    ]
    spread = [(name, {getattr(k.value, "id", "") for k in call.keywords if k.arg is None}) for name, call in calls]
    assert len(calls) == 9
    assert [name for name, own in spread if not own & {"SAFE", "SAFE_WEIGHTS"}] == []


@pytest.mark.parametrize("field", ["attn_implementation", "_attn_implementation"])
def test_an_attention_that_is_code_on_the_hub_is_refused(encoder: Path, model: Path, field: str) -> None:
    for file in (encoder / "config.json", model / "text_encoder" / "config.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), field: "somebody/kernels"}))
    with pytest.raises(InputError, match="is code on the hub"):
        resolve_encoder("e", "image_text", str(encoder))
    with pytest.raises(InputError, match="is code on the hub"):
        opened(model)


def test_an_adapter_beside_weights_does_not_put_another_model_in_their_place(encoder: Path, model: Path) -> None:
    for folder in (encoder, model / "text_encoder"):
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/somewhere/else"}))
    with pytest.raises(InputError, match=r"adapter_config\.json: lies beside whole weights"):
        resolve_encoder("e", "image_text", str(encoder))
    with pytest.raises(InputError, match=r"adapter_config\.json: lies beside whole weights"):
        opened(model)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"vision_config": {"num_hidden_layers": 10**7}}),
        ("config.json", {"text_config": {"hidden_size": 10**7}}),
        ("config.json", {"vision_config": {"image_size": 10**6}}),
        ("preprocessor_config.json", {"size": {"shortest_edge": 100_000}}),
        ("preprocessor_config.json", {"crop_size": 100_000}),
    ],
)
def test_a_size_that_no_weights_have_is_refused_before_it_is_built(
    encoder: Path, file: str, change: dict[str, Any]
) -> None:
    content = json.loads((encoder / file).read_text())
    for key, value in change.items():
        content[key] = (
            {**content.get(key, {}), **value}
            if isinstance(content.get(key), dict) and isinstance(value, dict)
            else value
        )
    (encoder / file).write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"{file}, .* is more than"):
        resolve_encoder("e", "image_text", str(encoder))


def test_a_pipeline_of_more_layers_than_its_weights_have_tensors_is_refused(model: Path) -> None:
    file = model / "unet" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "layers_per_block": 10**7}))
    with pytest.raises(InputError, match=r"unet/config\.json, layers_per_block: 10000000 is more than"):
        opened(model)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]},
        {"dtype": "nothing", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "data_offsets": [0, 4]},
    ],
)
def test_a_header_that_lies_about_its_tensors_is_bad_input(tmp_path: Path, tensor: dict[str, object]) -> None:
    header = json.dumps({"a": tensor}).encode()
    (tmp_path / "lies.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(InputError, match=r"lies\.safetensors: "):
        check_safetensors(tmp_path / "lies.safetensors")
