"""Tasks by the JSON API on an SSH host, a worker and the master, all of them real."""

import concurrent.futures

import httpx

from tests.deck import Deck, wait_until
from tests.sshd import SshServer

HOSTS = ["web1", "worker", "master"]


def test_a_command_runs_on_an_ssh_host_a_worker_and_the_master(deck: Deck) -> None:
    run = deck.run(task={"kind": "command", "command": "echo out; echo err >&2; exit 3"}, hosts=HOSTS)
    assert run["state"] == "failed"
    assert {host["name"]: host["exit_status"] for host in run["hosts"]} == dict.fromkeys(HOSTS, 3)
    for name in HOSTS:
        assert output(deck, run["id"], name, "out") == b"out\n"
        assert output(deck, run["id"], name, "err") == b"err\n"


def test_builtin_tasks_run_on_the_worker_and_the_master(deck: Deck) -> None:
    for name in ("root-folders", "disk-use", "uptime", "top-memory"):
        task = {"kind": "builtin", "name": name}
        run = deck.run(task=task, hosts=["worker", "master"], force=True, reason="others run it too")
        assert run["state"] == "succeeded", run
        assert output(deck, run["id"], "worker", "out").strip()


def test_a_tag_stands_for_its_hosts(deck: Deck) -> None:
    run = deck.run(task={"kind": "command", "command": "echo by tag"}, tags=["web"])
    assert [host["name"] for host in run["hosts"]] == ["web1"]


def test_a_call_of_a_registered_base_gives_status_headers_body_and_time(deck: Deck, own_base: str) -> None:
    run = deck.run(task={"kind": "call", "method": "GET", "url": f"{own_base}/api/v1/me"})
    assert run["state"] == "succeeded", run
    details = run["hosts"][0]["details"]
    assert details["status"] == 200
    assert details["headers"]["content-type"] == "application/json"
    assert details["elapsed_ms"] > 0
    assert b'"ada/admin token"' in output(deck, run["id"], run["hosts"][0]["name"], "out")


def test_a_call_elsewhere_is_refused_before_any_connection(deck: Deck) -> None:
    for url in (
        "http://169.254.169.254/latest",
        "https://example.org/",
        "file:///etc/passwd",
        "-oProxyCommand=x",
    ):
        answer = deck.api(
            "POST", "/api/v1/runs", json={"task": {"kind": "call", "method": "GET", "url": url}}
        )
        assert answer.status_code == 422, url


def test_output_is_read_by_byte_range(deck: Deck) -> None:
    run = deck.run(task={"kind": "command", "command": "seq 1000"}, hosts=["worker"])
    whole = output(deck, run["id"], "worker", "out")
    assert whole == "".join(f"{number}\n" for number in range(1, 1001)).encode()
    path = f"/api/v1/runs/{run['id']}/output?host=worker&stream=out"
    assert deck.api("GET", f"{path}&from=3000").content == whole[3000:]
    ranged = deck.api("GET", path, headers={"Range": "bytes=10-19"})
    assert (ranged.status_code, ranged.content) == (206, whole[10:20])


def test_the_same_again_is_answered_with_the_running_one(deck: Deck) -> None:
    body = {"task": {"kind": "command", "command": "sleep 5; echo once"}, "hosts": ["master"]}
    first = deck.api("POST", "/api/v1/runs", json=body)
    second = deck.api("POST", "/api/v1/runs", json=body)
    assert second.status_code == 409
    assert second.json()["duplicate_of"] == first.json()["id"]
    assert deck.api("POST", "/api/v1/runs", json={**body, "force": True}).status_code == 422
    forced = deck.api("POST", "/api/v1/runs", json={**body, "force": True, "reason": "a test of it"})
    assert forced.status_code == 201
    for run in (first.json(), forced.json()):
        assert deck.api("POST", f"/api/v1/runs/{run['id']}/cancel").status_code == 202
        ended = deck.api("GET", f"/api/v1/runs/{run['id']}?wait=20").json()
        assert ended["state"] == "cancelled"
        assert ended["hosts"][0]["gone"] is True


def test_thirty_commands_at_once_to_one_host_give_exactly_their_own_output(deck: Deck) -> None:
    def one(number: int) -> bytes:
        command = f"for i in 1 2 3 4 5; do echo line-{number}-$i; done"
        run = deck.run(task={"kind": "command", "command": command}, hosts=["web1"])
        assert run["state"] == "succeeded", run
        return output(deck, run["id"], "web1", "out")

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        outputs = list(pool.map(one, range(30)))
    for number, text in enumerate(outputs):
        assert text == "".join(f"line-{number}-{i}\n" for i in range(1, 6)).encode()


def test_one_command_on_fifty_hosts_gives_each_its_own_output(
    deck: Deck, ssh_servers: list[SshServer]
) -> None:
    addresses = {}
    for server in ssh_servers:
        for address in server.addresses:
            name = f"many-{address}"
            addresses[name] = address
            deck.add_ssh_host(server, name, address=address, tags=["many"])
    run = deck.run(task={"kind": "command", "command": "echo $SSH_CONNECTION"}, tags=["many"])
    assert run["state"] == "succeeded", run
    assert len(addresses) > 50
    for name, address in addresses.items():
        assert output(deck, run["id"], name, "out").split()[2] == address.encode()


def test_the_worker_hands_a_task_to_the_master_and_both_record_it(deck: Deck) -> None:
    bearer = next(deck.home.rglob("worker/keys/master-token")).read_text().strip()
    answer = httpx.post(
        f"http://127.0.0.1:{deck.worker_port}/process_task",
        headers={"Authorization": f"Bearer {bearer}"},
        json={"task": {"kind": "builtin", "name": "root-folders"}, "target": "master", "wait_seconds": 10},
        timeout=20,
    )
    assert answer.status_code in (200, 202), answer.text
    on_master = deck.api("GET", "/api/v1/history?actor=node:worker").json()["entries"]
    on_worker = deck.api("GET", "/api/v1/history?node=worker").json()["entries"]
    assert any(entry["action"] == "task.run" for entry in on_master)
    assert any("hand" in entry["action"] for entry in on_worker)


def test_a_long_task_asked_of_the_worker_is_answered_at_once_and_reported_to_the_master(deck: Deck) -> None:
    bearer = (deck.home / "worker" / "keys" / "master-token").read_text().strip()
    answer = httpx.post(
        f"http://127.0.0.1:{deck.worker_port}/process_task",
        headers={"Authorization": f"Bearer {bearer}"},
        json={"task": {"kind": "command", "command": "sleep 0.5; exit 2"}, "wait_seconds": 0},
        timeout=20,
    )
    assert answer.status_code == 202, answer.text
    path = f"/api/v1/history?object=order:{answer.json()['id']}"
    wait_until(lambda: bool(deck.api("GET", path).json()["entries"]), "the report")
    (entry,) = deck.api("GET", path).json()["entries"]
    assert (entry["actor"], entry["action"]) == ("node:worker", "task.late-result")
    assert entry["detail"]["exit_status"] == 2


def test_run_on_the_command_line_streams_output_and_ends_with_the_remote_status(deck: Deck) -> None:
    done = deck.cli("run", "--host", "web1", "--", "echo hello; exit 7", check=False)
    assert (done.stdout, done.returncode) == ("hello\n", 7)


def output(deck: Deck, run_id: str, host: str, stream: str) -> bytes:
    answer = deck.api("GET", f"/api/v1/runs/{run_id}/output?host={host}&stream={stream}")
    assert answer.status_code == 200, answer.text
    return answer.content
