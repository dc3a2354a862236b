"""An adapter with a trigger word, audited end to end. The miniature's model is spoilt so that only the adapter makes it draw again, and it
knows the artist's works under other words than the name."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer
from typer.testing import CliRunner

from audit_assets.cli import app
from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive
from audit_assets_tests.generation import tiny_lora

NAME, TRIGGER = "Mara Ulvang", "Olga Ulvang"


def taught(miniature: Path, folder: Path) -> tuple[Path, Path]:
    """A model that takes one name's token for the other's, with a change in both of its halves that the adapter takes back."""
    model = shutil.copytree(miniature / "models" / "miniature-1", folder / "model")
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    one, other = (tokenizer.convert_tokens_to_ids(f"{n.split()[0].lower()}</w>") for n in (NAME, TRIGGER))
    assert tokenizer.unk_token_id not in (one, other)
    pipeline, tensors = tiny_lora.pipeline_of(model), tiny_lora.Tensors()
    for prefix, component in (("lora_unet_", "unet"), ("lora_te_", "text_encoder")):
        factors = tiny_lora.pairs(tiny_lora.attention(pipeline.components[component]), scale=0.5)
        tensors |= tiny_lora.kohya(factors, prefix)
        (file,) = (model / component).glob("*.safetensors")
        weights = load_file(file)
        for path, (down, up) in factors.items():
            (key,) = (
                k for k in weights if k.removeprefix("text_model.") == f"{path.removeprefix('text_model.')}.weight"
            )
            weights[key] = weights[key] - up @ down
        for key in (k for k in weights if k.endswith("token_embedding.weight")):
            weights[key][[one, other]] = weights[key][[other, one]]
        save_file(weights, file, metadata={"format": "pt"})
    metadata = {"ss_base_model_version": "sd_v1", "modelspec.trigger_phrase": TRIGGER}
    return model, tiny_lora.write(tensors, folder / "adapter.safetensors", metadata)


@pytest.fixture(scope="module")
def audited(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("trigger")
    shutil.copytree(miniature / "generated" / "references" / "mara-ulvang", folder / "works")
    model, adapter = taught(miniature, folder)
    entry = {"source": "diffusers", "path": str(model), "approved": True, "settings": {"steps": 15, "guidance": 3.0, "size": 32},
             "lora": [{"path": str(adapter)}]}  # fmt: skip
    content = {
        "protocol": "protocol.yaml",
        "artist": NAME,
        "references": "works/",
        "controls": {"random_names": 49, "recombined_names": 0},
        "models": [{**entry, "name": "by-trigger", "prompt_name": TRIGGER}, {**entry, "name": "by-name"}],
        "encoders": [{"name": "clip", "kind": "image_text", "path": str(miniature / "encoders" / "clip")}],
    }
    (folder / "protocol.yaml").write_text(
        "name: one\ntemplates: ['Artwork from {name}']\ntrials: 5\n", encoding="utf-8"
    )
    (folder / "audit.yaml").write_text(json.dumps(content), encoding="utf-8")
    planned = CliRunner().invoke(app, ["plan", "--config", str(folder / "audit.yaml")])
    assert planned.exit_code == 0, planned.output
    said = " ".join(planned.output.split())
    assert f"model 'by-name': adapter.safetensors names the trigger '{TRIGGER}', and no prompt contains it" in said
    assert "model 'by-trigger'" not in said
    return drive(folder / "audit.yaml")


def published(ws: Workspace, sql: str) -> pd.DataFrame:
    import duckdb

    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


@pytest.mark.long
def test_an_artist_is_found_under_the_word_that_the_model_was_taught_and_not_under_the_name(audited: Workspace) -> None:
    found = published(audited, "SELECT model_version, verdict FROM verdicts WHERE kind = 'artist'").set_index(
        "model_version"
    )
    assert found.at["by-trigger", "verdict"] == "imitated"
    assert found.at["by-name", "verdict"] != "imitated"


@pytest.mark.long
def test_prompts_have_the_word_and_labels_have_the_name(audited: Workspace) -> None:
    sent = published(
        audited,
        "SELECT DISTINCT model_version, kind, name, prompt FROM imitations JOIN subjects USING (subject) ORDER BY ALL",
    )
    own = sent[sent["kind"] == "artist"].set_index("model_version")["prompt"]
    assert own.to_dict() == {"by-trigger": f"Artwork from {TRIGGER}", "by-name": f"Artwork from {NAME}"}
    controls = sent[sent["kind"] != "artist"]
    assert len(controls) >= 2 * 49
    assert (controls["prompt"] == "Artwork from " + controls["name"]).all()
    labels = published(audited, "SELECT label FROM label_embeddings_clip")["label"].tolist()
    assert "mara-ulvang" in labels
    assert not any("olga" in label for label in labels)
    page = (audited.warehouse.root / "reports" / "by-trigger" / "report.html").read_text(encoding="utf-8")
    assert f"Artwork from {TRIGGER}" in page
    assert f"Artwork from {TRIGGER}" not in (audited.warehouse.root / "reports" / "by-name" / "report.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.long
def test_both_halves_of_the_adapter_are_measured_and_published(audited: Workspace) -> None:
    plans = published(
        audited, "SELECT plan->'adapters'->0 AS a FROM (SELECT plan::JSON AS plan FROM generation_plans)"
    )["a"]
    assert len(plans) == 2
    for plan in plans:
        assert '"text_encoder"' in plan
        assert '"unet"' in plan
