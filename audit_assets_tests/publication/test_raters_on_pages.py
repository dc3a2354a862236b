"""What pages say of an artist whom human raters were asked about: yes, and could not be tested with and without a share."""

import pytest

from audit_assets.publication.words import raters
from audit_assets_tests.results.test_ratings import answered, key, rated, verdicts_of_raters


@pytest.mark.parametrize(
    ("wanted", "answer", "share", "said"),
    [
        ({}, "yes", "100.0 % (82.4 – 100.0)", "it beat 19 of 19 control names. Share 100.0 %"),
        ({"questions": 5}, "could not be tested", "100.0 % (47.8 – 100.0)", "What would settle it: A packet with 19 questions"),
        ({"raters": 2}, "could not be tested", "–", "a majority needs 3. What would settle it: Answers of more raters."),
    ],
)  # fmt: skip
def test_pages_say_what_raters_say_and_what_would_settle_it(
    wanted: dict[str, int], answer: str, share: str, said: str
) -> None:
    asked = key(**wanted)
    verdicts = verdicts_of_raters(asked, rated(asked, answered(asked)))
    rows = verdicts.assign(name=verdicts["subject"], towards="yes", verdict="imitated").to_dict("records")
    row = {str(name): value for name, value in rows[0].items()}
    table = raters.verdicts([row])
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert (cells["Raters say"], cells["Share (95 %)"]) == (answer, share)
    assert (cells["Not tested because"] == "–") == (answer == "yes")
    sentence = raters.of_artist(row)
    assert sentence.startswith(f"Human raters: {answer}.")
    assert said in sentence
