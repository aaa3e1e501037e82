"""Errors in OpenAI's format: `{"error": {"message", "type", "param", "code"}}`. Used by every route and by the edge."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from vita.errors import DependencyError, LimitError, MediaError, VitaError


class ErrorBody(BaseModel):
    """What went wrong.

    type: invalid_request_error, rate_limit_error or server_error.
    param: the field of the request that it is about.
    code: for programs.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorReply(BaseModel):
    """The body of every reply that is an error."""

    error: ErrorBody


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorReply, "description": "the request is refused"},
    "5XX": {"model": ErrorReply, "description": "the server is at fault, or full"},
}
"""For the OpenAPI document of a route."""


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status.
        message: one line: what is wrong and how to mend it.
        param: the field that it is about.
        code: for programs.
        headers: sent with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, dict(headers or {})

    @property
    def kind(self) -> str:
        """OpenAI's type of error."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    def reply(self) -> JSONResponse:
        """As it is sent."""
        return JSONResponse(self.content(), self.status, self.headers)

    def content(self) -> dict[str, Any]:
        """The body; also an event of a stream that has begun."""
        body = ErrorBody(message=str(self), type=self.kind, param=self.param, code=self.code)
        return ErrorReply(error=body).model_dump()


def as_api_error(error: Exception) -> ApiError:
    """Any error of a request; one that we did not foresee tells nothing of what it was."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DependencyError):
        return ApiError(503, str(error), code="not_available")
    if isinstance(error, VitaError):
        code = "limit_exceeded" if isinstance(error, LimitError) else None
        return ApiError(
            400, str(error), code="invalid_media" if code is None and isinstance(error, MediaError) else code
        )
    return ApiError(500, "the server failed at this request; its log has the cause", code="internal_error")


def add_error_handlers(app: FastAPI) -> None:
    """Every error that a route raises, in OpenAI's format. What is not handled here the edge catches."""

    @app.exception_handler(ApiError)
    @app.exception_handler(VitaError)
    async def told(request: Request, error: Exception) -> JSONResponse:
        return as_api_error(error).reply()

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        return _from_validation(error).reply()

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        path = re.sub(r"[^\x21-\x7e]", "?", request.url.path)[:100]
        messages = {404: f"there is no {path} here", 405: f"{request.method} is not for {path}"}
        message = messages.get(error.status_code, str(error.detail))
        return ApiError(error.status_code, message, headers=error.headers).reply()


_TAGS = {"system", "developer", "user", "assistant", "text", "image_url", "video_url", "input_audio"}


def _param(place: tuple[int | str, ...]) -> str | None:
    """The field, as "messages.0.content"; without the branches of unions, which pydantic names as well."""
    steps = [
        str(step)
        for before, step in itertools.pairwise(place)
        if re.fullmatch(r"\w{1,60}", str(step)) and step != "str" and not (isinstance(before, int) and step in _TAGS)
    ]
    return ".".join(steps) or None


def _from_validation(error: RequestValidationError) -> ApiError:
    """The deepest complaint: of a union, the branch that fits best. What was sent is not repeated."""
    first = max(error.errors(), key=lambda found: len(found["loc"]))
    if first["type"] == "json_invalid":
        return ApiError(400, "the body of the request is no valid JSON", code="invalid_json")
    param = _param(first["loc"])
    reason = re.sub(r"(Input|Value)( should)", r"it\2", first["msg"], count=1)
    return ApiError(400, f"{param or 'the body of the request'} is not valid: {reason}"[:400], param=param)
