"""Idempotency keys as Stripe honours them.

A key belongs to the endpoint of its first use. What is kept is the first reply once work began, failures among them; a
request that fails validation, authentication or the rate limit, or that meets its own twin in flight, leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass

from tollbridge.sandbox.server import Answer
from tollbridge.sandbox.stripe.errors import ParameterError, StripeError

LIFETIME = 24 * 3600.0
LONGEST = 255


@dataclass(slots=True)
class _Use:
    path: str
    params: str
    began: float
    answer: Answer | None = None

    def ended(self, now: float) -> bool:
        """Whether the reply need not be kept any longer."""
        return self.answer is not None and self.began + LIFETIME <= now


class Keys:
    """The idempotency keys of one account and mode, oldest first."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def begin(self, key: str, path: str, params: str, now: float) -> Answer | None:
        """The kept reply of an earlier use, or None: work may begin, and the key is in flight. Raises StripeError."""
        if len(key) > LONGEST:
            raise ParameterError(f"Idempotency keys can be at most {LONGEST} characters; yours has {len(key)}.")
        self._prune(now)
        use = self._uses.get(key)
        if use is None or use.ended(now):
            self._uses.pop(key, None)
            self._uses[key] = _Use(path, params, now)
            return None
        if use.path != path:
            raise _misused(f"for the same endpoint they were first used for ('{use.path}')", key)
        if use.params != params:
            raise _misused("with the same parameters they were first used with", key)
        if use.answer is None:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later."
            )
            raise StripeError(message, status=409, code="idempotency_key_in_use")
        return use.answer

    def keep(self, key: str, answer: Answer) -> None:
        """The work under this key has ended with this reply."""
        self._uses[key].answer = answer

    def _prune(self, now: float) -> None:
        """Forget the oldest; whatever an unfinished one still holds up is checked when its key comes."""
        while self._uses:
            oldest = next(iter(self._uses))
            if not self._uses[oldest].ended(now):
                return
            del self._uses[oldest]


def _misused(how: str, key: str) -> StripeError:
    message = (
        f"Keys for idempotent requests can only be used {how}. Try using a key other than '{key}' if you meant to "
        "execute a different request."
    )
    return StripeError(message, type="idempotency_error")
