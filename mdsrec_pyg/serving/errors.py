"""Every error as ``{"error": {"argument": ..., "message": ...}}``, whoever found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mdsrec_pyg.showing import showable

__all__ = ["ServiceError", "add_error_handlers", "error_response", "shown"]

#: What pydantic calls its rules, and how they are said here; ``{}`` takes values of its context.
_RULES = {
    "missing": "must be given",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must hold at most {max_length} items",
    "too_short": "must hold at least {min_length} items",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_type": "must be text",
    "string_unicode": "must be text in UTF-8",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
}
_MOST_SHOWN = 80


class ServiceError(Exception):
    """A request that is not answered.

    Args:
        status: Of HTTP.
        message: What was expected and what was given.
        argument: Name of the argument that is at fault, if one is.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        argument: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.argument = status, message, argument
        self.headers = dict(headers or {})

    @classmethod
    def busy(cls, message: str) -> ServiceError:
        """A request that may be tried again."""
        return cls(503, message, headers={"Retry-After": "1"})

    def response(self) -> JSONResponse:
        """What is sent."""
        return error_response(self.status, self.message, self.argument, self.headers)


def error_response(
    status: int,
    message: str,
    argument: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error as it is sent."""
    name = None if argument is None else shown_text(showable(argument))
    content = {"error": {"argument": name, "message": message}}
    return JSONResponse(content, status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Makes all errors of an app, FastAPI's own too, have the one form."""

    @app.exception_handler(ServiceError)
    async def of_service(request: Request, error: ServiceError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        message = _http_message(request, error)
        return error_response(error.status_code, message, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def of_arguments(request: Request, error: RequestValidationError) -> JSONResponse:
        status, message, argument = _described(error.errors(), request)
        return error_response(status, message, argument)


def _http_message(request: Request, error: HTTPException) -> str:
    where = f"{request.method} {shown_text(showable(request.url.path))}"
    if error.status_code == HTTPStatus.NOT_FOUND and error.detail == "Not Found":
        return f"there is no {where}: see /openapi.json"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"there is no {where}: the path has {_allowed(error)}"
    if error.status_code == HTTPStatus.BAD_REQUEST:  # what its parser raised
        return "the body must be JSON (it could not be read)"
    return str(error.detail)


def _allowed(error: HTTPException) -> str:
    return next(
        (v for name, v in (error.headers or {}).items() if name.lower() == "allow"), "others"
    )


def _described(errors: Sequence[Any], request: Request) -> tuple[int, str, str | None]:
    """Status, message and argument of the first mistake."""
    # Of a union each part is found wrong: the first tells of all.
    first = errors[0]
    kind, place = first["type"], first["loc"]
    if kind == "json_invalid":
        reason = first.get("ctx", {}).get("error", "not JSON")
        return 400, f"the body must be JSON ({reason} at character {place[-1]})", None
    names = [part for part in place[1:] if isinstance(part, (str, int))]
    argument = str(names[0]) if names else None
    if not _is_json(request) and place[0] == "body":
        given = request.headers.get("content-type")
        return 415, f"'Content-Type' must be application/json (got {shown(given)})", None
    if argument is None:
        expected = "a JSON object" if place[0] == "body" else "given"
        return 422, f"the {place[0]} must be {expected} (got {shown(first.get('input'))})", None
    if kind == "extra_forbidden":
        return 422, _unknown(argument, request), argument
    where = shown(argument) + "".join(f"[{part}]" for part in names[1:] if isinstance(part, int))
    rule = _rule(first, [error["type"] for error in errors if error["loc"][:2] == place[:2]])
    given = "" if kind == "missing" else f" (got {shown(first.get('input'))})"
    return 422, f"{where} {rule}{given}", argument


def _rule(error: Mapping[str, Any], kinds: Sequence[str]) -> str:
    if {"string_type", "int_type"} <= set(kinds):
        return "must be text or a whole number"
    rule = _RULES.get(error["type"])
    if rule is None:
        said = str(error["msg"]).removeprefix("Value error, ")
        return said[:1].lower() + said[1:]
    return rule.format(**error.get("ctx", {}))


def _unknown(argument: str, request: Request) -> str:
    route: Any = request.scope.get("route")
    field = None if route is None else route.body_field
    known: list[str] = []
    if field is not None:
        known = list(field.field_info.annotation.model_fields)
    elif route is not None:
        for part in route.dependant.query_params:
            own = getattr(part.field_info.annotation, "model_fields", None)
            known += [part.name] if own is None else list(own)
    near = get_close_matches(argument, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{shown(argument)} is no argument: {hint}"


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"


def shown(value: Any) -> str:
    """A value of a request as messages show it: never more than a line of it."""
    if isinstance(value, (dict, list)):
        what = "an object" if isinstance(value, dict) else "a list"
        return f"{what} of {len(value)}"
    if isinstance(value, str):
        return repr(shown_text(value))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)[:_MOST_SHOWN]


def shown_text(text: str) -> str:
    """A text of a request, cut."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
