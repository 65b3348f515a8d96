"""Sizes of the model as data: one configuration class, five presets.

The four released configurations (spec section 0) and ``nano`` go through the same model classes.
"""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedConfig

# Pixel statistics of the released models: RGB, 0..255 (spec section 1).
IMAGENET_MEAN = (123.675, 116.280, 103.530)
IMAGENET_STD = (58.395, 57.120, 57.375)


class OpenSeeDConfig(PreTrainedConfig):  # type: ignore[misc]  # transformers is not followed by mypy
    """All sizes of an OpenSeeD model.

    Args:
        backbone: ``swin`` or ``csp`` (the small convolutional one of ``nano``).
        backbone_channels: channels of res2..res5 (strides 4, 8, 16, 32).
        neck: query selection also reads the features of a detector's neck (``csp`` only, ADR 13).
        swin_depths, swin_heads, swin_window: blocks and heads for each stage, window side in tokens.
        encoder_features: which backbone maps enter the deformable encoder, high resolution first.
        extra_level: add one more level at half the resolution of res5, from a 3x3 stride-2 convolution.
        hidden_dim: model width d.
        heads, points: heads of every attention and sampling points per head and level.
        encoder_layers, decoder_layers: depth of pixel decoder and decoder.
        encoder_ffn_dim, decoder_ffn_dim: widths of their feed-forward layers.
        object_queries: how many tokens the language-guided selection takes.
        background_queries: learned queries for stuff; 0 = plain decoder, more = decoupled (spec 5.4).
        box_content: add a projection of the box to the content of conditioned queries (``nano`` only, ADR 6).
        joint_dim: width e of the joint visual-text space.
        text_context, text_width, text_layers, text_heads: text transformer.
        text_templates: put names into the 81 prompt templates and average, or read the bare name. ``nano``'s text
            encoder was distilled on bare names; templates only blur what it knows.
        text_token_dim: width of the stored token table when it is factorised, else None.
        top_instances: instances kept per photo (spec 7.4).
        image_short_side, image_long_side: evaluation resize (spec section 1); a long side of 0 = no cap.
        mean, std: pixel statistics, RGB 0..255.
        train_points: points sampled per mask in matching and mask losses (spec 8.3).
        drop_path: stochastic depth of the backbone while training.
        zoom_side: side of the network input for enlarged crops (``openseed_core.zoom``).
        zoom_below: boxes whose longer side is shorter than this in the whole photo's network pixels are decoded
            from an enlarged crop; a huge number = always.
        mirror: average conditioned masks with those of the mirror image.
    """

    model_type = "openseed"

    def __init__(
        self,
        *,
        backbone: Literal["swin", "csp"] = "swin",
        backbone_channels: tuple[int, ...] = (96, 192, 384, 768),
        neck: bool = False,
        swin_depths: tuple[int, ...] = (2, 2, 6, 2),
        swin_heads: tuple[int, ...] = (3, 6, 12, 24),
        swin_window: int = 7,
        encoder_features: tuple[str, ...] = ("res3", "res4", "res5"),
        extra_level: bool = True,
        hidden_dim: int = 256,
        heads: int = 8,
        points: int = 4,
        encoder_layers: int = 6,
        encoder_ffn_dim: int = 2048,
        decoder_layers: int = 9,
        decoder_ffn_dim: int = 2048,
        object_queries: int = 300,
        background_queries: int = 0,
        box_content: bool = False,
        joint_dim: int = 512,
        text_context: int = 18,
        text_width: int = 512,
        text_layers: int = 12,
        text_heads: int = 8,
        text_token_dim: int | None = None,
        text_templates: bool = True,
        top_instances: int = 100,
        image_short_side: int = 800,
        image_long_side: int = 1333,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        train_points: int = 12544,
        drop_path: float = 0.3,
        zoom_side: int = 512,
        zoom_below: float = 96.0,
        mirror: bool = False,
        **kwargs: Any,
    ) -> None:
        # JSON turns tuples into lists; make both spellings equal after a save/load round trip.
        self.backbone = backbone
        self.backbone_channels = list(backbone_channels)
        self.neck = neck
        self.swin_depths = list(swin_depths)
        self.swin_heads = list(swin_heads)
        self.swin_window = swin_window
        self.encoder_features = list(encoder_features)
        self.extra_level = extra_level
        self.hidden_dim = hidden_dim
        self.heads = heads
        self.points = points
        self.encoder_layers = encoder_layers
        self.encoder_ffn_dim = encoder_ffn_dim
        self.decoder_layers = decoder_layers
        self.decoder_ffn_dim = decoder_ffn_dim
        self.object_queries = object_queries
        self.background_queries = background_queries
        self.box_content = box_content
        self.joint_dim = joint_dim
        self.text_context = text_context
        self.text_width = text_width
        self.text_layers = text_layers
        self.text_heads = text_heads
        self.text_token_dim = text_token_dim
        self.text_templates = text_templates
        self.top_instances = top_instances
        self.image_short_side = image_short_side
        self.image_long_side = image_long_side
        self.mean = list(mean)
        self.std = list(std)
        self.train_points = train_points
        self.drop_path = drop_path
        self.zoom_side = zoom_side
        self.zoom_below = zoom_below
        self.mirror = mirror
        super().__init__(**kwargs)

    @property
    def map_channels(self) -> dict[str, int]:
        """Channels of each backbone map by name."""
        return dict(zip(("res2", "res3", "res4", "res5"), self.backbone_channels, strict=True))

    @property
    def levels(self) -> int:
        """Number of feature levels seen by the deformable attentions."""
        return len(self.encoder_features) + int(self.extra_level)

    @property
    def decoupled(self) -> bool:
        """True when background queries exist (spec 5.4)."""
        return self.background_queries > 0


def swin_t(**overrides: Any) -> OpenSeeDConfig:
    """``swint_lang``: Swin-T, plain decoder, text context 18."""
    return OpenSeeDConfig(**overrides)


def swin_t_o365(**overrides: Any) -> OpenSeeDConfig:
    """``swint_lang_o365``: Swin-T, plain decoder, text context 77."""
    return OpenSeeDConfig(**{"text_context": 77, **overrides})


def swin_t_o365_decoupled(**overrides: Any) -> OpenSeeDConfig:
    """``swint_lang_o365_decouple``: Swin-T, 300 foreground + 100 background queries, text context 77."""
    return OpenSeeDConfig(**{"text_context": 77, "background_queries": 100, "top_instances": 300, **overrides})


def swin_l_decoupled(**overrides: Any) -> OpenSeeDConfig:
    """``swinl_lang_decouple``: Swin-L (window 12), five levels, decoupled, text context 18."""
    sizes: dict[str, Any] = {
        "backbone_channels": (192, 384, 768, 1536),
        "swin_depths": (2, 2, 18, 2),
        "swin_heads": (6, 12, 24, 48),
        "swin_window": 12,
        "encoder_features": ("res2", "res3", "res4", "res5"),
        "background_queries": 100,
        "top_instances": 300,
    }
    return OpenSeeDConfig(**{**sizes, **overrides})


def nano(**overrides: Any) -> OpenSeeDConfig:
    """The embedded model: convolutional backbone, width 96, one encoder and three decoder layers."""
    sizes: dict[str, Any] = {
        "backbone": "csp",
        "backbone_channels": (64, 128, 256, 512),
        "extra_level": False,
        "hidden_dim": 96,
        "encoder_layers": 1,
        "encoder_ffn_dim": 384,
        "decoder_layers": 3,
        "decoder_ffn_dim": 384,
        "object_queries": 100,
        "background_queries": 20,
        "box_content": True,
        "joint_dim": 256,
        "text_context": 18,
        "text_width": 192,
        "text_layers": 3,
        "text_heads": 4,
        "text_token_dim": 96,
        "text_templates": False,
        "top_instances": 100,
        "image_short_side": 320,
        "image_long_side": 448,
        "train_points": 1024,
        "drop_path": 0.0,
        "zoom_side": 192,
        "zoom_below": 1e6,
    }
    return OpenSeeDConfig(**{**sizes, **overrides})


PRESETS = {
    "nano": nano,
    "swin-t": swin_t,
    "swin-t-o365": swin_t_o365,
    "swin-t-o365-decoupled": swin_t_o365_decoupled,
    "swin-l-decoupled": swin_l_decoupled,
}
