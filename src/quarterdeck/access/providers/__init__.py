"""Sign-in through identity providers: OpenID Connect and GitHub.

Nothing that a provider or a browser sends is believed before it is checked, and whatever goes wrong
on the way ends in one place (``service``): an error page, a record, and no session.
"""
