"""Samples over a stop and a start of a real master: what was taken down before is there afterwards."""

from pathlib import Path

from tests.deck import Deck, running_deck, wait_until


def test_samples_outlive_an_orderly_end(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home", QUARTERDECK_SAMPLE_SECONDS="1") as deck:
        wait_until(lambda: all(len(kept(deck, host)) > 2 for host in ("master", "worker")), "samples", 60)
        before = {host: min(kept(deck, host)) for host in ("master", "worker")}
        assert deck.stop(20) == 0
        deck.start()
        for host, first in before.items():
            assert kept(deck, host), f"samples of {host}"
            assert min(kept(deck, host)) <= first + 15, f"the first of {host}, or the step that it is in"


def kept(deck: Deck, host: str) -> list[float]:
    """Return when there are samples of a host's memory."""
    found = deck.api("GET", f"/api/v1/hosts/{host}/samples?figure=memory&range=10m").json()
    values = found["figures"]["memory"]["mean"]
    return [at for at, value in zip(found["times"], values, strict=True) if value is not None]
