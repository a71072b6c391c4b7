"""JSON bodies: an object, sent as JSON. Everything else is refused before it is looked at."""

import json
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from quarterdeck.core.errors import Invalid


class JsonRequest(Request):
    """The request of an app whose API takes JSON objects only."""

    def get_json(
        self, force: bool = False, silent: bool = False, cache: bool = True
    ) -> Any:  # Any: as Flask declares it
        """Return the body's object; raises Invalid for other JSON.

        ``force`` is not honoured, whoever asks for it: a form of another site can send text that reads as
        JSON, but not with the content type of JSON.
        """
        try:
            content = super().get_json(force=False, silent=silent, cache=cache)
        except RecursionError as error:
            raise Invalid({"form": "This JSON is nested too deeply."}) from error
        if not isinstance(content, dict):
            raise Invalid({"form": "Send a JSON object."})
        return content

    def on_json_loading_failed(self, e: ValueError | None) -> NoReturn:
        """Say what is wrong with the body; the framework's own words don't."""
        if e is None:
            raise UnsupportedMediaType("Send a JSON object, with Content-Type: application/json.")
        where = f" in line {e.lineno}, column {e.colno}" if isinstance(e, json.JSONDecodeError) else ""
        raise BadRequest(f"This is not valid JSON{where}.") from e
