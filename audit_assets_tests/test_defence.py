"""The trial of a defence at a tiny size: adapters that an audit takes, and what the trial prints of an audit."""

from pathlib import Path

import numpy as np
import pytest

from audit_assets.config import load_audit
from audit_assets.miniature import world
from audit_assets.models.registry import resolve_model


def test_the_perturbation_is_noise_within_its_bounds() -> None:
    from benchmarks import defence

    works = np.full((3, 32, 32, 3), 128, np.uint8)
    noisy = defence.perturbed(works)
    assert noisy.dtype == np.uint8
    assert np.abs(noisy.astype(int) - 128).max() == defence.NOISE
    assert (noisy == defence.perturbed(works)).all()
    assert (defence.perturbed(works, seed=2) != noisy).any()


@pytest.mark.long
def test_a_trained_adapter_is_one_that_an_audit_takes(tmp_path: Path, miniature: Path) -> None:
    from benchmarks import defence

    person = next(p for p in world.artists() if p.name == defence.ARTIST)
    assert person.kind == "untrained_artist"
    works = np.stack([person.work(k)[0] for k in range(3)])
    file = defence.tuned(works, tmp_path / "one", steps=2, seed=1)
    content = file.read_bytes()
    assert defence.tuned(works, tmp_path / "one", steps=2, seed=1).read_bytes() == content  # it is not trained again
    assert defence.tuned(works, tmp_path / "two", steps=2, seed=1).read_bytes() == content  # everything is seeded
    audit = load_audit(defence.written(tmp_path, dict.fromkeys(defence.VERSIONS[1:], file)))
    assert [model.name for model in audit.models] == list(defence.VERSIONS)
    resolved = [resolve_model(audit, model) for model in audit.models]
    assert [len(model.lora) for model in resolved] == [0, 1, 1]
    assert len({model.files_sha256 for model in resolved}) == 1
