"""Repositories on the hub, with the hub's own client: what is fetched, what is said, and the cache of this machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from audit_assets.errors import InputError
from audit_assets.generation.diffusers_source import DiffusersSource
from audit_assets.models.encoders import resolve_encoder
from audit_assets.models.files import files_sha256, local_folder
from audit_assets.models.hub import Kind, files_to_fetch
from audit_assets.models.pipelines import ResolvedModel, resolve_diffusers
from audit_assets_tests.encoders.tiny_encoders import clip
from audit_assets_tests.models.hub_server import COMMIT, TOKEN, hub

ASK = """
import json, os, sys
import huggingface_hub
from audit_assets.errors import InputError
from audit_assets.models.files import local_folder
for ask in json.loads(sys.argv[1]):
    try:
        for name, value in ask.pop("environ", {}).items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        found = local_folder(**{"path": "hub:owner/name", "revision": "a" * 40, "kind": "pipeline", **ask})
        print(json.dumps(str(found[0])))
    except InputError as error:
        print(json.dumps(f"refused: {error}"))
"""


def ask(address: str, home: Path, *asked: Mapping[str, object], **environ: str) -> list[str]:
    """What a process of its own says to each: the client reads its settings when it is imported. No address is no network."""
    settings = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(home), **environ} | ({"HF_ENDPOINT": address} if address else {})
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(asked)],
        env={**os.environ, **(settings if address else {**settings, "HF_HUB_OFFLINE": "1"})},
        capture_output=True,
        text=True,
        check=True,
    )
    return [str(json.loads(line)) for line in done.stdout.splitlines()]


def files_of(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def repository(stable_diffusion: Path) -> Path:
    """As large repositories are: the same weights in many formats, examples, and checkpoints in one file."""
    for file in list(stable_diffusion.glob("*/*.safetensors")):
        half = {name: tensor.astype(np.float16) for name, tensor in load_file(file).items()}
        save_file(half, file.with_suffix(".fp16.safetensors"), metadata={"format": "pt"})
        for name in ("pytorch_model.bin", "model.onnx", "flax_model.msgpack", "openvino_model.xml"):
            (file.parent / name).write_bytes(b"1")
    for name in ("v1-pruned.safetensors", "v1-pruned.ckpt", "README.md", "LICENSE", "grid.png", "vae_1_0/config.json"):
        (stable_diffusion / name).parent.mkdir(exist_ok=True)
        (stable_diffusion / name).write_text("{}")
    return stable_diffusion


def test_only_what_the_pipeline_reads_is_fetched_and_then_needs_no_network(repository: Path, tmp_path: Path) -> None:
    home, fp16 = tmp_path / "home", {"variant": "fp16"}
    with hub({"owner/name": repository}) as (address, asked):
        (path,) = ask(address, home, {})
        fetched = set(asked)
        assert len(asked) == len(fetched)
        assert {
            "model_index.json",
            "README.md",
            "tokenizer/tokenizer.json",
            "scheduler/scheduler_config.json",
        } <= fetched
        weights = {n for n in fetched if not n.endswith((".json", ".txt", ".md"))}
        assert {"unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"} <= weights
        assert len(weights) == len(list(repository.glob("*/*.fp16.safetensors")))
        assert files_of(Path(path)) == fetched
        assert not {"v1-pruned.safetensors", "vae_1_0/config.json", "LICENSE"} & fetched
        assert files_sha256(Path(path)) == files_sha256(repository)
        asked.clear()
        assert "lacks text_encoder/model.fp16.safetensors" in ask("", home, fp16)[0]  # the listing tells it
        assert ask(address, home, fp16, {}) == [path, path]
        assert set(asked) == {name for name in files_of(repository) if "fp16" in name}
    assert ask("", home, {}, fp16) == [path, path]
    assert ask(address, home, {}) == [path]  # whole: not even the hub that is gone is asked
    found = resolve_diffusers("m", path, None, {})
    assert (found.path, found.revision, found.files_sha256) == (Path(path), COMMIT, files_sha256(repository))
    (Path(path) / "tokenizer/tokenizer.json").unlink()
    assert "lacks tokenizer/tokenizer.json in the cache of this machine; set HF_HUB_OFFLINE=0" in ask("", home, {})[0]
    with pytest.raises(InputError, match=r"lacks tokenizer/tokenizer\.json, which the repository has"):
        local_folder(str(Path(path).parent.parent), None, "pipeline")


@pytest.mark.parametrize("offline", [None, "1", "yes"])
def test_nothing_is_fetched_unless_the_user_says_so(offline: str | None, repository: Path, tmp_path: Path) -> None:
    says_no = {"environ": {"HF_HUB_OFFLINE": offline}}
    with hub({"owner/name": repository}) as (address, asked):
        says_yes = {"environ": {"HF_HUB_OFFLINE": "0"}, "fetch": False}
        for said in ask(address, tmp_path, says_no, says_yes):
            assert said.endswith(
                "is not in the cache of this machine; set HF_HUB_OFFLINE=0 to let this command fetch it, or copy the cache of a "
                "machine that has it."
            )
        assert asked == []


def test_what_the_hub_refuses_is_said_with_the_remedy(repository: Path, tmp_path: Path) -> None:
    gated, unknown, disabled = ({"path": f"hub:owner/{name}"} for name in ("gated", "nmae", "disabled"))
    repositories = dict.fromkeys(("owner/name", "owner/gated", "owner/disabled"), repository)
    with hub(repositories, gated={"owner/gated"}, disabled={"owner/disabled"}) as (address, asked):
        for environ in ({}, {"HF_TOKEN": "hf_of_another"}):
            said = ask(address, tmp_path, gated, unknown, {"revision": "b" * 40}, disabled, **environ)
            assert "open https://huggingface.co/owner/gated in a browser with your account, accept the terms" in said[0]
            assert "log in on this machine with `hf auth login`, or set HF_TOKEN" in said[0]
            assert "the hub has no such repository, or it is private" in said[1]
            assert f"has no commit {'b' * 40}" in said[2]
            assert "Access to this resource is disabled" in said[3]
        assert asked == []
        assert "does not accept the token of this machine" in ask(address, tmp_path, {}, HF_TOKEN="mistyped")[0]
        assert ask(address, tmp_path, gated, HF_TOKEN=TOKEN)[0].endswith(COMMIT)


@pytest.mark.long  # the client tries again for half a minute
def test_without_a_network_the_network_is_named(repository: Path, tmp_path: Path) -> None:
    with hub({}) as (address, _):
        pass
    assert "cannot be fetched (ConnectError: " in (said := ask(address, tmp_path, {})[0])
    assert "check the network" in said


def test_an_encoder_is_fetched_without_its_other_formats(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    clip(encoder)
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "onnx/model.onnx", "model.fp16.safetensors"):
        (encoder / name).parent.mkdir(exist_ok=True)
        (encoder / name).write_bytes(b"1")
    with hub({"owner/name": encoder}) as (address, asked):
        (path,) = ask(address, tmp_path / "home", {"kind": "encoder"})
        assert {"config.json", "model.safetensors", "README.md"} <= set(asked) == files_of(Path(path))
        assert not {"pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "model.fp16.safetensors"} & set(asked)
        found = resolve_encoder("e", "image_text", path)
        assert (found.path, found.revision, found.files_sha256) == (Path(path), COMMIT, files_sha256(encoder))
        assert ask("", tmp_path / "home", {"kind": "encoder"}) == [path]


def test_what_cannot_be_used_is_refused_before_it_is_fetched(repository: Path, tmp_path: Path) -> None:
    def made(name: str, *files: str) -> Path:
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_bytes(b"{}")
        return tmp_path / name

    pickles = shutil.copytree(repository, tmp_path / "pickles", ignore=shutil.ignore_patterns("openvino*"))
    for file in pickles.glob("unet/*.safetensors"):
        file.unlink()
    several = shutil.copytree(repository, tmp_path / "several")
    for file in several.glob("vae/*model.safetensors"):
        shutil.move(file, file.with_suffix(".ema.safetensors"))
    encoder, adapter = {"kind": "encoder"}, {"kind": "adapter"}
    cases: dict[str, tuple[Path, Mapping[str, object], tuple[str, ...]]] = {
        "o/pickles": (
            pickles,
            {},
            ("unet/pytorch_model.bin: is a pickle", "DiffusionPipeline.from_pretrained('o/pickles'", "a pull request of the repository has"),
        ),
        "o/several": (several, {}, ("o/several/vae: holds the variants ema, fp16",)),
        "o/typing": (repository, {"variant": "fp61"}, ("holds no weights of the variant 'fp61'",)),
        "o/one": (made("one", "merge.safetensors"), {}, (f"`hf download o/one merge.safetensors --revision {COMMIT}`",)),
        "o/nothing": (made("nothing", "README.md"), {}, ("give a repository in the layout of diffusers",)),
        "o/clip": (
            made("clip", "config.json", "pytorch_model.bin"),
            encoder,
            ("o/clip/pytorch_model.bin: is a pickle", "AutoModel.from_pretrained('o/clip', use_safetensors=False)"),
        ),
        "o/flax": (made("flax", "config.json", "flax_model.msgpack"), encoder, ("is weights of Flax",)),
        "o/open-clip": (
            made("open", "open_clip_config.json", "open_clip_model.safetensors"),
            encoder,
            ("has no config.json", "or write a plug-in"),
        ),
        "o/loras": (made("loras", "a.safetensors", "b.safetensors"), adapter, ("holds 2 .safetensors files (a.saf",)),
        "o/bin": (made("bin", "lora.bin"), adapter, ("torch.load('lora.bin', weights_only=True), 'lora.safetensors')",)),
        "o/none": (made("none", "README.md"), adapter, ("holds no .safetensors file",)),
    }  # fmt: skip
    with hub({name: folder for name, (folder, _, _) in cases.items()}) as (address, asked):
        said = ask(address, tmp_path / "home", *({"path": f"hub:{name}", **own} for name, (_, own, _) in cases.items()))
        for (name, (_, _, expected)), text in zip(cases.items(), said, strict=True):
            assert text.startswith(f"refused: hub:{name}"), text
            assert all(part in text for part in expected), text
        assert set(asked) == {"model_index.json"}


def test_an_adapter_is_fetched_with_its_settings(tmp_path: Path) -> None:
    (tmp_path / "peft").mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json", "model.safetensors", "sample.png", "README.md"):
        (tmp_path / "peft" / name).write_text(name)
    with hub({"owner/name": tmp_path / "peft"}) as (address, asked):
        assert ask(address, tmp_path / "home", {"kind": "adapter"})[0].endswith(COMMIT)
        assert set(asked) == {"adapter_model.safetensors", "adapter_config.json", "README.md"}


_WEIGHTS = (
    "model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "adapter_model.safetensors",
    "x.safetensors",
)
_FILES = (*_WEIGHTS, "config.json", "tokenizer.json", "pytorch_model.bin", "model.onnx", "LICENSE", "model_index.json")
_NAMES = st.sets(
    st.builds(lambda folder, name: folder + name, st.sampled_from(("", "unet/", "old/unet/")), st.sampled_from(_FILES))
)


@given(_NAMES, st.sampled_from(("pipeline", "encoder", "adapter")), st.sampled_from((None, "fp16")))
def test_of_any_listing_weights_and_no_pickles_are_fetched_or_it_is_refused(
    names: set[str], kind: Kind, variant: str | None
) -> None:
    index = (
        {"unet": ["diffusers", "UNet2DConditionModel"]} if "model_index.json" in names and kind == "pipeline" else None
    )
    try:
        files = files_to_fetch(Path("o/n"), COMMIT, sorted(names), index, kind, variant)
    except InputError:
        return
    assert set(files) <= names
    assert not [name for name in files if name.endswith((".bin", ".onnx", "LICENSE")) or name.startswith("old/")]
    if kind != "pipeline":
        assert any(name.endswith(".safetensors") for name in files)
    elif "unet/config.json" in files:
        assert any(name.startswith("unet/") and name.endswith(".safetensors") for name in files)


def draw(model: ResolvedModel) -> np.ndarray:
    (image,) = DiffusersSource(model, "cpu").generate(["art by anna"], [7], batch_size=1)
    return np.asarray(image)


def in_cache(folder: Path, cache: Path, commit: str) -> Path:
    """A folder as older clients of the hub keep it, without a listing: files by their content, and links to them by commit."""
    repository = cache / "models--owner--name"
    for file in (p for p in folder.rglob("*") if p.is_file()):
        blob = repository / "blobs" / str(abs(hash((commit, file))))
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link = repository / "snapshots" / commit / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return repository


def test_the_cache_of_a_repository_may_be_given_as_a_path(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = in_cache(repository, tmp_path, COMMIT)
    snapshot = cached / "snapshots" / COMMIT
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for path in (str(cached), str(snapshot)):
        found = resolve_diffusers("m", path, None, {})
        assert (found.path, found.revision, found.files_sha256) == (snapshot, COMMIT, files_sha256(repository))
    settings = {"steps": 2, "guidance": 3.0, "size": 32}
    of_hub, of_folder = (resolve_diffusers("m", p, COMMIT, settings) for p in ("hub:owner/name", str(repository)))
    assert (of_hub.path, of_hub.revision) == (snapshot, COMMIT)
    assert np.array_equal(draw(of_hub), draw(of_folder))
    with pytest.raises(InputError, match=r"is the commit a{40}, and `revision` is 'main'"):
        local_folder(str(snapshot), "main", "pipeline")
    in_cache(repository, tmp_path, "b" * 40)
    for revision in (None, "c" * 40):
        with pytest.raises(InputError, match=r"choose one of its commits by `revision` \(it has a{40}, b{40}\)"):
            local_folder(str(cached), revision, "pipeline")
    assert local_folder(str(cached), "b" * 40, "pipeline") == (cached / "snapshots" / ("b" * 40), "b" * 40)
    for blob in (cached / "blobs").iterdir():
        blob.unlink()
    with pytest.raises(InputError, match=r"is missing|is a link to a file that is gone"):
        resolve_diffusers("m", str(cached), COMMIT, {})
