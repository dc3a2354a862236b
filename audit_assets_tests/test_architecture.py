"""The picture of the architecture is drawn from the code, and shows it as it is."""

import xml.etree.ElementTree as ElementTree

from docs.architecture import PICTURE, assets, picture


def test_the_picture_is_that_of_the_asset_graph_as_it_is() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(assets()), "run: .venv/bin/python docs/architecture.py"


def test_the_picture_names_every_asset_and_its_partitions() -> None:
    texts = [t.text for t in ElementTree.parse(PICTURE).iter("{http://www.w3.org/2000/svg}text")]
    found = assets()
    assert len(found) > 15
    assert {a.name for a in found} <= set(texts)
    assert "model_version x subject" in texts
    assert all(a.group in texts for a in found)
