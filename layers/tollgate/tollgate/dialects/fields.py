"""The base of all requests' models, and the field types that dialects share. Each dialect adds its words and its own
fields.

The rules themselves are in `field_rules`, which the check function uses without pydantic.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tollgate.dialects.field_rules import id_rule, later_rule
from tollgate.domain.errors import TollgateError
from tollgate.domain.places import renamed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Text = Annotated[str, StringConstraints(max_length=1000)]
Id = Annotated[str, AfterValidator(id_rule)]


class BaseParams(BaseModel):
    """A request's parameters. Unknown fields are ignored.

    Fields in `later` would change what the call means and are not served: they are refused.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", defer_build=True)

    later: ClassVar[tuple[str, ...]] = ()
    nothing: ClassVar[tuple[Any, ...]] = (None, False)  # values under which a field in `later` asks for nothing
    refusal: ClassVar[str] = "{name} is not supported"

    @model_validator(mode="before")
    @classmethod
    def _refuse_later(cls, data: Any) -> Any:
        later_rule(data, cls.later, cls.nothing, cls.refusal)
        return data

    @classmethod
    def parsed(cls, data: Any) -> Self:
        """The parsed parameters; raises the dialect's error (`refused`) with all that is wrong."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise cls.refused(error, data) from error

    @classmethod
    def refused(cls, error: ValidationError, sent: Any) -> TollgateError:
        """What is wrong with what was sent, in the dialect's words."""
        raise NotImplementedError


def as_sent(model: type[BaseModel], body: Any) -> AbstractContextManager[None]:
    """Has an InvalidInput that is raised inside name a field by that of its several names which the body has."""
    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices) and isinstance(body, dict):
            sent = [str(choice) for choice in field.validation_alias.choices if choice in body]
            names[name] = next(iter(sent), name)
    return renamed(names)


def iso_ms(text: str) -> int:
    """A time of ISO 8601 in epoch milliseconds; without an offset it is UTC.

    Raises ValueError for text that is no time, and TypeError for what is no text.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        since = moment - _EPOCH
    except OverflowError as error:
        raise ValueError(text) from error
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
