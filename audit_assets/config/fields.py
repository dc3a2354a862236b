"""What all parts of an audit file share: keys, and fields of which none is unknown."""

import re
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

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
    def _a_number_is_not_yes(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool):  # 1 and 0 otherwise
            kind = cls.model_fields[str(info.field_name)].annotation
            if {int, float} & set(kinds := get_args(kind) or (kind,)) and bool not in kinds:
                raise ValueError(f"YAML reads {value} there, which is no number; write the number")
        return value
