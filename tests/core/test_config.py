"""Settings: where they come from, and what is said when one is wrong."""

from dataclasses import fields
from pathlib import Path

import pytest

from quarterdeck.core.config import (
    Bind,
    LogFormat,
    NodeKind,
    Settings,
    SettingsError,
    load_settings,
    variable_name,
)

SECRET = "marker-secret-of-more-than-24-characters"


def load(home: Path, **environment: str) -> Settings:
    return load_settings({"QUARTERDECK_HOME": str(home), **environment})


def test_the_defaults_are_safe(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.bind, settings.worker_bind) == (Bind("127.0.0.1", 5000), Bind("127.0.0.1", 5001))
    assert (settings.debug, settings.trusted_proxies) == (False, 0)
    assert not settings.master_bearer_token
    assert settings.database == f"sqlite:///{tmp_path}/quarterdeck.db"


@pytest.mark.parametrize(
    ("alias", "value", "setting", "read"),
    [
        ("SELFSERVICE_TYPE", "WORKER", "node_type", NodeKind.WORKER),
        ("DEBUG", "True", "debug", True),
        ("MASTER_URL", "https://deck.example.org/", "master_url", "https://deck.example.org"),
        ("MASTER_BEARER_TOKEN", SECRET, "master_bearer_token", SECRET),
    ],
)
def test_the_reference_systems_names_are_accepted(
    tmp_path: Path, alias: str, value: str, setting: str, read: object
) -> None:
    assert getattr(load(tmp_path, **{alias: value}), setting) == read


def test_the_own_name_wins_over_an_alias(tmp_path: Path) -> None:
    assert load(tmp_path, DEBUG="true", QUARTERDECK_DEBUG="false").debug is False


def test_the_environment_wins_over_the_file_and_arguments_win_over_both(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.toml").write_text(
        'quarterdeck_threads = 4\nQUARTERDECK_LOG_FORMAT = "json"\nQUARTERDECK_DEBUG = true\n'
    )
    settings = load(tmp_path, QUARTERDECK_THREADS="8")
    assert (settings.threads, settings.log_format, settings.debug) == (8, LogFormat.JSON, True)
    overridden = load_settings({"QUARTERDECK_THREADS": "8"}, home=tmp_path, threads=3, debug=None)
    assert (overridden.threads, overridden.debug) == (3, True)


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    for name in ("QUARTERDECK_MASTER_BEARER_TOKEN_FILE", "MASTER_BEARER_TOKEN_FILE"):
        assert load(tmp_path, **{name: str(tmp_path / "token")}).master_bearer_token == SECRET


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MASTER_BEARER_TOKEN_FILE names /nowhere, which can't be read"):
        load(tmp_path, MASTER_BEARER_TOKEN_FILE="/nowhere")


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, MASTER_BEARER_TOKEN=SECRET, QUARTERDECK_WORKER_BEARER_TOKEN=SECRET)
    assert SECRET not in repr(settings)
    assert all(not item.repr for item in fields(Settings) if item.metadata["secret"])


@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_unknown_setting_is_named(tmp_path: Path, place: str) -> None:
    environment = {}
    if place == "file":
        (tmp_path / "quarterdeck.toml").write_text("quarterdeck_thread = 4\n")
    else:
        environment = {"QUARTERDECK_THREAD": "4"}
    with pytest.raises(SettingsError, match="QUARTERDECK_THREAD is not a setting"):
        load(tmp_path, **environment)


@pytest.mark.parametrize("line", ['bind = "127.0.0.1:5000"', "[quarterdeck]\nthreads = 4", "threads = 4"])
def test_a_name_in_the_file_that_is_no_setting_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "quarterdeck.toml").write_text(f"{line}\n")
    with pytest.raises(SettingsError, match="is not a setting"):
        load(tmp_path)


def test_other_systems_names_stand_in_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.toml").write_text('selfservice_type = "worker"\ndebug = true\n')
    settings = load(tmp_path)
    assert (settings.node_type, settings.debug) == (NodeKind.WORKER, True)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("SELFSERVICE_TYPE", "CELERY", "master or worker"),
        ("QUARTERDECK_THREADS", "0", "a whole number from 2 to 128"),
        ("QUARTERDECK_THREADS", "many", "a whole number from 2 to 128"),
        ("QUARTERDECK_THREADS", "--4", "a whole number from 2 to 128"),
        ("QUARTERDECK_DEBUG", "maybe", "true or false"),
        ("QUARTERDECK_LOG_FORMAT", "xml", "text or json"),
        ("QUARTERDECK_LOG_LEVEL", "loud", "DEBUG or INFO or WARNING or ERROR"),
        ("QUARTERDECK_BIND", "5000", "an address and port such as 127.0.0.1:5000"),
        ("QUARTERDECK_BIND", "127.0.0.1:70000", "an address and port"),
        ("QUARTERDECK_MASTER_URL", "ftp://deck", "an http or https address"),
        ("QUARTERDECK_MASTER_URL", "http://deck.example.org", "an https address"),
        ("QUARTERDECK_PUBLIC_URL", "https://deck.example.org/?x=1", "an http or https address"),
        ("QUARTERDECK_MASTER_BEARER_TOKEN", "short", "a secret of at least 24 characters"),
        ("QUARTERDECK_SESSION_HOURS", "0", "a whole number from 1 to 720"),
        ("QUARTERDECK_SESSION_DAYS", "366", "a whole number from 1 to 365"),
        ("QUARTERDECK_API_ACCESS_MINUTES", "61", "a whole number from 1 to 60"),
        ("QUARTERDECK_API_REFRESH_DAYS", "forever", "a whole number from 1 to 365"),
        ("QUARTERDECK_LINK_MINUTES", "1441", "a whole number from 1 to 1440"),
        ("QUARTERDECK_INVITATION_HOURS", "0", "a whole number from 1 to 720"),
        ("QUARTERDECK_RESET_LINK_HOURS", "169", "a whole number from 1 to 168"),
        ("QUARTERDECK_BREAK_GLASS_MINUTES", "61", "a whole number from 1 to 60"),
        ("QUARTERDECK_JOIN_CODE", "letmein", "a code as the master shows it"),
        ("QUARTERDECK_JOIN_CODE", "0000-0000-0000-0000-0000", "a code as the master shows it"),
    ],
)
def test_a_bad_value_names_the_setting_and_what_it_may_be(
    tmp_path: Path, name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, **{name: value})
    assert refused.value.message.startswith(f"{name} is not valid; it must be ")
    assert allowed in refused.value.message
    assert value not in refused.value.message.replace(allowed, "")


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.toml").write_text("threads: 4")
    with pytest.raises(SettingsError, match=r"quarterdeck\.toml can't be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "bind", "url"),
    [
        ("[::]:80", Bind("::", 80), "http://127.0.0.1:80"),
        ("[::1]:5000", Bind("::1", 5000), "http://[::1]:5000"),
        (":8080", Bind("127.0.0.1", 8080), "http://127.0.0.1:8080"),
        ("deck.example.org:5000", Bind("deck.example.org", 5000), "http://deck.example.org:5000"),
    ],
)
def test_an_address_to_listen_on(tmp_path: Path, text: str, bind: Bind, url: str) -> None:
    found = load(tmp_path, QUARTERDECK_BIND=text).bind
    assert (found, found.url) == (bind, url)


def test_every_setting_has_a_name_and_says_what_it_is() -> None:
    for item in fields(Settings):
        assert item.metadata["about"].endswith("."), item.name
        assert variable_name(item.name).isupper()


def test_a_session_can_not_last_longer_unused_than_in_all(tmp_path: Path) -> None:
    assert load(tmp_path, QUARTERDECK_SESSION_HOURS="48", QUARTERDECK_SESSION_DAYS="2").session_hours == 48
    with pytest.raises(SettingsError, match=r"QUARTERDECK_SESSION_HOURS is 49, longer than .* at most 48"):
        load(tmp_path, QUARTERDECK_SESSION_HOURS="49", QUARTERDECK_SESSION_DAYS="2")


@pytest.mark.parametrize(
    "code", ["7K3M-9QXR-2B4N-TTWZ-80AC", "7k3m9qxr2b4nttwz80ac", "7K3M 9QXR 2B4N TTWZ 80AC"]
)
def test_a_join_code_is_taken_however_it_is_written(tmp_path: Path, code: str) -> None:
    assert load(tmp_path, QUARTERDECK_JOIN_CODE=code).join_code == code
