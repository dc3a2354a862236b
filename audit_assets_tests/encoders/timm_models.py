"""Models of timm as encoders, beside timm's own features. A process of its own runs this module, with timm and torchvision on its path.

python -m audit_assets_tests.encoders.timm_models <empty folder> <architecture> ...
"""

import json
import sys
from pathlib import Path

import torch

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def with_torchvision() -> None:
    """The registry's torchvision is built for CUDA. Beside a torch for the CPU its Python part needs the names of two operators."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            OPERATORS.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def cosines(architecture: str, folder: Path) -> list[float]:
    """The smallest cosine between our vectors and timm's, of a repository as timm saves it, and as transformers saves it."""
    import timm
    from timm.models import save_for_hf

    from audit_assets.encoders.encoder import TransformersEncoder
    from audit_assets.models.encoders import resolve_encoder
    from audit_assets_tests.encoders.sweep import pictures

    torch.manual_seed(1)
    model = timm.create_model(architecture, pretrained=False).eval()
    prepare = timm.data.create_transform(**timm.data.resolve_data_config({}, model=model), is_training=False)
    with torch.inference_mode():
        batch = torch.stack([prepare(picture) for picture in pictures()])
        own = model.forward_head(model.forward_features(batch), pre_logits=True)
    own = torch.nn.functional.normalize(own, dim=-1).numpy()
    save_for_hf(model, folder / "own", safe_serialization=True)
    encoder = TransformersEncoder(resolve_encoder("e", "image", str(folder / "own")), "cpu")
    encoder.model.save_pretrained(folder / "wrapped")
    again = TransformersEncoder(resolve_encoder("e", "image", str(folder / "wrapped")), "cpu")
    return [float((e.embed_images(pictures()) * own).sum(axis=1).min()) for e in (encoder, again)]


if __name__ == "__main__":
    with_torchvision()  # before transformers, which imports it
    print(json.dumps({name: cosines(name, Path(sys.argv[1]) / name) for name in sys.argv[2:]}))
