"""Identity providers in the settings: tables, variables, aliases, and what is said when one is wrong."""

from pathlib import Path

import pytest

from quarterdeck.core.actors import Role
from quarterdeck.core.config import Settings, SettingsError, environment_of, load_settings
from quarterdeck.core.identity_values import ProviderKind

SECRET = "q7-the-registered-one-of-xyz"
OTHER = "0f3b9c-github-made-this-one-71"
TABLES = """
[identity.company]
kind = "oidc"
issuer = "https://id.example.org/realms/main/"
client_id = "quarterdeck"
client_secret_file = "{secret}"
label = "Example & Sons"
scopes = ["openid", "profile", "groups"]
groups_claim = "roles"
required_group = "deck-users"
default_role = "viewer"
role_rules = {{ administrator = ["admins"], operator = ["ops", "sre"] }}
group_rules = {{ oncall = ["sre"] }}

[identity.github]
kind = "github"
client_id = "Iv1.deck"
client_secret = "0f3b9c-github-made-this-one-71"
"""


def load(home: Path, **environment: str) -> Settings:
    return load_settings({"QUARTERDECK_HOME": str(home), **environment})


@pytest.fixture
def with_tables(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "quarterdeck.toml").write_text(
        "quarterdeck_threads = 4\n" + TABLES.format(secret=tmp_path / "secret")
    )
    return tmp_path


def test_there_are_none_by_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.identity == ()
    assert settings.local_sign_in


def test_tables_of_the_file_are_providers(with_tables: Path) -> None:
    settings = load(with_tables)
    company, github = settings.identity
    assert settings.threads == 4
    assert company.issuer == "https://id.example.org/realms/main/"  # as it stands, the last slash too
    assert (company.name, company.label, company.client_secret) == (
        "company",
        "Example & Sons",
        SECRET,
    )
    assert company.scopes == ("openid", "profile", "groups")
    assert (company.groups_claim, company.required_group) == ("roles", "deck-users")
    assert company.default_role is Role.VIEWER
    assert company.role_rules == (("administrator", ("admins",)), ("operator", ("ops", "sre")))
    assert company.group_rules == (("oncall", ("sre",)),)
    assert company.given_by[:2] == ("identity.company.client_id", "identity.company.client_secret_file")
    assert (github.kind, github.label, github.issuer) == (ProviderKind.GITHUB, "GitHub", "https://github.com")
    assert github.scopes == ("read:user",)


def test_variables_say_the_same_and_win_over_tables(with_tables: Path) -> None:
    settings = load(
        with_tables,
        QUARTERDECK_IDENTITY_COMPANY_LABEL="Other",
        QUARTERDECK_IDENTITY_COMPANY_ROLE_RULES="operator=ops, sre; viewer=staff",
        QUARTERDECK_IDENTITY_SECOND_ISSUER="http://127.0.0.1:9000",
        QUARTERDECK_IDENTITY_SECOND_CLIENT_ID="deck",
        QUARTERDECK_IDENTITY_SECOND_CLIENT_SECRET_FILE=str(with_tables / "secret"),
        QUARTERDECK_IDENTITY_SECOND_SCOPES="openid email",
        QUARTERDECK_IDENTITY_GITHUB_REQUIRED_GROUP="example/ops",
    )
    company, github, second = settings.identity
    assert (company.label, company.client_secret) == ("Other", SECRET)
    assert company.role_rules == (("operator", ("ops", "sre")), ("viewer", ("staff",)))
    assert github.scopes == ("read:user", "read:org")
    assert (second.label, second.client_secret, second.scopes) == (
        "Second",
        SECRET,
        ("openid", "email"),
    )


def test_a_variable_takes_the_place_of_a_file_of_the_table(with_tables: Path) -> None:
    settings = load(with_tables, QUARTERDECK_IDENTITY_COMPANY_CLIENT_SECRET="newer-and-as-long-as-needed-9")
    assert settings.identity[0].client_secret == "newer-and-as-long-as-needed-9"


def test_the_reference_systems_names_make_providers(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    openid_only = {
        "SDB_OPENID_ISSUER_URL": "https://id.example.org",
        "SDB_OPENID_CLIENT_ID": '"123"',
        "SDB_OPENID_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        "SDB_OPENID_REQUIRED_GROUP": "/status-admins",
    }
    (openid,) = load(tmp_path, **openid_only).identity
    assert (openid.name, openid.label, openid.client_id) == ("openid", "OpenID", "123")
    assert (openid.client_secret, openid.required_group) == (SECRET, "/status-admins")
    both = load(
        tmp_path,
        **openid_only,
        SDB_GITHUB_CLIENT_ID="a",
        SDB_GITHUB_CLIENT_SECRET=OTHER,
    ).identity
    assert [each.name for each in both] == ["github", "openid"]
    assert load(tmp_path, SDB_GITHUB_CLIENT_ID="a").identity == ()


def test_no_secret_is_shown(with_tables: Path) -> None:
    assert SECRET not in repr(load(with_tables))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ISSUER": "https://id.example.org"}, r"identity\.x\.client_id is needed for the kind oidc"),
        ({"CLIENT_ID": "a"}, r"identity\.x\.issuer is needed for the kind oidc"),
        ({"KIND": "github", "CLIENT_ID": "a"}, r"identity\.x\.client_secret is needed for the kind github"),
        ({"KIND": "saml"}, "QUARTERDECK_IDENTITY_X_KIND is not valid; it must be oidc or github"),
        ({"ISSUER": "http://id.example.org"}, "X_ISSUER is not valid; it must be an https address"),
        ({"ISSUER": "https://id.example.org?a=b"}, "X_ISSUER is not valid; it must be an http or https"),
        ({"ISSUER": "id.example.org"}, "X_ISSUER is not valid"),
        ({"COLOUR": "red"}, "X_COLOUR is not a setting of a provider; use kind, label, issuer"),
        ({"DEFAULT_ROLE": "root"}, "X_DEFAULT_ROLE is not valid; it must be none or viewer or operator"),
        ({"ROLE_RULES": "root=a"}, "X_ROLE_RULES is not valid; it must be rules that give viewer, operator"),
        ({"ROLE_RULES": "operator"}, "X_ROLE_RULES is not valid; it must be rules"),
        ({"GROUP_RULES": "=a"}, "X_GROUP_RULES is not valid; it must be rules that give groups"),
        ({"SCOPES": "profile", "ISSUER": "https://a.b", "CLIENT_ID": "a"}, "scopes must include openid"),
        ({"LABEL": "x" * 41}, "X_LABEL is not valid; it must be a text of 1 to 40 characters"),
        ({"LABEL": "a\nb"}, "X_LABEL is not valid"),
        ({"CLIENT_SECRET_FILE": "/nowhere"}, "X_CLIENT_SECRET_FILE names /nowhere, which can't be read"),
        (
            {
                "KIND": "github",
                "CLIENT_ID": "a",
                "CLIENT_SECRET": OTHER,
                "ISSUER": "https://a.b",
            },
            "issuer is not for the kind github",
        ),
    ],
    ids=str,
)
def test_a_bad_setting_stops_the_start_by_name(
    tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, **{f"QUARTERDECK_IDENTITY_X_{name}": value for name, value in variables.items()})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("QUARTERDECK_IDENTITY", "company", r"QUARTERDECK_IDENTITY is not valid; it must be tables"),
        ("QUARTERDECK_IDENTITY_", "x", "the name must be"),
        ("QUARTERDECK_IDENTITY_X", "x", "is not a setting of a provider"),
        ("QUARTERDECK_LOCAL_SIGN_IN", "off", "no identity provider, so nobody could sign in"),
    ],
)
def test_what_can_not_be_meant_stops_the_start(tmp_path: Path, name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, **{name: value})


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("identity = 1", "must be tables"),
        ("[identity]\ncompany = 1", r"identity\.company must be a table"),
        ("[identity.Big-Name]\nclient_id = 'a'", "the name must be 1 to 32 lower-case letters"),
        ("[identity.x]\nclient_id = ['a']", r"identity\.x\.client_id is not valid"),
        ("[identity.x]\nclient_secret_file = '/nowhere'", "client_secret_file names /nowhere"),
    ],
    ids=str,
)
def test_a_bad_table_stops_the_start_by_name(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / "quarterdeck.toml").write_text(file)
    with pytest.raises(SettingsError, match=message):
        load(tmp_path)


def test_local_sign_in_may_be_off_where_there_is_a_provider(with_tables: Path) -> None:
    assert not load(with_tables, QUARTERDECK_LOCAL_SIGN_IN="off").local_sign_in


def test_a_worker_started_by_the_master_gets_no_settings_it_would_refuse(with_tables: Path) -> None:
    settings = load(with_tables, QUARTERDECK_LOCAL_SIGN_IN="off")
    worker = environment_of(settings, SELFSERVICE_TYPE="worker", QUARTERDECK_HOME=str(with_tables / "worker"))
    assert load_settings(worker).node_type == "worker"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ISSUER": "https://id.example.org", "CLIENT_SECRET": "short"}, "at least 24 characters"),
        (
            {"ISSUER": "https://id.example.org", "CLIENT_SECRET": "change-me-please-my-secret"},
            "its own",
        ),
        ({"KIND": "github", "CLIENT_SECRET": "a" * 40}, "not a well-known one"),
    ],
)
def test_a_known_or_short_client_secret_is_refused_without_showing_it(
    tmp_path: Path, given: dict[str, str], reason: str
) -> None:
    variables = {f"QUARTERDECK_IDENTITY_X_{key}": value for key, value in given.items()}
    with pytest.raises(SettingsError, match=r"identity\.x\.client_secret is not valid") as refused:
        load(tmp_path, QUARTERDECK_IDENTITY_X_CLIENT_ID="deck", **variables)
    assert reason in refused.value.message
    assert given["CLIENT_SECRET"] not in refused.value.message


def test_on_loopback_a_client_secret_may_be_anything(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        QUARTERDECK_IDENTITY_X_CLIENT_ID="deck",
        QUARTERDECK_IDENTITY_X_ISSUER="http://127.0.0.1:9000",
        QUARTERDECK_IDENTITY_X_CLIENT_SECRET="secret",
    )
    assert settings.identity[0].client_secret == "secret"
