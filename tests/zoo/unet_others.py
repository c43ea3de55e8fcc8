"""Other families whose denoiser is a UNet: of pictures and of short videos."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from diffusers import (
    AnimateDiffControlNetPipeline,
    AnimateDiffSparseControlNetPipeline,
    AnimateDiffVideoToVideoControlNetPipeline,
    AutoencoderKLTemporalDecoder,
    ControlNetXSAdapter,
    DDPMScheduler,
    DDPMWuerstchenScheduler,
    DiffusionPipeline,
    EDMEulerScheduler,
    IFImg2ImgPipeline,
    IFImg2ImgSuperResolutionPipeline,
    IFInpaintingPipeline,
    Kandinsky3Img2ImgPipeline,
    Kandinsky3UNet,
    KandinskyV22Img2ImgCombinedPipeline,
    KandinskyV22InpaintCombinedPipeline,
    LatentConsistencyModelImg2ImgPipeline,
    LCMScheduler,
    LDMSuperResolutionPipeline,
    MarigoldDepthPipeline,
    MotionAdapter,
    PaintByExamplePipeline,
    PIAPipeline,
    PriorTransformer,
    SparseControlNetModel,
    StableCascadeCombinedPipeline,
    StableDiffusionControlNetPAGPipeline,
    StableDiffusionControlNetXSPipeline,
    StableDiffusionImageVariationPipeline,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionPAGImg2ImgPipeline,
    StableDiffusionPAGInpaintPipeline,
    StableDiffusionUpscalePipeline,
    StableUnCLIPImg2ImgPipeline,
    StableVideoDiffusionPipeline,
    UnCLIPScheduler,
    UNet2DConditionModel,
    UNet2DModel,
    UNet3DConditionModel,
    UNetSpatioTemporalConditionModel,
    VideoToVideoSDPipeline,
    VQModel,
)
from diffusers.models.unets.unet_stable_cascade import StableCascadeUNet
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder
from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
    StableUnCLIPImageNormalizer,
)

from zoo.case import Batching, Case, randomised
from zoo.stable_diffusion import (
    SIDE,
    VAE_SCALE,
    Part,
    attentive,
    controlnet,
    ddim,
    image_encoder,
    image_processor,
    louder,
    no_checker,
    text_parts,
    unet,
    vae,
    vision_config,
)
from zoo.stable_diffusion_xl import text_encoder_2
from zoo.wan import t5_parts

from tiny_pipelines import LATENT_CHANNELS, TEXT_WIDTH, TOKENS

FRAMES = 4
SIZE: dict[str, Any] = {"height": SIDE, "width": SIDE}
HALF: dict[str, Any] = {"num_inference_steps": 4, "strength": 0.5}

BLOCKS: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": TEXT_WIDTH,
}


def build(cls: type[DiffusionPipeline], **parts: Part) -> Any:
    """A pipeline with a VAE, a text encoder and a DDIM scheduler, unless ``parts`` have others."""
    usual = {"vae": vae(), **text_parts(), "scheduler": ddim()}
    return cls(**usual | {name: part() for name, part in parts.items()})


def latent_consistency() -> LatentConsistencyModelImg2ImgPipeline:
    return LatentConsistencyModelImg2ImgPipeline(
        vae=vae(),
        **text_parts(),
        unet=unet(time_cond_proj_dim=8),
        scheduler=LCMScheduler(),
        feature_extractor=None,
        **no_checker(),
    )


def motion_adapter(**settings: Any) -> MotionAdapter:
    return MotionAdapter(
        block_out_channels=(8, 8),
        motion_layers_per_block=1,
        motion_norm_num_groups=4,
        motion_num_attention_heads=2,
        **settings,
    ).eval()


def sparse_controlnet() -> SparseControlNetModel:
    model = SparseControlNetModel(
        **BLOCKS,
        conditioning_channels=3,
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        attention_head_dim=2,
        motion_num_attention_heads=2,
        conditioning_embedding_out_channels=(8, 8),
        use_simplified_condition_embedding=False,  # else a VAE draws without a generator
    )
    return louder(randomised(model), "cond_embedding.conv_out", 5.0)


def animatediff(cls: type[DiffusionPipeline], **extra: Part) -> Any:
    pipe = build(cls, **{"unet": unet, "motion_adapter": motion_adapter, **extra})
    pipe.unet.eval()  # a new one, made of the UNet and the motion adapter
    return pipe


def unet_3d() -> UNet3DConditionModel:
    model = UNet3DConditionModel(
        **BLOCKS,
        sample_size=SIDE // VAE_SCALE,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        attention_head_dim=4,
    )
    return louder(randomised(model), "attn2.to_out.0", 3.0)


def stable_video() -> StableVideoDiffusionPipeline:
    denoiser = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),
        layers_per_block=1,
        sample_size=SIDE // VAE_SCALE,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=TEXT_WIDTH,
        num_attention_heads=2,
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12,
    )
    decoder = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
    )
    return StableVideoDiffusionPipeline(
        vae=decoder.eval(),
        image_encoder=image_encoder(224),  # it resizes to 224 x 224
        unet=denoiser.eval(),
        scheduler=ddim(prediction_type="v_prediction"),
        feature_extractor=image_processor(),
    )


def movq() -> VQModel:
    """Kandinsky's autoencoder."""
    return VQModel(
        block_out_channels=(32, 32),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=LATENT_CHANNELS,
        layers_per_block=1,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=LATENT_CHANNELS,
    ).eval()


def kandinsky_3() -> Kandinsky3Img2ImgPipeline:
    denoiser = Kandinsky3UNet(
        time_embedding_dim=4,
        groups=2,
        attention_head_dim=4,
        layers_per_block=2,
        block_out_channels=(8, 8),
        cross_attention_dim=TEXT_WIDTH,
        encoder_hid_dim=TEXT_WIDTH,
    )
    return Kandinsky3Img2ImgPipeline(
        **t5_parts(TEXT_WIDTH),
        unet=randomised(denoiser),
        scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2", clip_sample=True),
        movq=movq(),
    )


SIMPLE_CROSS: dict[str, Any] = {
    **BLOCKS,
    "down_block_types": ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
    "attention_head_dim": 4,
    "encoder_hid_dim": TEXT_WIDTH,
    "resnet_time_scale_shift": "scale_shift",
}


def kandinsky_22(cls: type[DiffusionPipeline], in_channels: int) -> Any:
    """The prior, which turns text into an embedding of a picture, and the decoder."""
    text = text_parts()
    prior = PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=4,
        embedding_dim=TEXT_WIDTH,
        num_layers=1,
        num_embeddings=TOKENS,
    )
    prior.clip_std.data.fill_(1.0)
    denoiser = UNet2DConditionModel(
        **SIMPLE_CROSS,
        in_channels=in_channels,
        out_channels=2 * LATENT_CHANNELS,  # mean and variance
        addition_embed_type="image",
        encoder_hid_dim_type="image_proj",
    )
    return cls(
        unet=louder(denoiser.eval(), "to_out.0", 3.0),
        scheduler=ddim(timestep_spacing="leading"),
        movq=louder(movq(), "decoder.conv_out", 0.4),
        prior_prior=prior.eval(),
        prior_image_encoder=image_encoder(),
        prior_text_encoder=text_encoder_2(text["tokenizer"]),
        prior_tokenizer=text["tokenizer"],
        prior_scheduler=UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=10.0
        ),
        prior_image_processor=image_processor(),
    )


def deepfloyd(
    cls: type[DiffusionPipeline], *, in_channels: int = 3, unet: Mapping[str, Any], **extra: Part
) -> Any:
    """A model of pixels, without an autoencoder."""
    denoiser = UNet2DConditionModel(
        **SIMPLE_CROSS | {"cross_attention_dim": 32} | unet,
        sample_size=SIDE,
        in_channels=in_channels,
        out_channels=6,  # mean and variance
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        act_fn="gelu",
    )
    return cls(
        **t5_parts(TEXT_WIDTH),
        unet=louder(denoiser.eval(), "to_out.0", 3.0),
        scheduler=DDPMScheduler(
            beta_schedule="squaredcos_cap_v2",
            thresholding=True,
            sample_max_value=20.0,
            variance_type="learned_range",
        ),
        watermarker=None,
        **{name: part() for name, part in extra.items()},
        feature_extractor=None,
        **no_checker(),
    )


def unclip() -> StableUnCLIPImg2ImgPipeline:
    return build(
        StableUnCLIPImg2ImgPipeline,
        feature_extractor=image_processor,
        image_encoder=image_encoder,
        image_normalizer=lambda: StableUnCLIPImageNormalizer(TEXT_WIDTH).eval(),
        image_noising_scheduler=partial(DDPMScheduler, beta_schedule="squaredcos_cap_v2"),
        unet=partial(
            unet,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=2 * TEXT_WIDTH,
        ),
    )


def upscale() -> StableDiffusionUpscalePipeline:
    return build(
        StableDiffusionUpscalePipeline,
        vae=partial(vae, 0.08333),  # the only factor that it takes without a warning
        unet=partial(unet, LATENT_CHANNELS + 3, num_class_embeds=32),
        low_res_scheduler=DDPMScheduler,
    )


def latent_upscale() -> StableDiffusionLatentUpscalePipeline:
    denoiser = UNet2DConditionModel(
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS + 1,
        block_out_channels=(32, 64, 64),
        layers_per_block=2,
        norm_num_groups=None,
        attention_head_dim=4,
        cross_attention_dim=TEXT_WIDTH,
        down_block_types=("KDownBlock2D", "KCrossAttnDownBlock2D", "KCrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("KCrossAttnUpBlock2D", "KCrossAttnUpBlock2D", "KUpBlock2D"),
        conv_in_kernel=1,
        conv_out_kernel=1,
        act_fn="gelu",
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        time_cond_proj_dim=128 + TEXT_WIDTH,  # of the noise level and of the text
    )
    return build(
        StableDiffusionLatentUpscalePipeline,
        unet=lambda: louder(randomised(denoiser), "attn2.to_out.0", 3.0),
        scheduler=EDMEulerScheduler,  # EulerDiscreteScheduler warns under NumPy 2
    )


def example_encoder() -> PaintByExampleImageEncoder:
    encoder = PaintByExampleImageEncoder(vision_config(), proj_size=TEXT_WIDTH)
    return louder(attentive(encoder), "proj_out", 20.0)


def by_picture(cls: type[DiffusionPipeline], **parts: Part) -> Any:
    """A pipeline where an encoded picture stands in for the text."""
    return cls(
        vae=vae(),
        **{name: part() for name, part in parts.items()},
        scheduler=ddim(),
        feature_extractor=image_processor(),
        **no_checker(),
    )


def marigold() -> MarigoldDepthPipeline:
    return build(
        MarigoldDepthPipeline,
        unet=partial(unet, 2 * LATENT_CHANNELS),
        prediction_type=lambda: "depth",
        default_processing_resolution=lambda: SIDE,
    )


def super_resolution() -> LDMSuperResolutionPipeline:
    denoiser = UNet2DModel(
        in_channels=6,
        out_channels=3,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    decoder = VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=3,
        norm_num_groups=4,
        num_vq_embeddings=64,
    )
    return LDMSuperResolutionPipeline(decoder.eval(), denoiser.eval(), ddim())


def perturbed(cls: type[DiffusionPipeline], **extra: Part) -> Any:
    """A pipeline with perturbed-attention guidance."""
    parts = {"unet": unet, "feature_extractor": lambda: None, **extra}
    checker = {name: partial(lambda value: value, value) for name, value in no_checker().items()}
    return build(cls, **checker | parts)


def controlnet_xs() -> StableDiffusionControlNetXSPipeline:
    base = unet(layers_per_block=2)
    adapter = ControlNetXSAdapter.from_unet(
        base, size_ratio=0.5, conditioning_embedding_out_channels=(8, 8)
    )
    pipe = perturbed(
        StableDiffusionControlNetXSPipeline,
        unet=lambda: base,
        controlnet=lambda: louder(randomised(adapter), "cond_embedding.conv_out", 5.0),
    )
    pipe.unet.eval()  # a new one, made of the UNet and the adapter
    return pipe


def cascade_unet(**settings: Any) -> StableCascadeUNet:
    model = StableCascadeUNet(
        conditioning_dim=16,
        block_out_channels=(16, 16),
        num_attention_heads=(2, 2),
        down_num_layers_per_block=(1, 1),
        up_num_layers_per_block=(1, 1),
        clip_text_pooled_in_channels=TEXT_WIDTH,
        **settings,
    )
    return louder(louder(randomised(model), "to_out.0", 8.0), "effnet_mapper.2", 8.0)


def paella() -> PaellaVQModel:
    """Stable Cascade's autoencoder, whose pictures are grey give or take some colour."""
    model = PaellaVQModel(embed_dim=8, bottleneck_blocks=1, num_vq_embeddings=4, latent_channels=4)
    louder(model.eval(), "out_block.0", 0.03)
    torch.nn.init.constant_(model.out_block[0].bias, 0.5)
    return model


def cascade() -> StableCascadeCombinedPipeline:
    """The prior, which turns text and pictures into latents, and the decoder."""
    text = text_parts()
    tokenizer = text["tokenizer"]
    return StableCascadeCombinedPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder_2(tokenizer),
        decoder=cascade_unet(in_channels=4, out_channels=4, patch_size=2, effnet_in_channels=16),
        scheduler=DDPMWuerstchenScheduler(),
        vqgan=paella(),
        prior_prior=cascade_unet(
            switch_level=(False,),
            clip_text_in_channels=TEXT_WIDTH,
            clip_image_in_channels=TEXT_WIDTH,
        ),
        prior_text_encoder=text_encoder_2(tokenizer),
        prior_tokenizer=tokenizer,
        prior_scheduler=DDPMWuerstchenScheduler(),
        prior_feature_extractor=image_processor(),
        prior_image_encoder=image_encoder(),
    )


def _case(
    family: str,
    make: Part,
    inputs: Mapping[str, str],
    batching: Batching = "aligned",
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Case:
    options = {"num_inference_steps": 2, "guidance_scale": 3.0} | options
    return Case(family, make, inputs, batching, options=options, **settings or {})


TEXT_IMAGE = {"text": "prompt", "image": "image"}
TEXT_VIDEO = {"text": "prompt", "video": "video"}
VIDEO: dict[str, Any] = {"frames": FRAMES, "output": "video"}

CASES: dict[str, Case] = {
    "LatentConsistencyModelImg2ImgPipeline": _case(
        "Latent Consistency", latent_consistency, TEXT_IMAGE, **HALF
    ),
    "AnimateDiffControlNetPipeline": _case(
        "AnimateDiff",
        partial(animatediff, AnimateDiffControlNetPipeline, controlnet=controlnet),
        {"text": "prompt", "video": "conditioning_frames"},
        "single",
        settings=VIDEO,
        num_frames=FRAMES,
        **SIZE,
    ),
    "AnimateDiffVideoToVideoControlNetPipeline": _case(
        "AnimateDiff",
        partial(animatediff, AnimateDiffVideoToVideoControlNetPipeline, controlnet=controlnet),
        {**TEXT_VIDEO, "control": "conditioning_frames"},
        settings=VIDEO,
        **HALF,
    ),
    "AnimateDiffSparseControlNetPipeline": _case(
        "AnimateDiff",
        partial(animatediff, AnimateDiffSparseControlNetPipeline, controlnet=sparse_controlnet),
        {"text": "prompt", "video": "conditioning_frames"},
        "shared",
        settings=VIDEO,
        num_frames=FRAMES,
        controlnet_frame_indices=list(range(FRAMES)),
        **SIZE,
    ),
    "PIAPipeline": _case(
        "PIA",
        partial(
            animatediff,
            PIAPipeline,
            motion_adapter=partial(motion_adapter, conv_in_channels=2 * LATENT_CHANNELS + 1),
        ),
        TEXT_IMAGE,
        settings={"output": "video"},
        num_frames=FRAMES,
        **SIZE,
    ),
    "VideoToVideoSDPipeline": _case(
        "ModelScope",
        partial(build, VideoToVideoSDPipeline, unet=unet_3d),
        TEXT_VIDEO,
        "single",
        settings=VIDEO,
        **HALF,
    ),
    "StableVideoDiffusionPipeline": Case(
        "Stable Video Diffusion",
        stable_video,
        {"image": "image"},
        options={"num_inference_steps": 2, "num_frames": FRAMES, **SIZE},
        output="video",
    ),
    "Kandinsky3Img2ImgPipeline": _case(
        "Kandinsky 3",
        kandinsky_3,
        TEXT_IMAGE,
        "single",  # the padding to the longest prompt of a batch is averaged in
        **HALF,
    ),
    "KandinskyV22Img2ImgCombinedPipeline": _case(
        "Kandinsky 2.2",
        partial(kandinsky_22, KandinskyV22Img2ImgCombinedPipeline, LATENT_CHANNELS),
        TEXT_IMAGE,
        prior_num_inference_steps=2,
        **SIZE,
        **HALF,
    ),
    "KandinskyV22InpaintCombinedPipeline": _case(
        "Kandinsky 2.2",
        partial(kandinsky_22, KandinskyV22InpaintCombinedPipeline, 2 * LATENT_CHANNELS + 1),
        {**TEXT_IMAGE, "mask": "mask_image"},
        "single",  # in a batch, the first example's image and mask are put into all
        prior_num_inference_steps=2,
        **SIZE,
    ),
    "IFImg2ImgPipeline": _case(
        "DeepFloyd IF",
        partial(deepfloyd, IFImg2ImgPipeline, unet={}),
        TEXT_IMAGE,
        clean_caption=False,
        **HALF,
    ),
    "IFInpaintingPipeline": _case(
        "DeepFloyd IF",
        partial(deepfloyd, IFInpaintingPipeline, unet={}),
        {**TEXT_IMAGE, "mask": "mask_image"},
        clean_caption=False,
        **HALF,
    ),
    "IFImg2ImgSuperResolutionPipeline": _case(
        "DeepFloyd IF",
        partial(
            deepfloyd,
            IFImg2ImgSuperResolutionPipeline,
            in_channels=6,
            unet={"class_embed_type": "timestep"},
            image_noising_scheduler=partial(DDPMScheduler, beta_schedule="squaredcos_cap_v2"),
        ),
        {**TEXT_IMAGE, "original": "original_image"},
        clean_caption=False,
        noise_level=20,
        **HALF,
    ),
    "StableUnCLIPImg2ImgPipeline": _case("Stable unCLIP", unclip, TEXT_IMAGE, **SIZE),
    "StableDiffusionUpscalePipeline": _case(
        "Stable Diffusion upscalers", upscale, TEXT_IMAGE, noise_level=20
    ),
    "StableDiffusionLatentUpscalePipeline": _case(
        "Stable Diffusion upscalers", latent_upscale, TEXT_IMAGE
    ),
    "PaintByExamplePipeline": _case(
        "Paint by Example",
        partial(
            by_picture,
            PaintByExamplePipeline,
            image_encoder=example_encoder,
            unet=partial(unet, 2 * LATENT_CHANNELS + 1),
        ),
        {"example": "example_image", "image": "image", "mask": "mask_image"},
        **SIZE,
    ),
    "StableDiffusionImageVariationPipeline": _case(
        "Stable Diffusion image variations",
        partial(
            by_picture,
            StableDiffusionImageVariationPipeline,
            image_encoder=image_encoder,
            unet=unet,
        ),
        {"image": "image"},
        **SIZE,
    ),
    "MarigoldDepthPipeline": Case(
        "Marigold",
        marigold,
        {"image": "image"},
        options={"num_inference_steps": 2},
    ),
    "LDMSuperResolutionPipeline": Case(
        "Latent Diffusion",
        super_resolution,
        {"image": "image"},
        "single",
        options={"num_inference_steps": 2},
    ),
    "StableDiffusionPAGImg2ImgPipeline": _case(
        "Perturbed-attention guidance",
        partial(perturbed, StableDiffusionPAGImg2ImgPipeline),
        TEXT_IMAGE,
        **HALF,
    ),
    "StableDiffusionPAGInpaintPipeline": _case(
        "Perturbed-attention guidance",
        partial(perturbed, StableDiffusionPAGInpaintPipeline),
        {**TEXT_IMAGE, "mask": "mask_image"},
        **HALF,
    ),
    "StableDiffusionControlNetPAGPipeline": _case(
        "Perturbed-attention guidance",
        partial(perturbed, StableDiffusionControlNetPAGPipeline, controlnet=controlnet),
        TEXT_IMAGE,
    ),
    "StableDiffusionControlNetXSPipeline": _case("ControlNet-XS", controlnet_xs, TEXT_IMAGE),
    "StableCascadeCombinedPipeline": Case(
        "Stable Cascade",
        cascade,
        {"text": "prompt", "image": "images"},
        "shared",
        options={
            "num_inference_steps": 2,
            "prior_num_inference_steps": 2,
            "height": 128,
            "width": 128,
        },
    ),
}
