"""Typed, frozen sets of options: checked where they are made, each default in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from numbers import Integral, Real
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = [
    "Config",
    "check_at_least",
    "check_device",
    "check_finite",
    "check_one_of",
    "configure",
    "unknown_option",
]

if TYPE_CHECKING:
    import torch

C = TypeVar("C", bound="Config")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of the option sets; a field is an option, its default the only one there is.

    Raises:
        ValueError: A value of another type than the field's: a wrong number is an error where it is
            written, not where it is used. Infinity and NaN are no numbers here: an option without
            a limit is ``None``.
    """

    def __post_init__(self) -> None:
        """Checks the types; a subclass that checks more calls this first."""
        for name, hint in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not _fits(value, hint):
                raise ValueError(f"{name!r} must be {_describe(hint)} (got {value!r})")
            held = value.items() if isinstance(value, dict) else [("", value)]
            for key, number in held:
                if isinstance(number, Real) and not _finite(number):
                    of = f" of {key!r}" if key else ""
                    raise ValueError(f"{name!r} must be finite (got {number}{of})")

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


#: What a type is called in a message, and what it takes: NumPy's numbers count as numbers.
_PLAIN: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("True or False", (bool,)),
    int: ("a whole number", (Integral,)),
    float: ("a number", (Real,)),
    str: ("text", (str,)),
    type(None): ("None", (type(None),)),
}


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in _PLAIN:
        return isinstance(value, _PLAIN[hint][1]) and (hint is bool or not isinstance(value, bool))
    if hint is Any:
        return True
    kind = get_origin(hint) or hint
    if kind is dict and isinstance(value, dict) and get_args(hint):
        key, held = get_args(hint)
        return all(_fits(k, key) and _fits(v, held) for k, v in value.items())
    return not isinstance(kind, type) or isinstance(value, kind)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond what a float holds
        return False


def _describe(hint: Any) -> str:
    *first, last = _choices(hint)
    return f"{', '.join(first)} or {last}" if first else last


def _choices(hint: Any) -> list[str]:
    """What a value may be, one after the other."""
    if get_origin(hint) in (Union, UnionType):
        return [choice for part in get_args(hint) for choice in _choices(part)]
    if get_origin(hint) is Literal:
        return [repr(value) for value in get_args(hint)]
    if hint is bool:
        return ["True", "False"]
    if hint == dict[str, float]:
        return ["numbers by name"]
    return [_PLAIN[hint][0] if hint in _PLAIN else f"a {getattr(hint, '__name__', hint)}"]


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


def check_finite(**values: Any) -> None:
    """Raises a ValueError that names the first value that is infinite or NaN."""
    for name, value in values.items():
        if not _finite(value):
            raise ValueError(f"{name!r} must be finite (got {value})")


def check_one_of(config: Config, name: str, *values: Any) -> None:
    """Raises a ValueError where an option has none of the values that it may have."""
    if getattr(config, name) not in values:
        *first, last = (repr(value) for value in values)
        raise ValueError(
            f"{name!r} must be {', '.join(first)} or {last} (got {getattr(config, name)!r})"
        )


def check_device(device: Any, name: str = "device") -> torch.device:
    """A device of torch that can be used here.

    Args:
        device: What ``torch.device`` takes.
        name: Name of the argument, for the message.

    Raises:
        ValueError: There is none of this name, or torch cannot use it here.
    """
    import torch

    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{name!r} must be a device that torch has here, such as 'cpu' (got {device!r}: "
            f"{reason})"
        ) from error
    return found
