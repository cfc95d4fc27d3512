"""Typed, frozen sets of options: checked where they are made, each default in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

__all__ = ["Config", "check_at_least", "check_one_of", "configure", "unknown_option"]

C = TypeVar("C", bound="Config")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the option sets; a field is an option, its default the only one there is."""

    @classmethod
    def names(cls) -> list[str]:
        """The options."""
        return [field.name for field in fields(cls)]

    def replace(self: C, **options: Any) -> C:
        """A copy with other values.

        Raises:
            ValueError: An unknown option, with the one that was probably meant, or a value out of
                range.
        """
        for name in options:
            if name not in self.names():
                raise unknown_option(type(self).__name__, name, self.names())
        return replace(self, **options)

    def to_dict(self) -> dict[str, Any]:
        """All options by name, nested ones as dictionaries."""
        return asdict(self)


def configure(default: C, given: C | Mapping[str, Any] | None = None, **options: Any) -> C:
    """A configuration from what a caller may give.

    Args:
        default: Where nothing else is given.
        given: Another one whole, or some of its options by name.
        **options: Options by name, over both.

    Raises:
        ValueError: An unknown option, or a configuration of another kind.
    """
    if isinstance(given, Config) and not isinstance(given, type(default)):
        raise ValueError(
            f"expected a {type(default).__name__} or some of its options (got a "
            f"{type(given).__name__})"
        )
    if isinstance(given, Config):
        return given.replace(**options)
    return default.replace(**{**(given or {}), **options})


def unknown_option(owner: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for an option that does not exist; it names the nearest that does."""
    known = list(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
    return ValueError(f"{owner} has no option {name!r}: {hint}")


def check_at_least(config: Config, least: float, *names: str) -> None:
    """Raises a ValueError that names the first option below ``least``; ``None`` passes."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not value >= least:
            rule = "not be negative" if least == 0 else f"be at least {least:g}"
            raise ValueError(f"{name!r} must {rule} (got {value})")


def check_one_of(config: Config, name: str, *values: Any) -> None:
    """Raises a ValueError where an option has none of the values that it may have."""
    if getattr(config, name) not in values:
        *first, last = (repr(value) for value in values)
        raise ValueError(
            f"{name!r} must be {', '.join(first)} or {last} (got {getattr(config, name)!r})"
        )
