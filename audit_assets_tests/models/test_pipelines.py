import json
from pathlib import Path

import pytest

from audit_assets.errors import InputError
from audit_assets.models.families import FAMILIES, OWN, Family, Settings, family_of
from audit_assets.models.files import files_sha256
from audit_assets.models.pipelines import marks_of, resolve_diffusers, resolve_folder
from audit_assets_tests.generation.tiny_pipelines import save


def resolve(folder: Path, **settings: object) -> object:
    return resolve_diffusers("tiny", str(folder), None, settings)


def test_a_pipeline_is_known_by_its_class_its_files_and_its_text_encoders(stable_diffusion: Path) -> None:
    model = resolve_diffusers("tiny", str(stable_diffusion), "main", {"steps": 2})
    assert model.pipeline_class == "StableDiffusionPipeline"
    assert model.files_sha256 == files_sha256(stable_diffusion)
    assert model.text_encoder_families == ("clip_text_model-32",)
    own = {"guidance": 7.5, "size": 32, "scheduler": "DDIMScheduler"}
    assert model.settings == {**Settings().model_dump(), **own, "steps": 2}
    assert model.origins == {"steps": "audit.yaml", "guidance": OWN, "size": OWN}
    assert model.not_sent == {}
    assert model.revision == "main"


def test_every_text_encoder_of_a_pipeline_is_reported(tmp_path: Path) -> None:
    model = resolve_diffusers("tiny", str(save("stable_diffusion_3", tmp_path)), None, {})
    assert model.text_encoder_families == ("clip_text_model-32", "clip_text_model-32", "t5-64")
    assert (model.settings["size"], model.settings["steps"], model.settings["guidance"]) == (64, 28, 7.0)


def test_the_text_encoder_of_stable_diffusion_is_known_as_clip_vit_l_14(stable_diffusion: Path) -> None:
    file = stable_diffusion / "text_encoder" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hidden_size": 768}))
    assert resolve_diffusers("tiny", str(stable_diffusion), None, {}).text_encoder_families == ("clip-vit-l-14",)


TURBO: dict[str, dict[str, object]] = {"scheduler": {"timestep_spacing": "trailing"}, "unet": {"sample_size": 64}}
ZERO_TERMINAL_SNR = {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)
def test_each_family_is_found_by_its_own_marks_and_its_defaults_can_be(family: Family) -> None:
    assert family_of(family.pipeline, family.marks) is family
    assert Settings.model_validate(family.defaults)


@pytest.mark.parametrize(
    ("pipeline", "configs", "family"),
    [
        ("StableDiffusionPipeline", {"scheduler": {"timestep_spacing": "leading"}}, "StableDiffusionPipeline"),
        ("StableDiffusionPipeline", {**TURBO, "text_encoder": {"hidden_size": 1024}}, "sd-turbo"),
        ("StableDiffusionPipeline", TURBO, "StableDiffusionPipeline"),
        (
            "StableDiffusionPipeline",
            {**TURBO, "scheduler": ZERO_TERMINAL_SNR, "text_encoder": {"hidden_size": 1024}},
            "StableDiffusionPipeline",
        ),
        ("StableDiffusionXLPipeline", {"scheduler": {"timestep_spacing": "leading"}}, "StableDiffusionXLPipeline"),
        ("StableDiffusionXLPipeline", TURBO, "sdxl-turbo"),
        ("StableDiffusionXLPipeline", {**TURBO, "scheduler": ZERO_TERMINAL_SNR}, "StableDiffusionXLPipeline"),
        ("StableDiffusionXLPipeline", {**TURBO, "unet": {"sample_size": 128}}, "StableDiffusionXLPipeline"),
        ("FluxPipeline", {"transformer": {"guidance_embeds": True}}, "flux-dev"),
        ("FluxPipeline", {"transformer": {"guidance_embeds": False}}, "flux-schnell"),
        ("KandinskyPipeline", {}, "KandinskyPipeline"),
    ],
)
def test_families_of_one_class_are_told_apart_by_their_files(
    pipeline: str, configs: dict[str, dict[str, object]], family: str
) -> None:
    assert family_of(pipeline, marks_of(configs, {})).name == family


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("steps", "fifty"),
        ("steps", 0),
        ("guidance", -1.0),
        ("dtype", "int8"),
        ("compile", "yes"),
        ("true_cfg_scale", 1),
    ],
)
def test_a_setting_that_cannot_be_is_named(stable_diffusion: Path, setting: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"settings\.{setting}: .*{value}"):
        resolve(stable_diffusion, **{setting: value})


def test_an_unknown_setting_is_bad_input_and_the_known_ones_are_listed(stable_diffusion: Path) -> None:
    with pytest.raises(InputError, match=r"no setting 'stepps'; the settings are steps, guidance, size"):
        resolve(stable_diffusion, stepps=3)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(stable_diffusion: Path, component: str) -> None:
    (stable_diffusion / component).rename(stable_diffusion / "elsewhere")
    with pytest.raises(InputError, match=f"{component}: the component that model_index.json names is missing"):
        resolve(stable_diffusion)


@pytest.mark.parametrize("component", ["unet", "vae", "text_encoder"])
def test_a_component_without_its_config_is_named(stable_diffusion: Path, component: str) -> None:
    (stable_diffusion / component / "config.json").unlink()
    with pytest.raises(InputError, match=f"{component}/config.json: is missing"):
        resolve(stable_diffusion)


def test_weights_cut_short_are_found_without_loading_them(stable_diffusion: Path) -> None:
    (file,) = (stable_diffusion / "unet").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"unet/.*is truncated or damaged"):
        resolve(stable_diffusion)


def test_pickled_weights_are_refused(stable_diffusion: Path) -> None:
    (file,) = (stable_diffusion / "vae").glob("*.safetensors")
    file.rename(file.with_suffix(".bin"))
    with pytest.raises(InputError, match=r"\.bin: is a pickle"):
        resolve(stable_diffusion)


def test_a_pipeline_without_a_text_encoder_cannot_be_asked_for_a_name(stable_diffusion: Path) -> None:
    index = stable_diffusion / "model_index.json"
    content = json.loads(index.read_text())
    del content["text_encoder"], content["tokenizer"]
    index.write_text(json.dumps({**content, "_class_name": "DDPMPipeline"}))
    with pytest.raises(InputError, match=r"DDPMPipeline takes no prompt.*image_folder"):
        resolve(stable_diffusion)


@pytest.mark.parametrize(
    ("content", "problem"), [("{", "is not JSON"), ("[]", "holds no JSON object"), ("{}", "names no pipeline")]
)
def test_a_spoilt_model_index_is_bad_input(stable_diffusion: Path, content: str, problem: str) -> None:
    (stable_diffusion / "model_index.json").write_text(content)
    with pytest.raises(InputError, match=problem):
        resolve(stable_diffusion)


def test_a_folder_of_images_is_known_by_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "klee").mkdir()
    (tmp_path / "klee" / "a.png").write_bytes(b"1")
    first = resolve_folder("saved", tmp_path)
    (tmp_path / "klee" / "a.png").write_bytes(b"2")
    second = resolve_folder("saved", tmp_path)
    (tmp_path / "klee" / "a.png").rename(tmp_path / "klee" / "b.png")
    third = resolve_folder("saved", tmp_path)
    assert len({first.files_sha256, second.files_sha256, third.files_sha256}) == 3
    assert first.pipeline_class is None


def test_a_missing_or_empty_folder_of_images_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        resolve_folder("saved", tmp_path / "missing")
    with pytest.raises(InputError, match="holds no images"):
        resolve_folder("saved", tmp_path)
