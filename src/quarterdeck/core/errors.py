"""Every error that Quarterdeck raises on purpose.

QuarterdeckError
├── Invalid          422  the input is wrong, field by field
├── Unauthenticated  401  nobody is signed in, or the token is not good
├── Forbidden        403  signed in, but not allowed
├── NotFound         404  absent, or hidden from this actor
├── Conflict         409  it clashes with what is there or under way
├── TooLarge         413  the body is over the limit
├── Limited          429  too much of something; carries the seconds to wait
├── Unreachable      502  another machine did not answer as it should
└── Busy             503  this node can't do it now, and says why

A message is fit for the screen and says what to do next; the cause stays chained for the log.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class QuarterdeckError(Exception):
    """The root; ``message`` is shown to people, ``extra`` joins the problem document."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, message: str, **extra: Any) -> None:  # Any: members of a problem document
        super().__init__(message)
        self.message = message
        self.extra = extra


class Invalid(QuarterdeckError):
    """Input that can't be accepted; ``fields`` maps a field's name to what is wrong with it."""

    status = 422
    title = "That can't be accepted"

    def __init__(self, fields: Mapping[str, str], message: str | None = None) -> None:
        super().__init__(message or "; ".join(fields.values()))
        self.fields = dict(fields)


class Unauthenticated(QuarterdeckError):
    status = 401
    title = "Sign in first"


class Forbidden(QuarterdeckError):
    status = 403
    title = "Not allowed"


class NotFound(QuarterdeckError):
    status = 404
    title = "Not found"


class Conflict(QuarterdeckError):
    status = 409
    title = "That clashes with something"


class TooLarge(QuarterdeckError):
    status = 413
    title = "Too large"


class Limited(QuarterdeckError):
    """Too much of something; ``cause`` says of what, ``retry_after`` when to come back, in whole seconds."""

    status = 429
    title = "Too many requests"

    def __init__(self, cause: str, *, retry_after: int) -> None:
        super().__init__(f"{cause}{self.advice(retry_after)}", retry_after=retry_after)
        self.retry_after = retry_after

    @staticmethod
    def advice(retry_after: int) -> str:
        """Return how each message ends."""
        return f" Wait {retry_after} s, then try again."


class Unreachable(QuarterdeckError):
    status = 502
    title = "The other side did not answer"


class Busy(QuarterdeckError):
    status = 503
    title = "Not possible right now"
