"""An encoder in code of the auditor's own: it runs only if the audit file allows it, and its hash is in all that it makes."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from audit_assets.config import load_audit
from audit_assets.encoders.embed import embed_stored
from audit_assets.encoders.load import load
from audit_assets.encoders.plug_in import PlugInEncoder
from audit_assets.errors import InputError
from audit_assets.evidence.audit_file import portable
from audit_assets.models.encoders import resolve_encoder, resolve_plug_in
from audit_assets.models.files import loading
from audit_assets.models.plug_ins import stated
from audit_assets.models.registry import resolve_encoder_entry, usable_encoders
from audit_assets.models.tables import encoder_files_table, encoders_table
from audit_assets.models.timm import NEEDED
from audit_assets.warehouse.images import ImageStore
from audit_assets_tests.encoders.sweep import PAGE, pictures

GREY = """
import numpy as np

class Encoder:
    dimension = 16
    layer = "a linear map of 8 x 8 grey values"
    logit_scale = 20.0

    def __init__(self, folder, device):
        self.matrix = np.load(folder / "matrix.npy")

    def embed_images(self, images):
        return np.stack([np.asarray(i.convert("L").resize((8, 8)), dtype=float).ravel() for i in images]) @ self.matrix

    def embed_texts(self, texts):
        return np.stack([np.resize([ord(c) for c in text], 64) for text in texts]) @ self.matrix
"""


@pytest.fixture
def plug_in(tmp_path: Path) -> Path:
    folder = tmp_path / "grey"
    folder.mkdir()
    (folder / "grey.py").write_text(GREY)
    np.save(folder / "matrix.npy", np.random.default_rng(0).normal(size=(64, 16)))
    return folder


def audit_with(plug_in: Path, small_audit: Callable[..., Path], **fields: object) -> Path:
    entry = {"name": "grey", "kind": "image", "path": str(plug_in), "code": "grey.py"}
    config = small_audit(plug_in.parent / "audit", **fields)
    content = yaml.safe_load(config.read_text())
    content["encoders"].append(entry)
    config.write_text(yaml.safe_dump(content))
    return config


@pytest.mark.parametrize("kind", ["image", "image_text"])
def test_the_vectors_of_a_plug_in_are_unit_vectors_whatever_the_batch(plug_in: Path, kind: str) -> None:
    encoder = load(resolve_plug_in("grey", kind, plug_in, "grey.py"), "cpu")
    assert isinstance(encoder, PlugInEncoder)
    vectors = encoder.embed_images(pictures())
    assert vectors.shape == (5, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors, encoder.embed_images(pictures(), batch_size=2))
    if kind == "image_text":
        assert encoder.embed_texts(["art by klee", "art"]).shape == (2, 16)
    else:
        with pytest.raises(ValueError, match="embeds no text"):
            encoder.embed_texts(["art"])


@pytest.mark.parametrize(
    "line", ["i.thumbnail((8, 8))", "i.paste((0, 0, 0), (0, 0, i.width, i.height))", "images.remove(i)"]
)
def test_what_a_plug_in_does_to_its_images_changes_nothing_that_is_kept(
    plug_in: Path, tmp_path: Path, line: str
) -> None:
    """Near copies are found by small pictures of the same images."""
    own = "        made = np.stack([np.asarray(i.convert('L').resize((8, 8)), dtype=float).ravel() for i in images])"
    code = GREY.replace(
        "        return np.stack([np.asarray(i",
        f"{own}\n        for i in list(images):\n            {line}\n        return made @ self.matrix\n        return np.stack([np.asarray(i",
        1,
    )
    store = ImageStore(tmp_path / "store")
    rows = pd.DataFrame({"image_sha256": [store.put(image) for image in pictures()]})
    plain = embed_stored(load(resolve_plug_in("grey", "image", plug_in, "grey.py"), "cpu"), rows, store)
    (plug_in / "grey.py").write_text(code)
    changed = embed_stored(load(resolve_plug_in("grey", "image", plug_in, "grey.py"), "cpu"), rows, store)
    assert changed[["picture", "grey"]].equals(plain[["picture", "grey"]])
    assert np.allclose(np.stack(changed["embedding"].tolist()), np.stack(plain["embedding"].tolist()))


NETWORK = """
import numpy as np, torch

class Encoder:
    dimension = 16
    layer = "a small network"
    logit_scale = 20.0

    def __init__(self, folder, device):
        torch.manual_seed(0)
        n = torch.nn
        first = [n.Conv2d(3, 16, 3, 2), n.ReLU(), n.AdaptiveAvgPool2d(1), n.Flatten(), n.Linear(16, 16)]
        self.images = n.Sequential(*first[:1], n.BatchNorm2d(16), *first[1:], n.Dropout(DROP_IMAGE))
        self.texts = n.Sequential(n.Linear(8, 16), n.Dropout(DROP_TEXT))

    def embed_images(self, images):
        pixels = np.stack([np.asarray(i.resize((32, 32)), dtype=np.float32) / 255 for i in images])
        with torch.inference_mode():
            return self.images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()

    def embed_texts(self, texts):
        with torch.inference_mode():
            return self.texts(torch.tensor([[ord(c) / 99 for c in (t * 8)[:8]] for t in texts])).numpy()
"""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], r"embed_images: gave the same item another vector beside others \(cosine 0\.\d+\); call \.eval\(\)"),
        ([("n.BatchNorm2d(16)", "n.Identity()"), ("DROP_IMAGE", "0.1")], "embed_images: gave the same item another vector"),
        ([("n.BatchNorm2d(16)", "n.Identity()"), ("DROP_TEXT", "0.1")], "embed_texts: gave the same item another vector"),
        ([("n.Dropout(DROP_TEXT))", "n.Dropout(0.5))\n        self.images.eval(), self.texts.eval()")], None),
    ],
    ids=["BatchNorm of the batch", "dropout", "dropout of texts", "eval"],
)  # fmt: skip
def test_a_plug_in_whose_vectors_depend_on_the_batch_or_on_chance_is_refused(
    plug_in: Path, changes: list[tuple[str, str]], said: str | None
) -> None:
    code = NETWORK
    for change in [*changes, ("DROP_IMAGE", "0.0"), ("DROP_TEXT", "0.0")]:
        code = code.replace(*change)
    (plug_in / "grey.py").write_text(code)
    found = resolve_plug_in("grey", "image_text", plug_in, "grey.py")
    if said is None:
        load(found, "cpu")
    else:
        with pytest.raises(InputError, match=rf"grey\.py, {said}"):
            load(found, "cpu")


def test_code_runs_only_if_the_audit_file_allows_it(plug_in: Path, small_audit: Callable[..., Path]) -> None:
    (plug_in / "grey.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n" + GREY)
    audit = load_audit(audit_with(plug_in, small_audit))
    with pytest.raises(InputError, match=r"encoder 'grey': `code: grey\.py` would run code; .*`allow_code: true`"):
        resolve_encoder_entry(audit, audit.encoder("grey"))
    audit = load_audit(audit_with(plug_in, small_audit, allow_code=True))
    found = resolve_encoder_entry(audit, audit.encoder("grey"))
    assert not (plug_in / "ran").exists()  # resolved, hashed and planned without running it
    load(found, "cpu")
    assert (plug_in / "ran").exists()


def test_what_a_plug_in_is_made_of_is_in_its_hash_and_in_the_manifests_tables(
    plug_in: Path, small_audit: Callable[..., Path]
) -> None:
    audit = load_audit(audit_with(plug_in, small_audit, allow_code=True))
    files = encoder_files_table(usable_encoders(audit)).query("name == 'grey'")["file"].tolist()
    assert files == ["grey.py", "matrix.npy"]
    row = encoders_table(audit, usable_encoders(audit)).set_index("encoder").loc["grey"]
    assert (row["pooling"], row["layer"]) == ("plug-in", "a linear map of 8 x 8 grey values")
    before = {row["files_sha256"]}
    np.save(plug_in / "matrix.npy", np.eye(64, 16))
    before.add(resolve_plug_in("grey", "image", plug_in, "grey.py").files_sha256)
    (plug_in / "grey.py").write_text(GREY + "# another\n")
    before.add(resolve_plug_in("grey", "image", plug_in, "grey.py").files_sha256)
    load(resolve_plug_in("grey", "image", plug_in, "grey.py"), "cpu")  # which leaves no file behind
    before.add(resolve_plug_in("grey", "image", plug_in, "grey.py").files_sha256)
    assert len(before) == 3


def test_a_link_in_a_plug_ins_folder_is_followed_and_one_that_leads_nowhere_is_named(plug_in: Path) -> None:
    shared = plug_in.parent / "shared"
    shared.mkdir()
    (shared / "weights.pt").write_bytes(b"first")
    (plug_in / "linked").symlink_to(shared)
    first = resolve_plug_in("grey", "image", plug_in, "grey.py")
    assert [f.relative_to(plug_in).as_posix() for f in first.files()] == ["grey.py", "linked/weights.pt", "matrix.npy"]
    (shared / "weights.pt").write_bytes(b"second")
    assert resolve_plug_in("grey", "image", plug_in, "grey.py").files_sha256 != first.files_sha256
    (shared / "weights.pt").unlink()
    (plug_in / "linked").unlink()
    (plug_in / "linked").symlink_to(shared / "weights.pt")
    with pytest.raises(InputError, match=r"linked: is a link to a file that is gone"):
        resolve_plug_in("grey", "image", plug_in, "grey.py")


def test_the_code_may_have_dataclasses(plug_in: Path) -> None:
    """dataclasses looks for the module of a class, which exists only if the module is registered."""
    more = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Size:\n    side: int = 8\n"
    (plug_in / "grey.py").write_text(more + GREY)
    assert load(resolve_plug_in("grey", "image", plug_in, "grey.py"), "cpu").embed_images(pictures()).shape == (5, 16)


def test_a_manifest_allows_no_code_on_the_machine_of_its_reader(
    plug_in: Path, small_audit: Callable[..., Path]
) -> None:
    content = portable(load_audit(audit_with(plug_in, small_audit, allow_code=True)))
    assert "allow_code" not in content
    assert content["encoders"][-1]["code"] == "grey.py"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("dimension = 16", "dimension = 8 + 8"), "states no `dimension`"),
        (("dimension = 16", "dimension = True"), "states no `dimension`"),
        (('layer = "a linear map of 8 x 8 grey values"', ""), "states no `layer`"),
        (("logit_scale = 20.0", ""), "states no `logit_scale`"),
        (("logit_scale = 20.0", "logit_scale = '20'"), "line 7, class Encoder, logit_scale: is no plain number"),
        (
            ("logit_scale = 20.0", "logit_scale = 1e999"),
            "line 7, class Encoder, logit_scale: is larger than any number",
        ),
        (("logit_scale = 20.0", f"logit_scale = {'9' * 400}"), "line 7, class Encoder, logit_scale: is larger than"),
        (("logit_scale = 20.0", "logit_scale = 9.0\n    logit_bias = -1e999"), "line 8, .*logit_bias: is larger than"),
        (("logit_scale = 20.0", "logit_scale = 9.0\n    table = {[1]: 2}"), "line 8, .*table: is no value of Python"),
        (("logit_scale = 20.0", "logit_scale = 9.0\n    names = {{}}"), "line 8, .*names: is no value of Python"),
        (("def embed_texts", "def other"), "has no method embed_texts"),
        (("class Encoder", "class Other"), "has no class Encoder"),
        (("class Encoder:", "class Encoder"), "is not Python"),
    ],
)
def test_what_a_plug_in_does_not_state_is_named(plug_in: Path, change: tuple[str, str], said: str) -> None:
    (plug_in / "grey.py").write_text(GREY.replace(*change))
    with pytest.raises(InputError, match=said):
        resolve_plug_in("grey", "image_text", plug_in, "grey.py")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("@ self.matrix", "@ self.matrix[:, :4]"), r"returned the shape \(1, 4\) for 1 items, not \(1, 16\)"),
        (("@ self.matrix", "@ self.matrix * 0"), "a vector that is zero or not finite"),
        (("@ self.matrix", "@ self.missing"), "embed_images: AttributeError: .*missing"),
        (
            ("import numpy as np", "import no_such_package as np"),
            "cannot be loaded .*No module named 'no_such_package'",
        ),
        (("matrix.npy", "absent.npy"), r"cannot be loaded .*absent\.npy"),
    ],
)
def test_a_plug_in_that_fails_is_named_when_it_is_loaded(plug_in: Path, change: tuple[str, str], said: str) -> None:
    (plug_in / "grey.py").write_text(GREY.replace(*change))
    with pytest.raises(InputError, match=rf"grey\.py.*{said}"):
        load(resolve_plug_in("grey", "image", plug_in, "grey.py"), "cpu")


@pytest.mark.parametrize("code", ["../grey.py", "/etc/passwd", "grey.txt", "other.py"])
def test_the_code_is_a_file_of_the_encoders_folder(plug_in: Path, code: str) -> None:
    with pytest.raises(InputError, match=r"is no Python file in the encoder's folder|is missing, and `code` names it"):
        resolve_plug_in("grey", "image", plug_in, code)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_whatever_the_file_holds_is_read_or_is_bad_input(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.py"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError, match=r"any\.py"):
        stated(file, "image")


def test_the_plug_in_of_the_page_works(tmp_path: Path) -> None:
    """The example of docs/models.md, with a model that torch saved as TorchScript."""
    import torch

    blocks = [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]
    (code,) = [block for block in blocks if "class Encoder" in block]
    (tmp_path / "style.py").write_text(code)
    found = resolve_plug_in("style", "image", tmp_path, "style.py")
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(16), torch.nn.Flatten(), torch.nn.Linear(768, found.dimension)
    )
    torch.jit.trace(network.eval(), torch.zeros(1, 3, 224, 224)).save(str(tmp_path / "style.pt"))
    assert load(found, "cpu").embed_images(pictures()).shape == (5, found.dimension)


def test_torchscript_and_checkpoints_of_other_libraries_lead_to_the_plug_in(tmp_path: Path) -> None:
    import torch

    (tmp_path / "checkpoint.pth").write_bytes(b"PK")
    with pytest.raises(
        InputError, match=r"checkpoint\.pth: is a checkpoint of another library than transformers.*plug-in"
    ):
        resolve_encoder("e", "image", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(tmp_path / "model.pt"))
    with pytest.raises(InputError, match=r"model\.pt: is TorchScript, which is code.*plug-in"):
        resolve_encoder("e", "image", str(tmp_path))


@pytest.mark.parametrize("own", [True, False], ids=["a repository of timm", "saved by transformers"])
def test_a_model_of_timm_names_the_packages_that_it_needs(tmp_path: Path, own: bool) -> None:
    pretrained = {"input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "tf_efficientnet_lite0", "num_classes": 1000, "num_features": 1280}
    saved = {"pretrained_cfg": pretrained} if own else {"model_type": "timm_wrapper", "pretrained_cfg": pretrained}
    (tmp_path / "config.json").write_text(json.dumps({**config, **saved}))
    save_file({"conv_stem.weight": np.zeros((1280, 3, 3, 3), np.float32)}, tmp_path / "model.safetensors")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        with pytest.raises(
            InputError, match=rf"is a model of timm, and needs the packages? {' and '.join(missing)}; install"
        ):
            resolve_encoder("e", "image", str(tmp_path))
    else:
        assert resolve_encoder("e", "image", str(tmp_path)).dimension == 1280


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("\nSomeImageProcessor requires the Torchvision library but it was not found"), "needs the package torchvision; install it"),
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "needs the package timm; install it"),
        (RuntimeError("operator torchvision::nms does not exist"), "needs a torchvision that was built for the installed torch"),
        (ImportError("\n\n"), r"cannot be loaded \(ImportError: it says no more\)"),
    ],
)  # fmt: skip
def test_a_package_that_is_missing_is_named(tmp_path: Path, error: Exception, said: str) -> None:
    with pytest.raises(InputError, match=said), loading(tmp_path, "the encoder"):
        raise error
