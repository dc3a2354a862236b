"""Sensitivity to choices: correlations, flips, templates, independence."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from audit_assets.measurement.sensitivity import independence, rank_correlations, template_matrix, verdict_flips
from audit_assets_tests.measurement.worlds import trial_rows

NAMED = {"clip-vit-l-14", "openclip-h", "t5-xxl"}


def test_rank_correlations_equal_scipys_over_subjects_scored_in_both() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=20), rng.normal(size=20)
    scores = pd.DataFrame(
        {"subject": [f"s{i}" for i in range(20)] * 2, "setting": ["a"] * 20 + ["b"] * 20, "score": np.r_[x, y]}
    ).iloc[:-3]
    line = rank_correlations(scores).iloc[0]
    assert (line["setting"], line["other_setting"], line["subjects"]) == ("a", "b", 17)
    assert line["spearman"] == pytest.approx(stats.spearmanr(x[:17], y[:17]).statistic, abs=1e-12)
    assert line["kendall"] == pytest.approx(stats.kendalltau(x[:17], y[:17]).statistic, abs=1e-12)
    constant = rank_correlations(scores.assign(score=scores["score"].where(scores["setting"] == "a", 1.0)))
    assert constant["spearman"].isna().all()


def test_flips_are_counted_from_the_baseline() -> None:
    verdicts = pd.DataFrame(
        {
            "subject": ["a", "b", "c"] * 2 + ["a"],
            "setting": ["x"] * 3 + ["y"] * 3 + ["z"],
            "verdict": ["imitated", "imitated", "not auditable", "imitated", "not auditable", "imitated", "imitated"],
        }
    )
    table = verdict_flips(verdicts, baseline="x").set_index("setting")
    assert list(table.loc["y"]) == [3, 2, pytest.approx(2 / 3), 1, 1]
    assert list(table.loc["z"]) == [1, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="baseline 'w' is not among"):
        verdict_flips(verdicts, baseline="w")
    with pytest.raises(ValueError, match="two values"):
        verdict_flips(pd.concat([verdicts, verdicts]), baseline="x")
    with pytest.raises(ValueError, match="no column 'verdict'"):
        verdict_flips(verdicts.drop(columns="verdict"), baseline="x")


def test_accuracy_is_shown_for_every_pair_of_templates() -> None:
    rows = trial_rows({"a": ["a", "a"], "b": ["b", "a"]})
    crossed = rows.assign(label_template=1, correct=[True, False, False, False])
    table = template_matrix(pd.concat([rows, crossed]))
    assert table["image_accuracy"].tolist() == [0.75, 0.25]
    assert table["label_template"].tolist() == [0, 1]


def test_an_encoder_that_shares_the_generators_text_encoder_is_marked() -> None:
    models = pd.DataFrame({"model_version": ["sd", "closed"], "text_encoder_families": [["clip-vit-l-14"], None]})
    encoders = pd.DataFrame(
        {
            "encoder": ["l14", "h14", "dino"],
            "kind": ["image_text", "image_text", "image"],
            "family": ["clip-vit-l-14", "openclip-h", None],
        }
    )
    assert independence(models, encoders, named=NAMED)["relation"].tolist() == [
        "shared", "independent", "image only", "unknown", "unknown", "image only",
    ]  # fmt: skip


def test_a_generator_that_names_no_text_encoder_is_not_called_independent() -> None:
    models = pd.DataFrame({"model_version": ["folder"], "text_encoder_families": [[]]})
    encoders = pd.DataFrame({"encoder": ["l14"], "kind": ["image_text"], "family": ["clip-vit-l-14"]})
    assert independence(models, encoders, named=NAMED)["relation"].tolist() == ["unknown"]


@pytest.mark.parametrize(
    ("generator", "family"), [(["clip"], "clip"), (["clip-vit-l-14"], "clip"), (["clip"], "openclip-h")]
)
def test_a_family_without_a_name_may_be_any(generator: list[str], family: str) -> None:
    models = pd.DataFrame({"model_version": ["m"], "text_encoder_families": [generator]})
    encoders = pd.DataFrame({"encoder": ["e"], "kind": ["image_text"], "family": [family]})
    assert independence(models, encoders, named=NAMED)["relation"].tolist() == ["unknown"]
