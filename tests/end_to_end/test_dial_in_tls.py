"""A worker that dials a master behind TLS: verified as usual, or against one pinned certificate."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import TlsProxy, make_certificate, tls_proxy
from tests.deck import Deck, running_deck, wait_until
from tests.dialling import DiallingWorker, Started, entries, invite, state
from tests.end_to_end.test_dial_in import numbers, output, run_of, start_run


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        yield deck


@pytest.fixture
def proxy(deck: Deck, tmp_path: Path) -> Iterator[TlsProxy]:
    with tls_proxy(deck.port, make_certificate(tmp_path / "deck.pem")) as proxy:
        yield proxy


def joining(deck: Deck, proxy: TlsProxy, home: Path, name: str, pin: str) -> DiallingWorker:
    code = invite(deck, name)["code"]
    return DiallingWorker(home, proxy.url, code, **({"QUARTERDECK_MASTER_PIN": pin} if pin else {}))


def test_worker_with_the_right_pin_joins_and_dials(deck: Deck, proxy: TlsProxy, tmp_path: Path) -> None:
    with Started() as started:
        pin = f"SHA256:{proxy.certificate.fingerprint}"
        started.worker(joining(deck, proxy, tmp_path / "w", "pinned", pin)).start()
        wait_until(lambda: state(deck, "pinned") == "well", "the worker to dial in", 30)


def cut_once(deck: Deck, proxy: TlsProxy, run_id: str, name: str) -> None:
    """Wait for more output, cut all connections, and wait for the next line."""
    size, lines = len(output(deck, run_id, name)), len(entries(deck, "host.line_up", name))
    wait_until(lambda: len(output(deck, run_id, name)) > size, "more output", 40)
    proxy.show(proxy.certificate)
    wait_until(lambda: len(entries(deck, "host.line_up", name)) == lines + 1, "a new line", 40)


def test_line_cut_again_and_again_in_the_middle_of_output_loses_and_doubles_nothing(
    deck: Deck, proxy: TlsProxy, tmp_path: Path
) -> None:
    name, stop, rounds = f"cut-{secrets.token_hex(4)}", tmp_path / "stop", tmp_path / "rounds"
    with Started() as started:
        worker = started.worker(joining(deck, proxy, tmp_path / "w", name, proxy.certificate.fingerprint))
        worker.start()
        wait_until(lambda: state(deck, name) == "well", "the worker to dial in", 30)
        print_ = f"seq 1 2000; seq 1 100 >&2; echo >> {rounds}; sleep 0.1"
        run_id = start_run(deck, f"until [ -e {stop} ]; do {print_}; done", name)
        for _ in range(4):
            cut_once(deck, proxy, run_id, name)
        stop.touch()
        ended = run_of(deck, run_id, 60)
        assert ended["state"] == "succeeded", ended
        count = len(rounds.read_text())
        assert output(deck, run_id, name) == numbers(2000) * count
        assert output(deck, run_id, name, "err") == numbers(100) * count


@pytest.mark.parametrize(("pin", "said"), [("ab" * 32, "not the pinned one"), ("", "not accepted")])
def test_worker_that_meets_another_certificate_stops_before_it_sends_anything(
    deck: Deck, proxy: TlsProxy, tmp_path: Path, pin: str, said: str
) -> None:
    worker = joining(deck, proxy, tmp_path / "w", f"stopped-{len(pin)}", pin)
    worker.start()
    wait_until(lambda: worker.has_ended, "the worker to end")
    assert said in worker.log()
    assert bytes(proxy.received) == b""


def test_certificate_that_changes_later_stops_the_line_until_the_pinned_one_is_back(
    deck: Deck, proxy: TlsProxy, tmp_path: Path
) -> None:
    with Started() as started:
        worker = started.worker(
            joining(deck, proxy, tmp_path / "w", "swapped", proxy.certificate.fingerprint)
        )
        worker.start()
        wait_until(lambda: state(deck, "swapped") == "well", "the worker to dial in", 30)
        right = proxy.certificate
        proxy.show(make_certificate(tmp_path / "other.pem"))
        proxy.received.clear()
        wait_until(lambda: bool(worker.acted("line.refused")), "the worker to see it", 30)
        assert "not the pinned one" in worker.acted("line.refused")[0]["detail"]["reason"]
        assert bytes(proxy.received) == b""
        proxy.show(right)
        wait_until(lambda: len(entries(deck, "host.line_up", "swapped")) == 2, "the line to be back", 75)
