"""What all parts of an audit file share: keys, and fields of which none is unknown."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
