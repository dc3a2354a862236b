"""No secret of the environment is kept: not in the events, not in what a run says, not in what it makes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit_assets_tests.processes import said, start

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAnever0to0be0kept",
    "AWS_SECRET_ACCESS_KEY": "secret-never-to-be-kept",
    "AWS_SESSION_TOKEN": "session-never-to-be-kept",
    "HF_TOKEN": "hf_nevertobekept",
    "DAGSTER_POSTGRES_PASSWORD": "postgres-never-to-be-kept",
}


def kept_in(folder: Path, secret: str) -> list[str]:
    needle = secret.encode()
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and needle in p.read_bytes()]


@pytest.mark.long
@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "with an error"])
def test_nothing_that_an_audit_leaves_holds_a_secret(
    small_audit: Callable[..., Path], miniature: Path, tmp_path: Path, damaged: bool
) -> None:
    """The events in Dagster's home, tables, database, report and what was said; if a part is left out, its error as well."""
    references = tmp_path / "references"
    changes: dict[str, object] = {}
    if damaged:
        (references / "nils-oduya").mkdir(parents=True)
        (references / "nils-oduya" / "0.png").write_bytes(b"no image")
        changes["references"] = str(references)
    config = small_audit(tmp_path / "audit", **changes)
    process = start(config, SECRETS)
    assert process.wait(timeout=400) == (3 if damaged else 0), said(config)
    assert len(kept_in(config.parent, "nils-oduya")) > 2  # the search finds what is there
    assert {name: kept_in(config.parent, secret) for name, secret in SECRETS.items()} == {name: [] for name in SECRETS}
