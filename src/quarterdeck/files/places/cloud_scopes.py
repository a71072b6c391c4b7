"""The names of Bitbucket Cloud's scopes, which differ between the kinds of token."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a token must have been given, in words that its owner finds on the page of tokens."""

    read: str
    write: str
    branch: str
    see_proposals: str
    propose: str

    @staticmethod
    def of(username: str) -> "Scopes":
        """Return the names for a person's API token (used with an e-mail address) or for an access token."""
        return API_TOKEN if username else ACCESS_TOKEN


# an API token's scope to write does not include the one to read
API_TOKEN = Scopes(
    read="the scope read:repository:bitbucket",
    write="the scope write:repository:bitbucket and the right to write",
    branch="the scopes read:repository:bitbucket and write:repository:bitbucket, and the right to write",
    see_proposals="the scope read:pullrequest:bitbucket",
    propose="the scopes read:pullrequest:bitbucket and write:pullrequest:bitbucket",
)
ACCESS_TOKEN = Scopes(
    read="the scope repository",
    write="the scope repository:write",
    branch="the scope repository:write",
    see_proposals="the scope pullrequest",
    propose="the scope pullrequest:write",
)
