"""Why a sign-in through a provider did not succeed: a sentence for the person, and one to record."""

from typing import ClassVar, Final

from quarterdeck.core.errors import QuarterdeckError

UNREACHABLE: Final = "{label} can't be reached or does not answer as it should. Try again in a few minutes."
UNTRUSTED: Final = (
    "What {label} answered can't be trusted, so nobody was signed in. Try again; if it happens again, "
    "give the incident id to an administrator."
)
STALE: Final = "This sign-in is too old, was used already, or began in another browser. Begin again."


class Fault(Exception):
    """What a provider or browser did wrong; ``reason`` goes into the history and holds no secret."""

    def __init__(self, reason: str, message: str = UNTRUSTED) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


class SignInRefused(QuarterdeckError):
    """A sign-in that ended without a session; ``label`` names the provider."""

    status: ClassVar[int] = 400
    title = "You are not signed in"

    def __init__(self, message: str, label: str) -> None:
        super().__init__(message)
        self.label = label
