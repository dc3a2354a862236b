"""Remedies are joined so that who follows them has all, and reads no number twice."""

import pytest

from audit_assets.measurement.remedies import joined, of_few_works


@pytest.mark.parametrize(
    ("remedies", "text"),
    [
        ([], ""),
        (["", "Works of this artist.", "Works of this artist."], "Works of this artist."),
        (["6 more works.", "Works of this artist.", "1 more control name."], "6 more works. 1 more control name."),
        (["Works of this artist.", "1 more work."], "1 more work."),
        (
            [
                "7 more control names of script Latin; for the stronger test, works too.",
                "37 more control names of script Latin.",
            ],
            "37 more control names of script Latin.",
        ),
        (
            ["9 more control names of locale ja_JP that the encoder reads.", "2 more control names of locale ja_JP."],
            "9 more control names of locale ja_JP that the encoder reads.",
        ),
        (
            [
                "2 more control names of locale ja_JP, script Latin.",
                "9 more control names of locale ja_JP, script Latin.",
            ],
            "9 more control names of locale ja_JP, script Latin.",
        ),
        (
            ["9 more control names of locale ja_JP.", "2 more control names of script Latin.", "1 more work."],
            "9 more control names of locale ja_JP. 2 more control names of script Latin. 1 more work.",
        ),
    ],
)
def test_each_remedy_is_said_once_and_the_largest_number_of_names_of_a_stratum(remedies: list[str], text: str) -> None:
    assert joined(remedies) == text
    assert joined(reversed(remedies)).count("control names") == text.count("control names")


def test_one_work_is_one_work() -> None:
    assert of_few_works(1, 6) == ("The artist has 1 work; the positive control needs 6.", "5 more works.")
    assert of_few_works(5, 6) == ("The artist has 5 works; the positive control needs 6.", "1 more work.")
