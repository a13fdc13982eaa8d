"""The JSON of requests and answers, as OpenAPI describes it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request is refused: ``slotlang explain CODE`` says more."""

    code: str
    message: str
    hint: str = ""


class Refused(BaseModel):
    """The body of every answer that is not a success."""

    error: Problem


class Health(BaseModel):
    """The service answers."""

    status: str = "ok"
    protocol: int


class Model(BaseModel):
    """An adapter, in the words of other servers of LoRA: ``root`` is its folder, ``parent`` its base model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "slotlang"
    root: str
    parent: str | None
    version: str


class Models(BaseModel):
    """The adapters that the tenant may use."""

    object: str = "list"
    data: list[Model]


class KeySet(_Strict):
    """Evaluation keys that will be sent, by content."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)


class NewSession(_Strict):
    """A session for a model's keys. ``lifetime``: seconds, at most the service's own; ``pin``: never evict it."""

    model: str = Field(max_length=100)
    keys: KeySet
    lifetime: float | None = Field(default=None, gt=0)
    pin: bool = False


class SessionState(BaseModel):
    """A session. ``ready``: its ``keys`` are here; until then they are ``coming``, and ``received`` bytes of them are
    here."""

    id: str
    model: str
    created: float
    expires: float
    pinned: bool
    ready: bool
    keys: str | None
    coming: str | None
    received: int


class Sessions(BaseModel):
    """The tenant's sessions."""

    data: list[SessionState]


class LoadAdapter(_Strict):
    """Serve the adapter in the folder ``lora_path``, below the service's own, under a name."""

    lora_name: str
    lora_path: str


class UnloadAdapter(_Strict):
    """No longer serve an adapter."""

    lora_name: str
