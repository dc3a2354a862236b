"""Hostile audit files and protocols: bombs, paths, and secrets in addresses."""

import time
from pathlib import Path

import pytest

from audit_assets.config import load_audit, load_protocol
from audit_assets.errors import InputError
from audit_assets.roster.captions import caption_shards
from audit_assets.untrusted.yaml import LARGEST_FILE
from audit_assets.warehouse.places import place

AUDIT = """\
protocol: {protocol}
captions: {{path: "{captions}"}}
roster: {{artists: artists.csv}}
models: [{{name: {model}, source: diffusers, path: "{path}", approved: true}}]
encoders: [{{name: e, kind: image_text, path: e}}]
warehouse: "{warehouse}"
"""
USUAL = {"protocol": "paper_2023", "captions": "c.csv", "model": "m", "path": "models/m", "warehouse": "w/"}


def written(folder: Path, **changes: str) -> Path:
    (folder / "audit.yaml").write_text(AUDIT.format(**{**USUAL, **changes}), encoding="utf-8")
    return folder / "audit.yaml"


def test_the_usual_audit_is_read(tmp_path: Path) -> None:
    assert load_audit(written(tmp_path)).models[0].name == "m"


BOMBS = {
    "aliases": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
    "merge keys": "a: &a {x: 1}\nb: {<<: *a}\n",
    "nesting": "a: " + "[" * 5000,
    "objects": "a: !!python/object/apply:os.system ['touch x']\n",
    "size": "# " + "x" * LARGEST_FILE,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_yaml_bomb_is_refused_at_once(tmp_path: Path, bomb: str) -> None:
    started = time.process_time()
    (tmp_path / "audit.yaml").write_text(bomb, encoding="utf-8")
    with pytest.raises(InputError, match=r"audit\.yaml"):
        load_audit(tmp_path / "audit.yaml")
    (tmp_path / "p.yaml").write_text(bomb, encoding="utf-8")
    with pytest.raises(InputError, match=r"p\.yaml"):
        load_protocol(load_audit(written(tmp_path, protocol="p.yaml")))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", ".hidden", "a|b", "a b", "A", "x" * 81, "a\\nb"])
def test_a_name_that_would_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"line 4, models\.0\.name"):
        load_audit(written(tmp_path, model=f'"{name}"'))


SECRETS = [
    "s3://AKIAIOSFODNN7EXAMPLE:hunter2@bucket/captions/*.parquet",
    "https://user:hunter2@host/captions.parquet",
    "https://hf_hunter2@host/captions.parquet",
    "https://host/captions.parquet?X-Amz-Signature=hunter2",
    "https://host/captions.parquet?a=b&access_token=hunter2",
    "https://host/captions.parquet?sv=2024-11-04&sig=hunter2",
    "https://host/captions.parquet?auth=hunter2",
    "https://host/captions.parquet?code=hunter2",
]


@pytest.mark.parametrize("address", SECRETS)
@pytest.mark.parametrize("field", ["captions", "path", "warehouse"])
def test_an_address_with_a_secret_is_refused_and_not_repeated(tmp_path: Path, field: str, address: str) -> None:
    with pytest.raises(InputError, match="holds a password or a token; keep it in the environment") as refused:
        load_audit(written(tmp_path, **{field: address}))
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    "address",
    ["s3://bucket/captions/*.parquet", "hf://datasets/laion/x@main/a.parquet", "a@b/c?.csv", "a?design=b&author=c.csv"],
)
def test_an_address_without_one_is_read(tmp_path: Path, address: str) -> None:
    captions = load_audit(written(tmp_path, captions=address)).captions
    assert captions is not None
    assert captions.path == address


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("address", ["https://user:hunter2@objects.example", "https://objects.example/?sig=hunter2"])
def test_an_endpoint_with_a_secret_is_named_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    monkeypatch.setenv(name, address)
    for ask in (
        lambda: place("s3://bucket/prefix", tmp_path),
        lambda: caption_shards("s3://bucket/*.parquet", tmp_path),
    ):
        with pytest.raises(InputError, match=f"^the variable {name} holds a password or a token") as refused:
            ask()
        assert "hunter2" not in str(refused.value)


def settings(value: str) -> str:
    return (
        AUDIT.format(**USUAL).replace("approved: true", f"approved: true, settings: {{scheduler: {value}}}")
        + f"controls: {{locale: en_US}}\nartist: {{name: Ada Example, aliases: [{value}]}}\n"
    ).replace("roster: {artists: artists.csv}\n", "")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (r'"a\0b"', "holds a NUL character"),
        (r'"a\ud800b"', r"holds half a character \(U\+D800\)"),
        ("https://user:hunter2@host/x", "holds a password or a token; keep it in the environment"),
    ],
)
def test_a_text_that_cannot_be_kept_is_refused_wherever_it_stands(tmp_path: Path, value: str, what: str) -> None:
    (tmp_path / "audit.yaml").write_text(settings(value), encoding="utf-8")
    with pytest.raises(InputError, match=rf"line 3, models\.0\.settings\.scheduler: {what}") as refused:
        load_audit(tmp_path / "audit.yaml")
    assert "hunter2" not in str(refused.value)
    (tmp_path / "audit.yaml").write_text(
        settings("x").replace("aliases: [x]", f"aliases: [x, {value}]"), encoding="utf-8"
    )
    with pytest.raises(InputError, match=rf"line 7, artist\.aliases\.1: {what}"):
        load_audit(tmp_path / "audit.yaml")
    (tmp_path / "audit.yaml").write_text(settings("😀").replace("Ada", "風"), encoding="utf-8")
    artist = load_audit(tmp_path / "audit.yaml").artist
    assert artist is not None
    assert artist.aliases == ("😀",)


def test_a_path_that_no_file_can_have_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 4, models\.0\.path: holds a NUL character"):
        load_audit(written(tmp_path, path="a\\0b"))
    for path in ("x" * 300, "~no-such-user-here/x"):
        audit = load_audit(written(tmp_path, path=path))
        with pytest.raises(InputError, match=r"no file can have this name|leads nowhere"):
            audit.local(audit.models[0].path)


@pytest.mark.parametrize(
    "value",
    ["!!timestamp 2020", "!!float x", "2020-13-45", "9" * 5000, "!!bool maybe", '!!int ""', '!!float ""', '!!int "+"'],
)
def test_a_value_that_its_tag_does_not_fit_is_bad_input(tmp_path: Path, value: str) -> None:
    config = written(tmp_path)
    config.write_text(config.read_text(encoding="utf-8") + f"batch_size: {value}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"audit\.yaml: not YAML .*put quotes around a text"):
        load_audit(config)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("matching: {permutations: 100000000000000}", r"line 3, matching\.permutations: .*less than or equal"),
        ("matching: {reassignments: 99999999999}", r"line 3, matching\.reassignments: .*less than or equal"),
        ("default_labels: [Artwork, '  ']", r"line 3, default_labels: a label is empty"),
        ("default_labels: [Artwork, Artwork]", r"line 3, default_labels: a label occurs twice"),
    ],
)
def test_a_protocol_asks_for_no_work_without_end_and_counts_no_label_twice(
    tmp_path: Path, field: str, said: str
) -> None:
    (tmp_path / "p.yaml").write_text(f"name: p\ntemplates: ['Artwork from {{name}}']\n{field}\n", encoding="utf-8")
    with pytest.raises(InputError, match=said):
        load_protocol(load_audit(written(tmp_path, protocol="p.yaml")))
    (tmp_path / "p.yaml").write_text("name: p\ntemplates: ['Artwork from {name}']\n", encoding="utf-8")
    assert load_protocol(load_audit(written(tmp_path, protocol="p.yaml"))).name == "p"
