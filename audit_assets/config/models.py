"""The models and encoders of an audit file."""

import math
import re
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from audit_assets.config.fields import Key, Strict

_VARIABLE = r"^[A-Z][A-Z0-9_]{0,79}$"
_A_SECRET_BY_NAME = re.compile(r"key|token|secret|password|credential|auth", re.I)
_SET_BY_THE_AUDIT = {
    *("prompt", "model", "seed"),
    *(
        "n",
        "num_images",
        "num_images_per_prompt",
        "num_outputs",
        "num_samples",
        "samples",
        "batch_size",
    ),  # one, or a cap is passed
    "stream",
}


class LoraEntry(Strict):
    """An adapter on top of a model. A model with an adapter is another model version."""

    path: str = Field(min_length=1, description="a .safetensors file, or a folder or hub:owner/name that holds one")
    revision: str | None = None
    weight: float = Field(1.0, allow_inf_nan=False)
    alpha: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="alpha of the training, if the adapter's file does not state it"
    )


class EmbeddingEntry(Strict):
    """A textual inversion embedding on top of a model. A model with an embedding is another model version."""

    path: str = Field(min_length=1, description="a .safetensors file, or a folder or hub:owner/name that holds one")
    revision: str | None = None
    token: str = Field(
        pattern=r"^\S{2,100}$", description="the word that stands for the embedding in prompts; `prompt_name` uses it"
    )


_OWN_HEADERS = (
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept",
    "accept-encoding",
    "user-agent",
    "cookie",
)


class ApiEntry(Strict):
    """How a model behind an images API is asked. Address and key are in variables of the environment, which the file names."""

    address_env: str = Field(
        "AUDIT_API_ADDRESS", pattern=_VARIABLE, description="the variable that holds the address of the server"
    )
    key_env: str = Field(
        "AUDIT_API_KEY", pattern=_VARIABLE, description="the variable that holds the key, if one is needed"
    )
    key_header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        max_length=40,
        description="the header that carries the key; Authorization carries it as `Bearer <key>`, any other (`api-key`) as it is",
    )
    edits: bool = Field(
        False,
        description="whether the server takes pictures, at /images/edits; an arm of the way reference_image asks there",
    )
    seeds: bool = Field(False, description="whether the server takes `seed`")
    seed_bits: int = Field(63, ge=1, le=63, description="the server takes seeds below 2 to the power of this number")
    concurrency: int = Field(2, ge=1, le=64, description="calls at the same time")
    timeout: float = Field(
        180, gt=0, le=3600, description="seconds that one call may take, from connecting to the last byte"
    )
    retries: int = Field(4, ge=0, le=20, description="how often one image is asked for again")
    patience: float = Field(
        600, gt=0, le=86_400, description="seconds in all that one image may wait for a busy server"
    )
    maximum_images: int | None = Field(
        None, ge=0, description="calls that this warehouse may ever make of this model; checked before each call"
    )
    price_per_image: float | None = Field(None, ge=0, allow_inf_nan=False)
    maximum_cost: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="in the currency of price_per_image; checked before each call"
    )
    refusal_codes: tuple[str, ...] = Field((), description="further error codes by which this server refuses a prompt")

    @field_validator("key_header")
    @classmethod
    def _the_header_is_free(cls, name: str) -> str:
        if name.lower() in _OWN_HEADERS:
            raise ValueError(
                f"the header {name} has a meaning of its own in each call; give the one in which the server reads its key"
            )
        return name

    @model_serializer(mode="wrap")
    def _without_later_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A server that is asked as before is recorded as before."""
        content: dict[str, Any] = handler(self)
        usual = {"key_header": "Authorization", "edits": False}
        return {name: value for name, value in content.items() if name not in usual or value != usual[name]}

    @model_validator(mode="after")
    def _money_has_a_price(self) -> "ApiEntry":
        if self.maximum_cost is not None and not self.price_per_image:
            raise ValueError("maximum_cost needs price_per_image, from which the cost of a call follows; give both")
        return self


class ModelEntry(Strict):
    name: Key
    source: Literal["diffusers", "image_folder", "api"]
    path: str = ""
    model: str | None = Field(None, min_length=1, max_length=200, description="of source api: the name that is sent")
    api: ApiEntry | None = None
    revision: str | None = None
    approved: bool = False
    retired: bool = False
    retraining_of: str | None = Field(
        None,
        description="the model that this one is, trained again on the same data: how far artists move without a cause",
    )
    variant: str | None = Field(
        None,
        pattern=r"^\w+$",
        description="which weights are loaded, such as fp16 for model.fp16.safetensors; by default the plain ones, else the only ones",
    )
    config: str | None = Field(
        None,
        min_length=1,
        description="of a model in one .safetensors file: the folder of its configuration, tokenizers and scheduler",
    )
    arms: str | None = Field(
        None,
        min_length=1,
        description="of an image_folder: the folder of the images of the protocol's arms, `<arm>/<artist>/<image files>`",
    )
    settings: dict[str, Any] = Field({}, description="what the sampler or the server is asked for")
    lora: tuple[LoraEntry, ...] = ()
    embeddings: tuple[EmbeddingEntry, ...] = ()
    prompt_name: str | dict[str, str] | None = Field(
        None,
        description="how this model is asked for an artist: words with {name} for every subject, or a mapping from an artist's name to the "
        "words that the model was taught; in an audit of one artist also these words alone",
    )

    @field_validator("prompt_name")
    @classmethod
    def _prompt_names_are_words(cls, said: str | dict[str, str] | None) -> str | dict[str, str] | None:
        for words in [said] if isinstance(said, str) else (said or {}).values():
            rest = words.replace("{name}", "", 1)
            if not words.strip() or len(words) > 200 or set("{}") & set(rest) or any(ord(c) < 32 for c in words):
                raise ValueError(
                    f"{words[:50]!r} must be words in one line, up to 200 characters, with {{name}} at most once and no other brace"
                )
        return said

    @model_validator(mode="after")
    def _a_folder_is_asked_nothing(self) -> "ModelEntry":
        if self.source == "image_folder" and (
            self.settings or self.lora or self.embeddings or self.variant or self.config
        ):
            raise ValueError(
                "an image_folder takes no settings, lora, embeddings, variant or config, because its images are made already; delete these fields"
            )
        return self

    @model_validator(mode="after")
    def _a_folder_alone_has_a_folder_of_arms(self) -> "ModelEntry":
        if self.arms is not None and self.source != "image_folder":
            raise ValueError(
                f"`arms` is the folder of an image_folder's arms, and a model of source {self.source} is asked for them; delete it"
            )
        return self

    @model_validator(mode="after")
    def _a_source_has_its_own_fields(self) -> "ModelEntry":
        if self.source != "api":
            if not self.path:
                raise ValueError(f"a model of source {self.source} needs a `path`; give its folder")
            if self.model is not None or self.api is not None:
                raise ValueError("`model` and `api` belong to source api; delete them, or correct `source`")
            return self
        if self.model is None:
            raise ValueError("source api needs `model`, the name that the server knows the model by")
        unused = [f for f in ("path", "revision", "lora", "embeddings", "variant", "config") if getattr(self, f)]
        if unused:
            raise ValueError(f"source api has no files, and takes no {', '.join(unused)}; delete the fields")
        for name, value in self.settings.items():
            if name in _SET_BY_THE_AUDIT:
                raise ValueError(f"settings.{name} is set by the audit; delete it")
            if _A_SECRET_BY_NAME.search(name):
                raise ValueError(
                    f"settings.{name}: settings are recorded; keep a secret in the variable of api.key_env"
                )
            if not isinstance(value, (str, int, float, bool)) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(f"settings.{name}: must be a text, a finite number, true or false")
        if self.settings.get("response_format", "url") not in ("url", "b64_json"):
            raise ValueError("settings.response_format is url or b64_json; correct it, or leave it to the server")
        return self

    @property
    def asked(self) -> ApiEntry:
        """How a model of source api is asked."""
        return self.api or ApiEntry()


class EncoderEntry(Strict):
    name: Key
    kind: Literal["image_text", "image"]
    path: str = Field(min_length=1)
    revision: str | None = None
    processor: Literal["pil"] = "pil"
    code: str | None = Field(
        None, description="a plug-in: a Python file in the folder `path`, which runs only with allow_code"
    )
