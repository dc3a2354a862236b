"""What a manifest says outside its root and its signature: who made the audit, and when.

The same audit at another time has the same root. A run may fill this in after the root was signed.
"""

from pydantic import BaseModel, ConfigDict

from audit_assets.config import Audit


class Times(BaseModel):
    """In UTC, to the second (ISO 8601). None if the log does not have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_image: str | None = None
    last_image: str | None = None
    measured: str | None = None
    reported: str | None = None


class Dated(Times):
    auditor: str = ""
    organisation: str = ""
    case_number: str = ""


def dated(audit: Audit, times: Times | None, before: Dated | None) -> Dated:
    """Who is named by the audit file now. ``before``: of a manifest with the same root, whose times stay."""
    now = (times or Times()).model_dump(include=set(Times.model_fields))
    kept = {} if before is None else {key: value for key, value in before.model_dump(include=set(now)).items() if value}
    return Dated(
        **{**now, **kept}, auditor=audit.auditor, organisation=audit.organisation, case_number=audit.case_number
    )
