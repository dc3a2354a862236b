"""SECURITY.md promises nothing that no test would notice."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    tests = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "audit_assets_tests").rglob("test_*.py"))
    assert len(named) > 30
    assert named - set(re.findall(r"^def (test_\w+)\(", tests, re.M)) == set()


def test_every_test_of_security_is_named_on_the_page() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    tests = "\n".join(
        p.read_text(encoding="utf-8") for p in Path(__file__).parent.glob("test_*.py") if p != Path(__file__)
    )
    supporting = {"test_the_usual_audit_is_read", "test_an_address_without_one_is_read", "test_a_text_is_no_formula_and_is_read_back_equal", "test_each_of_these_files_is_read_as_it_is", "test_a_tokenizer_without_a_limit_is_read_as_far_as_its_encoder_reads"}  # fmt: skip
    assert {t for t in re.findall(r"^def (test_\w+)\(", tests, re.M) if t not in page} == supporting
