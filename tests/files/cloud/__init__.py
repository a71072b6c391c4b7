"""The adapter for Bitbucket Cloud against a strict server of our own that keeps real git objects.

How requests are proven: the server holds each against a table of operations (``requests.py``) and notes
what doesn't fit; every test ends with no fault noted. The table was compared by hand with Bitbucket's OpenAPI
document. When ``BITBUCKET_OPENAPI`` names a copy of that document, ``test_document.py`` holds the table and
the requests of a whole edit against it too: path, method, parameters, JSON bodies by their schemas, form
fields and scopes.
"""
