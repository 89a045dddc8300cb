"""Stripe's error object and the refusals that several endpoints share. Codes and wording follow Stripe's public API."""

from __future__ import annotations

from typing import Any


class StripeError(Exception):
    """An error reply: HTTP status, type, code, message and the parameter it is about."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.type, self.code, self.message, self.param = status, type, code, message, param

    def body(self) -> dict[str, Any]:
        """The JSON that Stripe answers."""
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = "https://stripe.com/docs/error-codes/" + self.code.replace("_", "-")
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


class ParameterError(StripeError):
    """A parameter that fails validation: no work began, so nothing is kept under an idempotency key."""


def no_such(noun: str, id: str, param: str | None = None) -> StripeError:
    """The object does not exist: 404 where the path names it, 400 where a parameter does."""
    status, named = (404, "id") if param is None else (400, param)
    return StripeError(f"No such {noun}: '{id}'", status=status, code="resource_missing", param=named)


def not_editable(message: str) -> StripeError:
    """A finalised invoice refuses the change."""
    return StripeError(message, code="invoice_not_editable")


def missing(param: str) -> StripeError:
    """A parameter that this combination of others needs."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)
