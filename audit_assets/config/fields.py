"""What all parts of an audit file share: fields without secrets, and keys."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

_SECRET = re.compile(r"://[^/\s]*@|[?&][^=&]*(?:token|secret|signature|credential|password|key)[^=&]*=", re.I)
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")

Key = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$",
        description="lower-case letters, digits, '.', '_', '-'; a partition key and a folder",
    ),
]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_recorded(cls, value: Any) -> Any:
        """No text holds NUL. Addresses are recorded, shown and logged, so they must not contain a secret. The error does not repeat the value."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("holds a NUL character, which no name and no path can have; delete it")
        if isinstance(value, str) and _SECRET.search(value):
            raise ValueError(
                "holds a password or a token; keep it in the environment, and write the address without it"
            )
        return value
