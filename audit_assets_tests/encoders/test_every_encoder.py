"""One audit by tiny encoders of thirteen architectures: each goes all the way to a verdict, and into the report."""

import html
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import yaml

from audit_assets.workspace import Workspace
from audit_assets_tests.drive import drive
from audit_assets_tests.encoders.sweep import PAGE
from audit_assets_tests.encoders.tiny_encoders import KINDS, save

pytestmark = pytest.mark.long
READ_NAMES = ("siglip", "siglip2", "align", "altclip")
SEE_ALONE = (
    "clip_vision_with_projection", "dinov2_with_registers", "dinov3_vit", "vit_with_pooler", "swin", "convnextv2",
    "ijepa", "efficientnet", "resnet",
)  # fmt: skip
VERDICTS = {"imitated", "not shown to be imitated", "not auditable"}
TRAINED = "miniature-clip"


@pytest.fixture(scope="module")
def ws(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The finished small audit, and then its audit file with the encoders. Nothing is drawn again."""
    folder = tmp_path_factory.mktemp("encoders")
    config = Path(shutil.copytree(audited.parent, folder / "audit")) / "audit.yaml"
    content = yaml.safe_load(config.read_text())
    content["encoders"] += [
        {"name": family, "kind": KINDS[family], "path": str(save(family, folder / family))}
        for family in (*READ_NAMES, *SEE_ALONE)
    ]
    config.write_text(yaml.safe_dump(content))
    return drive(config)


def query(ws: Workspace, sql: str) -> pd.DataFrame:
    with duckdb.connect(str(ws.database), read_only=True) as connection:
        return connection.execute(sql).df()


def test_every_architecture_comes_to_a_verdict_on_every_artist(ws: Workspace) -> None:
    assert query(ws, "SELECT * FROM left_out").empty
    rows = query(ws, "SELECT encoder, subject, verdict FROM verdicts WHERE kind = 'artist'")
    artists = query(ws, "SELECT subject FROM subjects WHERE kind = 'artist'")["subject"]
    for encoder in (*READ_NAMES, *SEE_ALONE):
        own = rows[rows["encoder"] == encoder]
        assert set(own["subject"]) == set(artists), encoder
        assert set(own["verdict"]) <= VERDICTS
    trained = rows[rows["encoder"] == TRAINED]
    assert set(trained["verdict"]) == {"imitated"}  # the other encoders have random weights
    identified = query(ws, "SELECT DISTINCT encoder FROM identification_by_subject")["encoder"]
    assert set(identified) == {*READ_NAMES, TRAINED}
    matched = query(ws, "SELECT encoder FROM matching_by_subject WHERE auc IS NOT NULL")["encoder"]
    assert set(matched) >= {*READ_NAMES, *SEE_ALONE}


def test_the_report_names_every_encoder_with_the_layer_that_makes_its_vectors(ws: Workspace) -> None:
    page = html.unescape((ws.warehouse.root / "reports" / "miniature-1" / "report.html").read_text("utf-8"))
    stated = query(ws, "SELECT encoder, pooling, layer FROM encoders").set_index("encoder")
    for family in (*READ_NAMES, *SEE_ALONE):
        assert family in page
        assert str(stated.loc[family, "layer"]) in page
    assert list(stated.loc["ijepa"]) == ["mean of patches", "layernorm"]
    assert list(stated.loc["clip_vision_with_projection"]) == ["image_embeds", "visual_projection"]


def test_the_page_names_the_architectures_that_were_audited() -> None:
    audited = ", ".join(f"`{family}`" for family in (*READ_NAMES, *SEE_ALONE))
    said = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"with {len(READ_NAMES) + len(SEE_ALONE)} of these tiny encoders: {audited}." in said
