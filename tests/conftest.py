"""Fixtures that tests of several folders use."""

from collections.abc import AsyncIterator, Iterator

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from quarterdeck.hosts.ssh import SshPool
from tests.sshd import SshKeys, SshServer
from tests.sshd import ssh_keys as ssh_keys
from tests.sshd import sshd as sshd


class CompiledTemplates(BytecodeCache):
    """Templates as Python code, so that the apps of thousands of tests don't compile the same ones anew."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get(bucket.key):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


def pytest_configure() -> None:
    Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first: else one process ends with it alone, and the others are idle."""
    items.sort(key=lambda item: "/end_to_end/" not in item.nodeid)


@pytest.fixture(scope="session")
def ssh_servers(ssh_keys: SshKeys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SshServer]]:
    """Four sshd on 52 addresses (one takes 16 at most), for the tests that leave them as they were."""
    servers = [
        SshServer(
            tmp_path_factory.mktemp("sshd"),
            ssh_keys,
            tuple(f"127.0.{number}.{last}" for last in range(1, 14)),
        )
        for number in range(4)
    ]
    yield [server.start() for server in servers]
    for server in servers:
        server.vanish()


@pytest.fixture(scope="session")
def ssh_server(ssh_servers: list[SshServer]) -> SshServer:
    """The first of them."""
    return ssh_servers[0]


@pytest.fixture
async def pool() -> AsyncIterator[SshPool]:
    pool = SshPool()
    yield pool
    await pool.close()
