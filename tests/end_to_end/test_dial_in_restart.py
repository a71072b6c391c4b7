"""The master of workers that dial in is killed in the middle: they come back, nothing is lost or twice."""

from pathlib import Path

from tests.deck import running_deck, wait_until
from tests.dialling import Started, entries, join, state
from tests.end_to_end.test_dial_in import numbers, output, run_of, start_run

WORKERS = 4


def test_master_killed_in_the_middle_takes_the_runs_up_again(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck, Started() as started:
        names = [f"far-{number}" for number in range(WORKERS)]
        for name in names:
            started.worker(join(deck, tmp_path / name, name))
        runs = {
            name: start_run(deck, "for i in $(seq 1 400); do echo $i; echo e$i >&2; sleep 0.05; done", name)
            for name in names
        }
        wait_until(lambda: all(len(output(deck, runs[name], name)) > 50 for name in names), "output to come")
        deck.kill()
        deck.start()
        wait_until(lambda: all(state(deck, name) == "well" for name in names), "all to be back", 30)
        for name in names:
            ended = run_of(deck, runs[name], 60)
            assert ended["state"] == "succeeded", ended
            assert output(deck, runs[name], name) == numbers(400)
            assert output(deck, runs[name], name, "err") == b"".join(
                b"e%d\n" % number for number in range(1, 401)
            )
        assert len(entries(deck, "host.line_up")) == 2 * WORKERS
        verified = deck.cli("history", "verify", "--with-workers", check=False)
        assert verified.returncode == 0, verified.stdout


def test_workers_are_back_within_half_a_minute_of_a_master_that_was_away_for_long(tmp_path: Path) -> None:
    with running_deck(tmp_path / "home") as deck, Started() as started:
        worker = started.worker(join(deck, tmp_path / "far", "far"))
        run_id = start_run(deck, "for i in $(seq 1 50); do echo $i; sleep 0.1; done", "far")
        wait_until(lambda: run_of(deck, run_id)["state"] == "running", "the run to begin")
        deck.kill()
        asked = deck.cli("host", "test", "far", check=False)
        assert "the master that it dials does not run" in asked.stdout, asked
        wait_until(lambda: worker.log().count("still no line") >= 3, "some tries in vain", 90)
        deck.start()
        wait_until(lambda: len(entries(deck, "host.line_up", "far")) == 2, "the worker to be back", 30)
        assert run_of(deck, run_id, 30)["state"] == "succeeded"
        assert output(deck, run_id, "far") == numbers(50)
        assert len(worker.acted("line.cut")) == 1, "only changes are on record"
