import pytest
from flask import Flask

from tests.home.factories import make_app


@pytest.fixture
def app() -> Flask:
    return make_app()
