"""What requests hold and answers give, as OpenAPI has it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

__all__ = [
    "CardModel",
    "ErrorModel",
    "HealthModel",
    "ItemsModel",
    "NeighborsRequest",
    "RecommendAnswer",
    "RecommendRequest",
    "ReloadAnswer",
    "SearchRequest",
    "SimilarAnswer",
    "SimilarRequest",
    "UsersModel",
]

RawId = Annotated[StrictStr, Field(max_length=1000)] | StrictInt
# A body of wrong items would be described item by item, in a gigabyte and ten seconds.
RawIds = Annotated[list[RawId], Field(fail_fast=True)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecommendRequest(_Request):
    """A history, or a user whose history is known; exactly one of both."""

    history: RawIds | None = Field(
        None, description="Raw ids of items, oldest first.", examples=[["B07X", "B03K"]]
    )
    user: RawId | None = Field(None, description="A user of the histories that are known.")
    k: StrictInt = Field(10, ge=1, description="Number of items.")
    exclude_seen: StrictBool = Field(True, description="Whether items of the history are left out.")
    include: RawIds | None = Field(None, description="Only these items may be recommended.")
    exclude: RawIds | None = Field(None, description="These items are not recommended.")
    modality: StrictStr | None = Field(None, description="Only this modality counts; null: all.")
    explain: StrictBool = Field(False, description="Whether 'why' is filled in.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"history": ["B07X", "B03K"], "k": 3, "explain": True}]},
    )


class SimilarRequest(_Request):
    """An item whose like is asked for."""

    item: RawId = Field(description="Raw id.", examples=["B07X"])
    k: StrictInt = Field(10, ge=1, description="Number of items of each kind.")
    by: Annotated[list[StrictStr], Field(fail_fast=True)] | None = Field(
        None, max_length=100, description="Kinds of likeness; null: all.", examples=[["image"]]
    )


class SearchRequest(_Request):
    """A part of a name or a text, upper and lower case alike."""

    query: str = Field("", max_length=200, description="Part of a raw id or text; empty: all.")
    limit: int = Field(20, ge=1, le=200, description="Most that are listed.")


class NeighborsRequest(_Request):
    """An item whose neighborhood is drawn."""

    item: str = Field(description="Raw id.")
    kind: str | None = Field(None, description="Of graph; default: the first that there is.")
    k: int = Field(8, ge=1, le=20, description="Most neighbors in each graph.")


class CardModel(BaseModel):
    """An item for people."""

    item: str = Field(examples=["B07X"])
    text: str | None = Field(None, examples=["Red shoe"])
    image: str | None = Field(None, examples=["/images/B07X"])


class VoterModel(CardModel):
    """An item of the history that voted."""

    modality: str | None = Field(None, examples=["image"])
    share: float = Field(examples=[0.5])


class CenterModel(BaseModel):
    """An interest center by items that are typical of it."""

    modality: str
    number: int
    items: list[CardModel]


class WhyModel(BaseModel):
    """Why an item is recommended."""

    modalities: dict[str, float] = Field(examples=[{"image": 0.7, "text": 0.3}])
    voters: list[VoterModel]
    center: CenterModel | None = None


class RecommendedModel(CardModel):
    """A recommended item."""

    rank: int = Field(examples=[1])
    score: float = Field(examples=[3.25])
    why: WhyModel | None = None


class RecommendAnswer(BaseModel):
    """The best items, best first, and what was made of the request."""

    user: str | None = None
    source: str = Field(description="'model', or 'popularity' for an empty history.")
    dropped: list[str] = Field(description="Items of the history that the catalog lacks.")
    history: list[CardModel]
    items: list[RecommendedModel]
    model: str = Field(description="Version of the model.", examples=["MDSRec-1f2e3d4c5b6a"])


class NearModel(CardModel):
    """A similar item."""

    rank: int
    score: float


class NearByModel(BaseModel):
    """Similar items of one kind of likeness."""

    by: str
    items: list[NearModel]


class SimilarAnswer(BaseModel):
    """The item, and what is similar to it."""

    item: CardModel
    similar: list[NearByModel]


class ItemsModel(BaseModel):
    """The first items found, and how many there are."""

    items: list[CardModel]
    total: int


class UserModel(BaseModel):
    """A known user and the number of items of the history."""

    user: str
    items: int


class UsersModel(BaseModel):
    """The first users found, and how many there are."""

    users: list[UserModel]
    total: int


class HealthModel(BaseModel):
    """What is served."""

    status: str = Field(examples=["ok"])
    model: str
    items: int
    modalities: list[str]
    users: int | None = None
    images: bool
    name: str = Field(description="Name of the folder.")
    limits: dict[str, int] = Field(examples=[{"k": 100, "history": 1000}])
    reload: dict[str, Any] | None = Field(None, description="Outcome of the last reload, if any.")


class ReloadAnswer(BaseModel):
    """What a reload led to."""

    status: str = Field(description="'reloaded', or 'loading' where it takes long.")
    model: str


class ErrorPart(BaseModel):
    """What was wrong."""

    argument: str | None = Field(None, examples=["k"])
    message: str = Field(examples=["'k' must be at least 1 (got 0)"])


class ErrorModel(BaseModel):
    """Every error."""

    error: ErrorPart
