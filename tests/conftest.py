"""Fixtures that tests of several folders use."""

from tests.sshd import ssh_keys as ssh_keys
from tests.sshd import sshd as sshd
