import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from audit_assets.errors import InputError
from audit_assets.models.files import files_sha256, loading, local_folder, text_encoder_family
from audit_assets.untrusted.weights import check_safetensors, check_weights, licence


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file({"a": np.arange(6, dtype=np.float32), "b": np.zeros((2, 2), np.float16)}, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "clip_text_model", "hidden_size": 768}, "clip-vit-l-14"),
        ({"model_type": "t5", "d_model": 4096}, "t5-xxl"),
        ({"model_type": "clip_text_model", "hidden_size": 48}, "clip_text_model-48"),
        ({"model_type": ["clip"], "hidden_size": {"a": 768}}, "['clip']-{'a': 768}"),
        ({}, "unknown-None"),
    ],
)
def test_a_text_encoder_is_named_by_type_and_width_whatever_they_are(config: dict[str, object], family: str) -> None:
    assert text_encoder_family(config) == family


def test_whole_weights_pass(weights: Path) -> None:
    assert check_safetensors(weights).keys() >= {"a", "b"}
    check_weights(weights.parent)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_weights_cut_anywhere_are_bad_input(weights: Path, data: st.DataObject) -> None:
    content = weights.read_bytes()
    cut = weights.with_name("cut.safetensors")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(InputError, match=r"cut\.safetensors"):
        check_safetensors(cut)


@pytest.mark.parametrize(
    "header", [b"[]", b"{", b"\xff", b'{"a": 1}', b'{"a": {"data_offsets": []}}', b'{"a": {"data_offsets": [0, "x"]}}']
)
def test_a_header_that_makes_no_sense_is_bad_input(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "odd.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(InputError, match=r"odd\.safetensors: is not a safetensors file"):
        check_safetensors(tmp_path / "odd.safetensors")


def test_a_missing_shard_is_named(weights: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "c": "model-00002.safetensors"}}
    (weights.parent / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"model-00002\.safetensors: is missing"):
        check_weights(weights.parent)


def test_a_folder_without_weights_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.safetensors"):
        check_weights(tmp_path)


def test_the_hash_of_a_model_changes_with_what_loading_reads_and_nothing_else(weights: Path) -> None:
    before = files_sha256(weights.parent)
    (weights.parent / "notes.md").write_text("read me")
    assert files_sha256(weights.parent) == before
    (weights.parent / "config.json").write_text("{}")
    configured = files_sha256(weights.parent)
    weights.rename(weights.with_name("other.safetensors"))
    assert len({before, configured, files_sha256(weights.parent)}) == 3


def test_a_folder_that_is_not_there_is_bad_input() -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        local_folder("/nowhere/at/all", None)
    with pytest.raises(InputError, match="there is no such folder"):
        local_folder("../no/such/../hub id", None)


def test_a_path_never_goes_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped path may be the name of a stranger's repository."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(InputError, match="write `hub:models/sd-15` for a repository on the hub"):
        local_folder("models/sd-15", None)


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "abc1234"])
def test_a_repository_on_the_hub_is_pinned_to_a_commit(revision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(InputError, match="give the 40 digits of a commit"):
        local_folder("hub:owner/name", revision, "pipeline")
    with pytest.raises(InputError, match="is no id of the hub"):
        local_folder("hub:../etc", "0" * 40, "pipeline")


def test_whatever_a_library_says_of_a_model_is_bad_input_and_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs the package sentencepiece"), loading(tmp_path, "the encoder"):
        raise ImportError("SiglipTokenizer requires the SentencePiece library")
    with (
        pytest.raises(InputError, match=r"coder cannot be loaded \(ValueError: another\); copy"),
        loading(tmp_path, "coder"),
    ):
        raise ValueError("another\nand more")
    with pytest.raises(InputError, match=r"^already said$"), loading(tmp_path, "the encoder"):
        raise InputError("already said")
    with pytest.raises(MemoryError), loading(tmp_path, "the encoder"):
        raise MemoryError


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ("---\nlicense: openrail++\ntags: [x]\n---\n# Card", "openrail++"),
        (
            "---\nlicense: other\nlicense_name: flux-1-dev-non-commercial-license\n---\n",
            "flux-1-dev-non-commercial-license",
        ),
        ("---\ntags: [x]\n---\n", None),
        ("# Card\nlicense: mit", None),
        ("---\nlicense: [\n---\n", None),
        ("---", None),
    ],
)
def test_the_licence_is_what_the_model_card_says(tmp_path: Path, card: str, said: str | None) -> None:
    (tmp_path / "README.md").write_text(card)
    assert licence(tmp_path) == said
    assert licence(tmp_path / "none") is None
