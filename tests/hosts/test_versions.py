"""A worker of another version than the master's: it is well, and list, page and API say which is behind."""

from collections.abc import Callable

import pytest

from quarterdeck import __version__
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.hosts.probing import verdict
from tests.hosts.factories import ADA, TOKEN, Api, Browser, Node


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.0.9", f"Older than the master: 0.0.9. The master runs {__version__}; update the worker."),
        ("99.0.10", f"Newer than the master: 99.0.10. The master runs {__version__}; update the master."),
        ("<b>x</b>", f"Older than the master: <b>x</b>. The master runs {__version__}; update the worker."),
        (__version__, ""),
    ],
)
def test_the_two_versions_are_told_when_they_differ(version: str, words: str) -> None:
    assert verdict(version) == (words, version)


def test_list_page_and_api_say_so(
    node: Node, as_: Callable[[str], Browser], api_as: Callable[[str], Api]
) -> None:
    draft = HostDraft("w1", HostKind.WORKER, "http://127.0.0.1:1", secrets={"token": TOKEN})
    host = node.hosts.register(ADA, draft)
    node.hosts.note_contact(host.id, HostState.WELL, *verdict("0.0.9"))
    for path in ("/hosts", "/hosts/w1"):
        page = as_("vera").get(path).text
        assert "Older than the master: 0.0.9" in page
        assert '<span class="mono">0.0.9</span>' in page or '<dd class="mono">0.0.9</dd>' in page
    answer = api_as("vera")("GET", "/hosts/w1").get_json()
    assert (answer["version"], answer["state_reason"][:21]) == ("0.0.9", "Older than the master")
