import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from audit_assets.config import Protocol
from audit_assets.encoders import VERSION, stage
from audit_assets.encoders.embed import check_unit, embed_labels, embed_stored, label_rows
from audit_assets.encoders.encoder import TransformersEncoder
from audit_assets.encoders.sigmoid import sigmoid_scores
from audit_assets.encoders.stage import EmbeddingStage
from audit_assets.errors import InputError
from audit_assets.hashing import digest
from audit_assets.models.encoders import ResolvedEncoder, resolve_encoder
from audit_assets.models.registry import resolve_encoder_entry
from audit_assets.warehouse.images import ImageStore
from audit_assets.warehouse.notes import LABELS, notes_on
from audit_assets.warehouse.store import vectors
from audit_assets.workspace import Workspace
from audit_assets_tests.encoders.sweep import pictures
from audit_assets_tests.encoders.tiny_encoders import KINDS, TEXT, save

TEXTS = ["art by klee", "art by miro", "art"]


def resolve(folder: Path, kind: str) -> ResolvedEncoder:
    return resolve_encoder("tiny", kind, str(folder))


@pytest.mark.parametrize("family", KINDS)
def test_images_become_unit_vectors_whatever_the_batch(tmp_path: Path, family: str) -> None:
    resolved = resolve(save(family, tmp_path), KINDS[family])
    encoder = TransformersEncoder(resolved, "cpu")
    embeddings = encoder.embed_images(pictures())
    assert embeddings.shape == (5, resolved.dimension)
    assert embeddings.dtype == np.float32
    check_unit(embeddings, ["?"] * 5)
    assert np.allclose(embeddings, encoder.embed_images(pictures(), batch_size=2), atol=1e-5)
    assert type(encoder.processor).__name__.endswith("Pil")
    assert len(np.unique(embeddings.round(4), axis=0)) == 5


@pytest.mark.parametrize("family", TEXT)
def test_a_text_does_not_depend_on_its_neighbours(tmp_path: Path, family: str) -> None:
    resolved = resolve(save(family, tmp_path), "image_text")
    encoder = TransformersEncoder(resolved, "cpu")
    together = encoder.embed_texts(TEXTS)
    assert together.shape == (3, resolved.dimension)
    check_unit(together, TEXTS)
    assert np.allclose(together, np.concatenate([encoder.embed_texts([text]) for text in TEXTS]), atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-4)
    assert encoder.embed_texts(["art by klee " * 200]).shape == (1, resolved.dimension)


def test_the_scale_is_read_from_the_weights(tmp_path: Path) -> None:
    clip = resolve(save("clip", tmp_path / "clip"), "image_text")
    assert clip.logit_scale == pytest.approx(math.exp(2.6592), rel=1e-4)
    assert clip.logit_bias is None
    siglip = resolve(save("siglip", tmp_path / "siglip"), "image_text")
    assert siglip.logit_scale is not None
    assert siglip.logit_bias == pytest.approx(0.0)
    siglip2 = resolve(save("siglip2", tmp_path / "siglip2"), "image_text")
    assert siglip2.logit_scale is not None
    assert siglip2.logit_bias is not None
    assert resolve(save("dinov2", tmp_path / "dinov2"), "image").logit_scale is None


@pytest.mark.parametrize("family", TEXT)
def test_an_image_text_encoder_can_serve_for_images_alone(tmp_path: Path, family: str) -> None:
    resolved = resolve(save(family, tmp_path), "image")
    encoder = TransformersEncoder(resolved, "cpu")
    assert encoder.embed_images(pictures()).shape == (5, resolved.dimension)
    with pytest.raises(ValueError, match="embeds no text"):
        encoder.embed_texts(TEXTS)


def test_an_image_encoder_is_no_image_text_encoder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reads no text, so it has no logit_scale; give it `kind: image`"):
        resolve(save("dinov2", tmp_path), "image_text")


@pytest.mark.parametrize("family", TEXT)
def test_scale_bias_and_embeddings_give_the_logits_of_the_model_itself(tmp_path: Path, family: str) -> None:
    """Our logit for an image and a text, from embeddings and the two numbers read of the file, is what transformers says."""
    resolved = resolve(save(family, tmp_path), "image_text")
    encoder = TransformersEncoder(resolved, "cpu")
    images, texts = encoder.embed_images(pictures()), encoder.embed_texts(TEXTS)
    assert resolved.logit_scale is not None
    ours = resolved.logit_scale * images @ texts.T + (resolved.logit_bias or 0.0)
    assert encoder.tokenizer is not None
    length = encoder.model.config.text_config.max_position_embeddings
    tokens = encoder.tokenizer.own(TEXTS, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
    reads_padding = resolved.family.startswith("siglip")
    inputs = {k: v for k, v in tokens.items() if k == "input_ids" or (k == "attention_mask" and not reads_padding)}
    pixels = encoder.processor(images=pictures(), return_tensors="pt")
    with torch.inference_mode():
        theirs = encoder.model(**inputs, **pixels).logits_per_image.numpy()
    assert np.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("family", KINDS)
def test_half_precision_points_the_same_way(tmp_path: Path, family: str) -> None:
    """What a GPU is given; a CPU can do it too, slowly."""
    resolved = resolve(save(family, tmp_path), KINDS[family])
    half, full = TransformersEncoder(resolved, "cpu", torch.float16), TransformersEncoder(resolved, "cpu")
    ours, theirs = half.embed_images(pictures()), full.embed_images(pictures())
    assert ours.dtype == np.float32
    check_unit(ours, ["?"] * 5)
    assert (ours * theirs).sum(axis=1).min() > (0.995 if family == "mobilenet_v2" else 0.999)  # 52 layers at random
    if KINDS[family] == "image_text":
        assert (half.embed_texts(TEXTS) * full.embed_texts(TEXTS)).sum(axis=1).min() > 0.999


def test_weights_that_lack_a_tensor_are_not_filled_in_at_random(tmp_path: Path) -> None:
    file = save("clip", tmp_path) / "model.safetensors"
    tensors = load_file(file)
    del tensors["visual_projection.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"the weights lack visual_projection, from which 'clip' takes"):
        resolve(tmp_path, "image_text")
    del tensors["vision_model.post_layernorm.weight"]
    save_file(tensors | {"visual_projection.weight": np.zeros((12, 16), np.float32)}, file, {"format": "pt"})
    with pytest.raises(InputError, match=r"the weights lack vision_model\.post_layernorm\.weight"):
        TransformersEncoder(resolve(tmp_path, "image_text"), "cpu")


def test_spoilt_encoders_are_bad_input(tmp_path: Path) -> None:
    folder = save("clip", tmp_path)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    with pytest.raises(InputError, match=r"model\.safetensors: .*truncated"):
        resolve(folder, "image_text")
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="is a pickle"):
        resolve(folder, "image_text")
    weights.write_bytes(whole)
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        resolve(folder, "image_text")
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    (folder / "processor_config.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"has neither preprocessor_config\.json nor processor_config\.json"):
        resolve(folder, "image")


def test_stored_images_and_labels_get_embeddings(tmp_path: Path) -> None:
    encoder = TransformersEncoder(resolve(save("clip", tmp_path / "clip"), "image_text"), "cpu")
    store = ImageStore(tmp_path / "images")
    rows = pd.DataFrame({"image_sha256": [store.put(p) for p in pictures()]})
    assert np.allclose(
        np.stack(embed_stored(encoder, rows, store)["embedding"].tolist()), encoder.embed_images(pictures())
    )
    assert len(embed_stored(encoder, rows.iloc[:0], store)) == 0

    protocol = Protocol(name="two", templates=("art by {name}", "a work of {name}"), default_labels=("Artwork",))
    labels = embed_labels(encoder, label_rows(protocol, [("artist:klee", "Klee"), ("artist:miro", "Miro")]))
    assert labels["label"].tolist() == ["artist:klee"] * 2 + ["artist:miro"] * 2 + ["default:Artwork"]
    assert labels["text"].tolist()[:2] == ["art by Klee", "a work of Klee"]
    assert np.allclose(labels["embedding"][4], encoder.embed_texts(["Artwork"])[0], atol=1e-5)
    assert set(labels["lost"]) == {""}
    (long,) = embed_labels(encoder, label_rows(protocol, [("x", f"{'a' * 60} {'b' * 60}")])[:1])["lost"]
    assert long == "b" * 60


def test_lost_words_are_counted_in_the_letters_that_the_encoder_is_given(tmp_path: Path) -> None:
    """Lower case can be longer: the capital I with a dot becomes two characters, which this tokenizer reads one by one."""
    encoder = TransformersEncoder(resolve(save("siglip2_of_a_fixed_size", tmp_path), "image_text"), "cpu")
    assert encoder.tokenizer is not None
    assert encoder.tokenizer.lower_case
    assert encoder.lost_words("İ " * 25)
    assert encoder.lost_words("I " * 25) == []


@pytest.mark.parametrize(
    ("family", "lost"), [("align", ["天野喜孝", "zoë"]), ("altclip", ["天野喜孝", "zoë"]), ("dinov2", [])]
)
def test_words_that_a_tokenizer_does_not_know_are_lost(tmp_path: Path, family: str, lost: list[str]) -> None:
    """A tokenizer of pieces has one token for all that it does not know. An image-only encoder reads no text."""
    encoder = TransformersEncoder(resolve(save(family, tmp_path), KINDS[family]), "cpu")
    assert encoder.lost_words("art by klee 天野喜孝 zoë & klee") == lost
    assert encoder.lost_words("art by klee") == []


def test_the_audit_names_labels_that_an_encoder_does_not_read_until_it_reads_them(copied: Path, tmp_path: Path) -> None:
    before = copied.read_text(encoding="utf-8")
    assert _label_notes(copied) is None
    content = yaml.safe_load(before)
    content["encoders"].append(
        {"name": "few-words", "path": str(save("align", tmp_path / "align")), "kind": "image_text"}
    )
    copied.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    planned, told = EmbeddingStage(Workspace.open(copied)).label_words()
    (note,) = _label_notes(copied) or [""]
    labels = EmbeddingStage(Workspace.open(copied)).labels()["few-words"]
    assert (labels["lost"] != "").sum() > 10
    assert told == [note]
    pd.testing.assert_frame_equal(planned["few-words"], labels.drop(columns="embedding"))
    assert EmbeddingStage(Workspace.open(copied)).label_words()[1] == [note]
    assert note.startswith(
        f"encoder 'few-words' does not read every word of {(labels['lost'] != '').sum()} of {len(labels)} labels: "
    )
    first = labels[labels["lost"] != ""].iloc[0]
    assert f"{first['text']!r} without {first['lost']!r}" in note
    assert "Remedy: " in note
    copied.write_text(before, encoding="utf-8")
    assert _label_notes(copied) == []


def _label_notes(config: Path) -> list[str] | None:
    ws = Workspace.open(config)
    EmbeddingStage(ws).labels()
    return ws.warehouse.read(notes_on(LABELS))["note"].tolist() if ws.warehouse.made(notes_on(LABELS)) else None


def test_what_is_known_of_an_image_reaches_its_embedding_and_no_image_is_embedded_twice(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest of supplied images that is added later gives them other templates, and a further alias other statuses."""
    ws = Workspace.open(copied)
    entry, (subject, other, *_) = ws.audit.encoders[0], ws.prompted()
    source, alike = (f"imitations/miniature-1/{s}" for s in (subject, other))
    where = f"imitation_embeddings/{entry.name}/miniature-1/{subject}"
    rows, before = ws.warehouse.read(source), ws.warehouse.read(where)
    assert EmbeddingStage(ws).done("imitation", [source, alike])

    def made_again(rows: pd.DataFrame) -> pd.DataFrame:
        ws.warehouse.write(source, rows, "other inputs")
        assert not EmbeddingStage(ws).done("imitation", [source, alike])
        list(EmbeddingStage(ws).images("imitation", [source, alike]))
        assert EmbeddingStage(ws).done("imitation", [source, alike])
        return ws.warehouse.read(where)

    with monkeypatch.context() as without_encoder:
        without_encoder.setattr(stage, "load", None)
        other_keys = rows.assign(template=np.arange(len(rows), dtype=np.int32)[::-1], status="rewritten")[::-1]
        changed = made_again(other_keys)
        assert changed["template"].tolist() == other_keys["template"].tolist()
        assert set(changed["status"]) == {"rewritten"}
        assert np.array_equal(vectors(changed["embedding"]), vectors(before["embedding"])[::-1])
        for encoder in ws.audit.encoders:  # a table of an earlier version, whose hash is of the images alone
            kept = f"imitation_embeddings/{encoder.name}/miniature-1/{subject}"
            files = resolve_encoder_entry(ws.audit, encoder).files_sha256
            ws.warehouse.write(
                kept, ws.warehouse.read(kept)[::-1], digest([files, before["image_sha256"].tolist(), VERSION])
            )
        pd.testing.assert_frame_equal(made_again(rows), before)

    embedded: list[str] = []
    get = ws.images.get

    def noted(store: ImageStore, sha256: str) -> Image.Image:
        embedded.append(sha256)
        return get(sha256)

    monkeypatch.setattr(ImageStore, "get", noted)
    another = ws.warehouse.read(alike)["image_sha256"].iloc[0]
    made_again(rows.assign(image_sha256=[another, *rows["image_sha256"][1:]]))
    assert another in embedded
    embedded.clear()
    for encoder in ws.audit.encoders:  # vectors of which it is not known which files of an encoder made them
        ws.warehouse.write(f"imitation_embeddings/{encoder.name}/miniature-1/{subject}", before, "another encoder")
    made_again(rows.assign(status="blank"))
    assert set(rows["image_sha256"]) <= set(embedded)


def test_sigmoid_scores_are_what_the_model_trained_with_a_sigmoid_says(tmp_path: Path) -> None:
    resolved = resolve(save("siglip", tmp_path), "image_text")
    encoder = TransformersEncoder(resolved, "cpu")
    assert resolved.logit_scale is not None
    images = pd.DataFrame({"subject": ["klee", "miro"], "template": [0, 0], "trial": [0, 0]})
    labels = pd.DataFrame({"label": ["miro", "klee", "default:art"], "template": [0, 0, 0]})
    scores = sigmoid_scores(
        images.assign(embedding=list(encoder.embed_images(pictures(2)))),
        labels.assign(embedding=list(encoder.embed_texts(["art by miro", "art by klee", "art"]))),
        protocol="p",
        model_version="m",
        encoder="e",
        logit_scale=resolved.logit_scale,
        logit_bias=-2.5,
    )
    encoder.model.logit_bias.data.fill_(-2.5)
    assert encoder.tokenizer is not None
    tokens = encoder.tokenizer.own(TEXTS[:2], padding="max_length", max_length=16, return_tensors="pt")["input_ids"]
    pixels = encoder.processor(images=pictures(2), return_tensors="pt")
    with torch.inference_mode():
        theirs = encoder.model(input_ids=tokens, **pixels).logits_per_image.sigmoid().diagonal().numpy()
    assert scores["subject"].tolist() == ["klee", "miro"]
    assert np.allclose(scores["score"], theirs, atol=1e-5)


@pytest.mark.parametrize("bad", [0.0, 0.9, math.nan, math.inf])
def test_an_embedding_that_is_no_unit_vector_is_named(bad: float) -> None:
    with pytest.raises(ValueError, match=r"the embedding of second (has length|is not finite)"):
        check_unit(np.array([[1.0, 0.0], [bad, 0.0]]), ["first", "second"])
