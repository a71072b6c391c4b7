"""The adapter for Bitbucket Cloud against a strict server of our own that keeps real git objects.

How requests are proven: the server holds each against a table of operations (``requests.py``) and notes
what doesn't fit; every test ends with no fault noted. ``test_document.py`` holds the table against
Bitbucket's own OpenAPI document, and the requests of a whole edit too: path, method, parameters, JSON bodies
by their schemas, form fields and scopes. ``scripts/bitbucket_openapi`` fetches a copy of it.
"""
