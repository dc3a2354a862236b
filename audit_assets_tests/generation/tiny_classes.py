"""More text-to-image pipelines of the installed diffusers, tiny and with random weights, for the sweep over all classes."""

from collections.abc import Callable
from typing import Any

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from tokenizers import pre_tokenizers

from audit_assets_tests.generation import tiny_pipelines as tiny

WIDTH = tiny.WIDTH
Build = Callable[[], DiffusionPipeline]


def bytes_tokenizer() -> transformers.Qwen2Tokenizer:
    """A tokenizer of single bytes with the markers of a chat, as the language models have them."""
    signs = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = transformers.Qwen2Tokenizer(
        vocab={sign: n for n, sign in enumerate(signs)},
        merges=[],
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=["<|im_start|>"],
    )
    said = "{% if m['content'] is string %}{{m['content']}}{% else %}{% for c in m['content'] %}{{c['text']}}{% endfor %}{% endif %}"
    turn = "{% for m in messages %}<|im_start|>{{m['role']}}\n" + said + "<|im_end|>\n{% endfor %}"
    tokenizer.chat_template = turn + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    return tokenizer


_WORDS = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2}
_LANGUAGE = {
    **_WORDS,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 300,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def qwen3(causal: bool = False) -> Any:
    config = transformers.Qwen3Config(**_LANGUAGE)
    return (transformers.Qwen3ForCausalLM if causal else transformers.Qwen3Model)(config)


def gemma2() -> Any:
    return transformers.Gemma2Model(transformers.Gemma2Config(**_LANGUAGE))


def flux_vae(channels: int = 4) -> Any:
    return tiny._vae(channels, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False)


def vae_of_eight(channels: int = 4) -> Any:
    """A VAE that makes pictures eight times smaller, as some pipelines take for granted."""
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=1, latent_channels=channels, norm_num_groups=4,
        sample_size=64, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def _as(own: str, like: Build, **more: Any) -> Build:
    """A class that is built of the components of another tiny pipeline."""

    def build() -> DiffusionPipeline:
        cls = getattr(diffusers, own)
        parts = like().components
        if "PAG" in own and "transformer" in parts:  # the layer that is perturbed is the second
            config = {**parts["transformer"].config, "num_layers": 2}
            parts["transformer"] = type(parts["transformer"]).from_config(config)
        takes = cls._get_signature_keys(cls)[0]
        return cls(**{n: p for n, p in parts.items() if n in takes}, **more)

    return build


def sana(own: str = "SanaPipeline", **options: Any) -> Any:
    vae = diffusers.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"), decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=[1, 1],
        downsample_block_type="conv", upsample_block_type="interpolate",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.41407,
    )  # fmt: skip
    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=WIDTH,
        sample_size=32, **options,
    )  # fmt: skip
    scheduler = diffusers.SCMScheduler() if "Sprint" in own else FlowMatchEulerDiscreteScheduler(shift=7.0)
    return getattr(diffusers, own)(
        vae=vae, transformer=transformer, scheduler=scheduler, text_encoder=gemma2(), tokenizer=bytes_tokenizer()
    )


def aura_flow() -> Any:
    transformer = diffusers.AuraFlowTransformer2DModel(
        sample_size=32, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=WIDTH, out_channels=4, pos_embed_max_size=256,
    )  # fmt: skip
    text = transformers.UMT5EncoderModel(
        transformers.UMT5Config(
            vocab_size=len(tiny.t5_tokenizer()), d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2
        )
    )
    return diffusers.AuraFlowPipeline(
        tokenizer=tiny.t5_tokenizer(), text_encoder=text, vae=tiny._vae(), transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def lumina2() -> Any:
    transformer = diffusers.Lumina2Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, hidden_size=24, num_layers=2, num_refiner_layers=1,
        num_attention_heads=3, num_kv_heads=1, multiple_of=2, ffn_dim_multiplier=None, norm_eps=1e-5, scaling_factor=1.0,
        axes_dim_rope=[4, 2, 2], axes_lens=[256, 128, 128], cap_feat_dim=WIDTH,
    )  # fmt: skip
    return diffusers.Lumina2Pipeline(
        transformer=transformer, vae=vae_of_eight(), text_encoder=gemma2(), tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def lumina() -> Any:
    transformer = diffusers.LuminaNextDiT2DModel(
        sample_size=16, patch_size=2, in_channels=4, hidden_size=24, num_layers=2, num_attention_heads=3, num_kv_heads=1,
        multiple_of=16, ffn_dim_multiplier=None, norm_eps=1e-5, learn_sigma=True, qk_norm=True, cross_attention_dim=WIDTH,
        scaling_factor=1.0,
    )  # fmt: skip
    return diffusers.LuminaPipeline(
        transformer=transformer, vae=vae_of_eight(), text_encoder=gemma2(), tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def cogview3() -> Any:
    transformer = diffusers.CogView3PlusTransformer2DModel(
        patch_size=2, in_channels=4, num_layers=1, attention_head_dim=4, num_attention_heads=2, out_channels=4,
        text_embed_dim=WIDTH, time_embed_dim=8, condition_dim=2, pos_embed_max_size=8, sample_size=8,
    )  # fmt: skip
    return diffusers.CogView3PlusPipeline(
        tokenizer=tiny.t5_tokenizer(), text_encoder=tiny._t5(), vae=vae_of_eight(), transformer=transformer,
        scheduler=diffusers.CogVideoXDDIMScheduler(),
    )  # fmt: skip


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=4, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, qk_norm=True, cap_feat_dim=WIDTH, rope_theta=256.0, t_scale=1000.0, axes_dims=[8, 4, 4],
        axes_lens=[256, 32, 32],
    )  # fmt: skip
    with torch.no_grad():
        for parameter in (transformer.x_pad_token, transformer.cap_pad_token):
            parameter.normal_()
    return diffusers.ZImagePipeline(
        transformer=transformer, vae=flux_vae(), text_encoder=qwen3(), tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def flux2_klein(own: str = "Flux2KleinPipeline", **options: Any) -> Any:
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=3 * WIDTH, timestep_guidance_channels=256, axes_dims_rope=[4, 4, 4, 4], guidance_embeds=False,
    )  # fmt: skip
    vae = diffusers.AutoencoderKLFlux2(
        sample_size=32, in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",), block_out_channels=(4,), layers_per_block=1, latent_channels=1,
        norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    text = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**{**_LANGUAGE, "num_hidden_layers": 28}))
    return getattr(diffusers, own)(
        transformer=transformer, vae=vae, text_encoder=text, tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(), **options,
    )  # fmt: skip


def qwen_image() -> Any:
    transformer = diffusers.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=3,
        joint_attention_dim=16, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    vae = diffusers.AutoencoderKLQwenImage(
        base_dim=24, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    return diffusers.QwenImagePipeline(
        transformer=transformer, vae=vae, text_encoder=_qwen_vl(), tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def _qwen_vl() -> Any:
    rope = {"rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"}, "rope_theta": 1e6}
    small = {"hidden_size": 16, "intermediate_size": 16}
    words = {
        **small,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "vocab_size": 400,
        **rope,
    }
    words |= {"bos_token_id": 1, "eos_token_id": 2}
    eyes = {**small, "depth": 2, "num_heads": 2, "out_hidden_size": 16}
    names = ("vision_end", "vision_start", "vision", "image", "video")
    marks = {f"{name}_token_id": n for n, name in enumerate(names, start=390)}
    config = transformers.Qwen2_5_VLConfig(text_config=words, vision_config=eyes, **marks)
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()


def ovis_image() -> Any:
    transformer = diffusers.OvisImageTransformer2DModel(
        patch_size=1, in_channels=16, out_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return diffusers.OvisImagePipeline(
        transformer=transformer, vae=flux_vae(), text_encoder=qwen3(), tokenizer=bytes_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def chroma() -> Any:
    transformer = diffusers.ChromaTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=WIDTH, axes_dims_rope=(4, 4, 8), approximator_hidden_dim=32, approximator_layers=1,
        approximator_num_channels=16,
    )  # fmt: skip
    return diffusers.ChromaPipeline(
        transformer=transformer, vae=flux_vae(), text_encoder=tiny._t5(), tokenizer=tiny.t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def deepfloyd_if() -> Any:
    unet = diffusers.UNet2DConditionModel(
        sample_size=32, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        in_channels=3, out_channels=6, cross_attention_dim=WIDTH, encoder_hid_dim=WIDTH, attention_head_dim=8,
        addition_embed_type="text", addition_embed_type_num_heads=2, cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift", act_fn="gelu", norm_num_groups=8,
    )  # fmt: skip
    return diffusers.IFPipeline(
        tokenizer=tiny.t5_tokenizer(), text_encoder=tiny._t5(), unet=unet,
        scheduler=diffusers.DDPMScheduler(variance_type="learned_range", thresholding=True), safety_checker=None,
        feature_extractor=None, watermarker=None, requires_safety_checker=False,
    )  # fmt: skip


def kandinsky3() -> Any:
    unet = diffusers.Kandinsky3UNet(
        in_channels=4, time_embedding_dim=4, groups=2, attention_head_dim=4, layers_per_block=3,
        block_out_channels=(32, 64), cross_attention_dim=4, encoder_hid_dim=WIDTH,
    )  # fmt: skip
    movq = diffusers.VQModel(
        block_out_channels=[32, 32, 32, 32], down_block_types=["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"], in_channels=3,
        latent_channels=4, layers_per_block=1, norm_num_groups=8, norm_type="spatial", num_vq_embeddings=12,
        out_channels=3, up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3, vq_embed_dim=4,
    )  # fmt: skip
    return diffusers.Kandinsky3Pipeline(
        tokenizer=tiny.t5_tokenizer(), text_encoder=tiny._t5(), unet=unet, movq=movq,
        scheduler=diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    )  # fmt: skip


def kandinsky22() -> Any:
    """Its prior alone reads the prompt."""
    seen = {"hidden_size": WIDTH, "projection_dim": WIDTH, "intermediate_size": 37, "num_attention_heads": 4}
    eye = transformers.CLIPVisionConfig(**seen, image_size=32, num_hidden_layers=2, patch_size=8)
    prior = diffusers.PriorTransformer(num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1)
    prior.clip_std.data.fill_(1.0)
    unet = diffusers.UNet2DConditionModel(
        in_channels=4, out_channels=8, addition_embed_type="image", encoder_hid_dim=WIDTH, encoder_hid_dim_type="image_proj",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"), mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), block_out_channels=(32, 64), layers_per_block=1,
        cross_attention_dim=WIDTH, attention_head_dim=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    movq = diffusers.VQModel(
        block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"], in_channels=3,
        latent_channels=4, layers_per_block=1, norm_num_groups=8, norm_type="spatial", num_vq_embeddings=12,
        out_channels=3, up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"], vq_embed_dim=4,
    )  # fmt: skip
    return diffusers.KandinskyV22CombinedPipeline(
        unet=unet, movq=movq, scheduler=diffusers.DDIMScheduler(beta_schedule="linear", clip_sample=False), prior_prior=prior,
        prior_text_encoder=tiny._clip(projection=True), prior_tokenizer=tiny.clip_tokenizer(),
        prior_image_encoder=transformers.CLIPVisionModelWithProjection(eye),
        prior_scheduler=diffusers.UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample"),
        prior_image_processor=transformers.CLIPImageProcessorPil(),
    )  # fmt: skip


def amused() -> Any:
    transformer = diffusers.UVit2DModel(
        hidden_size=8, use_bias=False, hidden_dropout=0.0, cond_embed_dim=WIDTH, micro_cond_encode_dim=2,
        micro_cond_embed_dim=10, encoder_hidden_size=WIDTH, vocab_size=32, codebook_size=8, in_channels=8,
        block_out_channels=8, num_res_blocks=1, downsample=True, upsample=True, block_num_heads=1,
        num_hidden_layers=1, num_attention_heads=1, attention_dropout=0.0, intermediate_size=8, layer_norm_eps=1e-06,
        ln_elementwise_affine=True,
    )  # fmt: skip
    vqvae = diffusers.VQModel(
        act_fn="silu", block_out_channels=[8], down_block_types=["DownEncoderBlock2D"], in_channels=3,
        latent_channels=8, layers_per_block=1, norm_num_groups=8, num_vq_embeddings=8, out_channels=3, sample_size=8,
        up_block_types=["UpDecoderBlock2D"], mid_block_add_attention=False, lookup_from_codebook=True,
    )  # fmt: skip
    return diffusers.AmusedPipeline(
        vqvae=vqvae, tokenizer=tiny.clip_tokenizer(), text_encoder=tiny._clip(projection=True), transformer=transformer,
        scheduler=diffusers.AmusedScheduler(mask_token_id=31),
    )  # fmt: skip


def bria() -> Any:
    transformer = diffusers.BriaTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=WIDTH, pooled_projection_dim=None, axes_dims_rope=[0, 4, 4],
    )  # fmt: skip
    return diffusers.BriaPipeline(
        transformer=transformer, vae=flux_vae(), text_encoder=tiny._t5(), tokenizer=tiny.t5_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def lcm() -> Any:
    own = tiny.stable_diffusion().components
    return diffusers.LatentConsistencyModelPipeline(
        **{**own, "unet": tiny._unet(time_cond_proj_dim=8), "scheduler": diffusers.LCMScheduler()},
        requires_safety_checker=False,
    )


SAFE = {"requires_safety_checker": False}
CLASSES: dict[str, Build] = {
    # The last of these need an image, or return something else, and must be refused in words.
    "StableDiffusionPipeline": tiny.stable_diffusion,
    "StableDiffusionPAGPipeline": _as("StableDiffusionPAGPipeline", tiny.stable_diffusion, **SAFE),
    "StableDiffusionSAGPipeline": _as("StableDiffusionSAGPipeline", tiny.stable_diffusion, **SAFE),
    "StableDiffusionPanoramaPipeline": _as("StableDiffusionPanoramaPipeline", tiny.stable_diffusion, **SAFE),
    "SemanticStableDiffusionPipeline": _as("SemanticStableDiffusionPipeline", tiny.stable_diffusion, **SAFE),
    "LatentConsistencyModelPipeline": lcm,
    "StableDiffusionXLPipeline": tiny.stable_diffusion_xl,
    "StableDiffusionXLPAGPipeline": _as("StableDiffusionXLPAGPipeline", tiny.stable_diffusion_xl),
    "StableDiffusion3Pipeline": tiny.stable_diffusion_3,
    "StableDiffusion3PAGPipeline": _as("StableDiffusion3PAGPipeline", tiny.stable_diffusion_3),
    "FluxPipeline": tiny.flux,
    "PixArtSigmaPipeline": tiny.pixart_sigma,
    "PixArtSigmaPAGPipeline": _as("PixArtSigmaPAGPipeline", tiny.pixart_sigma),
    "PixArtAlphaPipeline": _as("PixArtAlphaPipeline", tiny.pixart_sigma),
    "SanaPipeline": sana,
    "SanaPAGPipeline": lambda: sana("SanaPAGPipeline"),
    "SanaSprintPipeline": lambda: sana("SanaSprintPipeline", qk_norm="rms_norm_across_heads", guidance_embeds=True),
    "AuraFlowPipeline": aura_flow,
    "Lumina2Pipeline": lumina2,
    "LuminaPipeline": lumina,
    "CogView3PlusPipeline": cogview3,
    "ZImagePipeline": z_image,
    "Flux2KleinPipeline": flux2_klein,
    "Flux2KleinKVPipeline": lambda: flux2_klein("Flux2KleinKVPipeline"),
    "QwenImagePipeline": qwen_image,
    "OvisImagePipeline": ovis_image,
    "ChromaPipeline": chroma,
    "BriaPipeline": bria,
    "IFPipeline": deepfloyd_if,
    "StableDiffusionLDM3DPipeline": _as("StableDiffusionLDM3DPipeline", tiny.stable_diffusion, **SAFE),
    "StableDiffusionImg2ImgPipeline": _as("StableDiffusionImg2ImgPipeline", tiny.stable_diffusion, **SAFE),
    "StableDiffusionInpaintPipeline": _as("StableDiffusionInpaintPipeline", tiny.stable_diffusion, **SAFE),
    "StableDiffusionAttendAndExcitePipeline": _as(
        "StableDiffusionAttendAndExcitePipeline", tiny.stable_diffusion, **SAFE
    ),
    "StableDiffusionXLImg2ImgPipeline": _as("StableDiffusionXLImg2ImgPipeline", tiny.stable_diffusion_xl),
    "FluxImg2ImgPipeline": _as("FluxImg2ImgPipeline", tiny.flux),
    "FluxControlPipeline": _as("FluxControlPipeline", tiny.flux),
    "Kandinsky3Pipeline": kandinsky3,
    "AmusedPipeline": amused,
}
