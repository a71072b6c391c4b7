"""The deck of access, which has the toasts too."""

from tests.access.conftest import app as app
from tests.access.conftest import as_ as as_
from tests.access.conftest import deck as deck
