"""What a pipeline is asked for, from audit.yaml, the table of families, and the source of the installed diffusers."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_assets.errors import InputError
from audit_assets.models.families import OWN, Asked, Described, asked, family_of
from audit_assets.models.pipeline_size import divisor, own_size
from audit_assets.models.pipeline_source import PipelineSource, pipeline_source
from audit_assets.models.pipelines import marks_of, resolve_diffusers
from audit_assets.models.schedulers import noise_is_handed_on

Parts = dict[str, Any]
QWEN: Parts = {"vae": {"temperal_downsample": [False, True, True]}, "transformer": {"guidance_embeds": False}}
UNET: Parts = {"unet": {"sample_size": 64}, "vae": {"block_out_channels": [1, 2, 3, 4]}}
FLUX: Parts = {"vae": {"block_out_channels": [1, 2, 3, 4]}, "transformer": {"guidance_embeds": True}}


def source_of(pipeline: str) -> PipelineSource:
    found = pipeline_source(pipeline)
    assert found is not None
    return found


def ask(pipeline: str, parts: Parts, own: Parts | None = None, **settings: object) -> Asked:
    family = family_of(pipeline, marks_of(parts, own or {}))
    return asked(Described(family, source_of(pipeline), own or {}, parts), settings)


def test_what_the_audit_file_leaves_out_is_the_pipelines_own() -> None:
    found = ask("StableDiffusionPipeline", UNET, steps=20)
    assert found.arguments == {"num_inference_steps": 20, "guidance_scale": 7.5, "width": 512, "height": 512}
    assert found.origins == {"steps": "audit.yaml", "guidance": OWN, "size": OWN}


def test_a_row_of_the_table_stands_between_the_audit_file_and_the_pipeline() -> None:
    turbo = {**UNET, "scheduler": {"timestep_spacing": "trailing"}, "text_encoder": {"hidden_size": 1024}}
    found = ask("StableDiffusionPipeline", turbo, guidance=1.5)
    assert (found.arguments["num_inference_steps"], found.arguments["guidance_scale"]) == (1, 1.5)
    assert found.origins["steps"] == "the table of families (sd-turbo)"


def test_guidance_goes_to_the_argument_that_hears_it() -> None:
    found = ask("QwenImagePipeline", QWEN)
    assert (found.arguments["true_cfg_scale"], found.arguments["negative_prompt"]) == (4.0, " ")
    assert "guidance_scale" not in found.arguments
    assert (found.settings["size"], found.settings["guidance"]) == (1024, 4.0)
    assert ask("QwenImagePipeline", QWEN, guidance=2.5).arguments["true_cfg_scale"] == 2.5
    plain = ask("QwenImagePipeline", QWEN, guidance=1.0)
    assert "negative_prompt" not in plain.arguments
    refined = {"transformer": {"guidance_embeds": True}, "vae": {"config": {}}}
    assert ask("HunyuanImagePipeline", refined, size=64).arguments["distilled_guidance_scale"] == 3.25


@pytest.mark.parametrize(
    ("pipeline", "parts", "own", "setting", "value", "why"),
    [
        ("Flux2KleinPipeline", FLUX, {}, "negative_prompt", "a frame", "takes no negative_prompt"),
        ("Flux2KleinPipeline", FLUX, {"is_distilled": True}, "guidance", 4.0, "flux-2-klein does not hear it"),
        ("HunyuanImagePipeline", {"transformer": {"guidance_embeds": False}}, {}, "guidance", 4.0, "component `guider`"),
        ("FluxPipeline", {**FLUX, "transformer": {"guidance_embeds": False}}, {}, "guidance", 4.0, "flux-schnell"),
        ("FluxPipeline", FLUX, {}, "true_cfg_scale", 4.0, "only beside a negative_prompt"),
        ("FluxKontextPipeline", FLUX, {}, "negative_prompt", "a frame", "only beside a true_cfg_scale above 1"),
        ("StableDiffusionPipeline", UNET, {}, "max_sequence_length", 9, "takes no max_sequence_length"),
        ("StableDiffusionPipeline", UNET, {}, "safety_checker", False, "has no safety checker"),
        ("UnCLIPPipeline", {}, {}, "steps", 9, "takes no num_inference_steps"),
        ("UnCLIPPipeline", {}, {}, "size", 64, "takes no width and height"),
    ],
)  # fmt: skip
def test_a_setting_that_the_pipeline_does_not_hear_is_not_sent_and_recorded_with_the_reason(
    pipeline: str, parts: Parts, own: Parts, setting: str, value: object, why: str
) -> None:
    found = ask(pipeline, parts, own, **({} if pipeline == "UnCLIPPipeline" else {"size": 64}) | {setting: value})
    assert why in found.not_sent[setting]
    assert found.settings[setting] is None
    assert not {"negative_prompt", "guidance_scale", "true_cfg_scale", "distilled_guidance_scale"} & (
        found.arguments.keys() - ({"guidance_scale"} if setting != "guidance" else set())
    )


def test_a_negative_prompt_that_no_guidance_reads_is_not_sent() -> None:
    above = source_of("StableDiffusion3Pipeline").guided_above
    assert above == 1.0
    parts = {"transformer": {"sample_size": 8, "patch_size": 2}, "vae": {"block_out_channels": [1, 2]}}
    assert ask("StableDiffusion3Pipeline", parts, negative_prompt="x").arguments["negative_prompt"] == "x"
    quiet = ask("StableDiffusion3Pipeline", parts, negative_prompt="x", guidance=1.0)
    assert "only if guidance is above 1" in quiet.not_sent["negative_prompt"]
    assert ask("ZImagePipeline", FLUX, negative_prompt="x", guidance=0.5).arguments["negative_prompt"] == "x"


@pytest.mark.parametrize("pipeline", ["PixArtSigmaPipeline", "AuraFlowPipeline", "NucleusMoEImagePipeline"])
def test_a_pipeline_that_compares_its_guidance_while_it_draws_reads_no_negative_prompt_below(pipeline: str) -> None:
    parts = {"transformer": {"sample_size": 8, "patch_size": 2}, "vae": {"block_out_channels": [1, 2]}}
    asked_for: Parts = {"negative_prompt": "x", "size": 64}
    assert ask(pipeline, parts, **asked_for, guidance=2.0).arguments["negative_prompt"] == "x"
    quiet = ask(pipeline, parts, **asked_for, guidance=1.0)
    assert "only if guidance is above 1" in quiet.not_sent["negative_prompt"]
    assert "negative_prompt" not in quiet.arguments


@pytest.mark.parametrize("pipeline", ["StableDiffusionPipeline", "StableDiffusionXLPipeline"])
def test_a_unet_that_hears_the_guidance_itself_reads_no_negative_prompt(pipeline: str) -> None:
    distilled = {"unet": {**UNET["unet"], "time_cond_proj_dim": 256}}
    quiet = ask(pipeline, {**UNET, **distilled}, negative_prompt="x", size=64)
    assert quiet.not_sent["negative_prompt"] == "the UNet hears the guidance itself, and no negative prompt"
    assert quiet.settings["negative_prompt"] is None
    assert "guidance_scale" in quiet.arguments
    assert ask(pipeline, UNET, negative_prompt="x", size=64).arguments["negative_prompt"] == "x"


@pytest.mark.parametrize(
    ("pipeline", "scheduler", "config", "handed"),
    [
        ("BriaPipeline", "EulerAncestralDiscreteScheduler", {}, True),
        ("BriaPipeline", "EulerDiscreteScheduler", {}, False),
        ("ZImagePipeline", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, True),
        ("FluxPipeline", "FlowMatchEulerDiscreteScheduler", {"stochastic_sampling": False}, False),
        ("StableDiffusionPipeline", "EulerAncestralDiscreteScheduler", {}, False),
    ],
)
def test_noise_is_handed_on_by_the_audit_if_steps_draw_it_and_the_pipeline_does_not(
    pipeline: str, scheduler: str, config: Parts, handed: bool
) -> None:
    assert noise_is_handed_on(source_of(pipeline), scheduler, config) is handed


def test_what_nobody_says_is_asked_and_not_guessed() -> None:
    with pytest.raises(
        InputError, match=r"settings\.size: StableDiffusionPipeline has no size of its own that is known"
    ):
        ask("StableDiffusionPipeline", {"unet": {}, "vae": {}})
    with pytest.raises(InputError, match=r"settings\.guidance: QwenImagePipeline has no default of its own"):
        ask("QwenImagePipeline", {**QWEN, "transformer": {"guidance_embeds": True}})
    assert ask("Ideogram4Pipeline", {}).settings["guidance"] is None
    with pytest.raises(
        InputError, match=r"settings\.guidance: the guidance schedule of Ideogram4Pipeline is made for 48"
    ):
        ask("Ideogram4Pipeline", {}, steps=20)
    constant = ask("Ideogram4Pipeline", {}, steps=20, guidance=5.0).arguments
    assert (constant["guidance_scale"], constant["guidance_schedule"]) == (5.0, None)


def test_a_size_may_be_a_rectangle_and_the_pipelines_own_may_be_one() -> None:
    assert ask("Cosmos2TextToImagePipeline", {}).settings["size"] == [1360, 768]
    found = ask("StableDiffusionPipeline", UNET, size=[64, 96])
    assert (found.arguments["width"], found.arguments["height"]) == (64, 96)
    for size in ([64], [64, 64, 64], 0, [0, 8]):
        with pytest.raises(InputError, match=r"settings\.size: give pixels"):
            ask("StableDiffusionPipeline", UNET, size=size)


@pytest.mark.parametrize(
    ("pipeline", "parts", "own", "size", "by"),
    [
        ("StableDiffusionPipeline", UNET, {}, (512, 512), 8),
        ("StableDiffusionPipeline", {**UNET, "unet": {"sample_size": [64, 96]}}, {}, (768, 512), 8),
        ("StableDiffusionXLPipeline", {**UNET, "unet": {"sample_size": 128}}, {}, (1024, 1024), 8),
        ("FluxPipeline", FLUX, {}, (1024, 1024), 16),
        ("QwenImagePipeline", QWEN, {}, (1024, 1024), 16),
        ("SanaPipeline", {}, {}, (1024, 1024), 32),
        ("PRXPixelPipeline", {}, {"default_sample_size": 512}, (512, 512), None),
        ("PixArtSigmaPipeline", {"transformer": {"sample_size": 128}, **UNET}, {}, (1024, 1024), 8),
        ("StableDiffusionPipeline", {"unet": {"sample_size": "64"}, "vae": {}}, {}, None, 8),
        ("PRXPipeline", {}, {}, None, None),
    ],
)
def test_the_size_and_its_divisor_are_worked_out_from_the_configurations_or_unknown(
    pipeline: str, parts: Parts, own: Parts, size: tuple[int, int] | None, by: int | None
) -> None:
    assert own_size(source_of(pipeline), own, parts) == size
    assert divisor(source_of(pipeline), own, parts) == by


def test_a_side_that_does_not_fit_is_refused_with_the_nearest_that_do() -> None:
    with pytest.raises(InputError, match=r"settings\.size: .* divisible by 8, and 35 is not; give 32 or 40\."):
        ask("StableDiffusionPipeline", UNET, size=35)
    with pytest.raises(InputError, match=r"divisible by 16, and 8 is not; give 16\."):
        ask("FluxPipeline", FLUX, size=8)


odd = st.sampled_from([None, True, -1, 0, 3, 64, 2.5, float("inf"), "", "64", [], [1, 2], [[8]], [64, 96], {"a": 1}])
fields = st.dictionaries(
    st.sampled_from(["sample_size", "block_out_channels", "temperal_downsample", "patch_size", "guidance_embeds"]), odd
)


@given(
    pipeline=st.sampled_from(["StableDiffusionPipeline", "QwenImagePipeline", "StableDiffusion3Pipeline"]),
    parts=st.dictionaries(st.sampled_from(["unet", "vae", "transformer"]), st.none() | fields, max_size=3),
)
def test_whatever_configurations_hold_the_answer_is_a_size_or_unknown(pipeline: str, parts: Parts) -> None:
    found = own_size(source_of(pipeline), {}, parts)
    assert found is None or all(isinstance(side, int) and side > 0 for side in found)
    assert (divisor(source_of(pipeline), {}, parts) or 1) >= 1


@pytest.mark.parametrize(
    ("pipeline", "needs"),
    [
        ("StableDiffusionInpaintPipeline", "image"),
        ("StableDiffusionImg2ImgPipeline", "image"),
        ("StableDiffusionControlNetPipeline", "image"),
        ("FluxControlPipeline", "control_image"),
        ("QwenImageEditPipeline", "image"),
        ("KandinskyPipeline", "image_embeds"),
        ("StableDiffusionPipeline", None),
        ("Flux2Pipeline", None),
        ("FluxKontextPipeline", None),
        ("GlmImagePipeline", None),
    ],
)
def test_a_pipeline_that_begins_with_an_image_is_known_by_its_source(pipeline: str, needs: str | None) -> None:
    assert source_of(pipeline).needs == needs


@pytest.mark.parametrize(
    ("pipeline", "makes"),
    [
        ("WanPipeline", "a video"),
        ("StableAudioPipeline", "sound"),
        ("KandinskyV22PriorPipeline", "embeddings for another pipeline"),
        ("StableDiffusionPipeline", None),
        ("Kandinsky5T2IPipeline", None),
    ],
)
def test_a_pipeline_that_makes_something_else_is_known_by_its_source(pipeline: str, makes: str | None) -> None:
    assert source_of(pipeline).makes == makes


def test_the_installed_diffusers_is_asked_and_a_name_that_it_lacks_is_no_pipeline() -> None:
    assert pipeline_source("NoSuchPipeline") is None
    assert pipeline_source("DiffusionPipeline") is None


def test_plan_and_run_say_what_is_not_sent(stable_diffusion: Path) -> None:
    resolved = resolve_diffusers("tiny", str(stable_diffusion), None, {"max_sequence_length": 9})
    (note,) = resolved.notes()
    assert note == "settings.max_sequence_length is not sent: StableDiffusionPipeline takes no max_sequence_length."
    assert resolve_diffusers("tiny", str(stable_diffusion), None, {}).notes() == []
