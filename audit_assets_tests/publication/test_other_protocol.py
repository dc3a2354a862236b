"""Images of one protocol are not published under another."""

from pathlib import Path

import pytest
import yaml

from audit_assets.config import PROTOCOLS, load_audit
from audit_assets.errors import InputError
from audit_assets.hashing import sha256
from audit_assets.publication.stage import PublicationStage
from audit_assets.workspace import Workspace


@pytest.mark.parametrize("retired", [False, True])
@pytest.mark.parametrize(("field", "value"), [("templates", ["A photograph without {name}"]), ("trials", 6)])
def test_images_of_another_protocol_are_not_published(copied: Path, field: str, value: object, retired: bool) -> None:
    """As in a UI: the protocol was edited, and the database is asked for before the images follow."""
    before = sha256(Workspace.open(copied).database)
    content = yaml.safe_load((PROTOCOLS / f"{load_audit(copied).protocol}.yaml").read_text(encoding="utf-8"))
    (copied.parent / "protocol.yaml").write_text(yaml.safe_dump({**content, field: value}), encoding="utf-8")
    audit = yaml.safe_load(copied.read_text(encoding="utf-8"))
    models = [{**model, "retired": retired} for model in audit["models"]]
    copied.write_text(yaml.safe_dump({**audit, "models": models, "protocol": "protocol.yaml"}), encoding="utf-8")
    stage = PublicationStage(Workspace.open(copied))
    assert stage.results.audited() == ["miniature-1"]
    what = "is retired, and is drawn no more" if retired else "run the audit again"
    with pytest.raises(InputError, match=f"not replaced, since its images were drawn by another protocol .*{what}"):
        stage.publish()
    assert sha256(stage.ws.database) == before


def test_images_of_this_protocol_are_published_whatever_else_it_says(copied: Path) -> None:
    """A new margin of comparison draws no image again."""
    content = yaml.safe_load((PROTOCOLS / f"{load_audit(copied).protocol}.yaml").read_text(encoding="utf-8"))
    (copied.parent / "protocol.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    audit = yaml.safe_load(copied.read_text(encoding="utf-8"))
    copied.write_text(yaml.safe_dump({**audit, "protocol": "protocol.yaml"}), encoding="utf-8")
    stage = PublicationStage(Workspace.open(copied))
    assert stage._does_not_follow("miniature-1") is None
