"""JSON bodies: an object, sent as JSON. Everything else is refused before it is looked at."""

from typing import Any

from flask import Request

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
