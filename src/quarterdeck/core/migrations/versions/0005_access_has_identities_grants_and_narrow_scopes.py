"""access has identities, grants and narrow scopes"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _widen_people()
    _widen_sessions_and_tokens()
    _create_identities()
    _create_grants()
    _create_refresh_families()


def _widen_people() -> None:
    with op.batch_alter_table("people", schema=None) as batch_op:
        batch_op.add_column(sa.Column("groups", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("is_service", sa.Boolean(), nullable=False, server_default=sa.false()))
        for name, length in (("display_name", 128), ("theme", 8), ("time_zone", 64), ("language", 16)):
            batch_op.add_column(sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
    op.execute("UPDATE people SET groups = '[]'")
    with op.batch_alter_table("people", schema=None) as batch_op:
        batch_op.alter_column("groups", existing_type=sa.JSON(), nullable=False)


def _widen_sessions_and_tokens() -> None:
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("provider", sa.String(length=32), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("sealed_id_token", sa.Text(), nullable=True))
    op.execute("UPDATE sessions SET sealed_id_token = ''")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.alter_column("sealed_id_token", existing_type=sa.Text(), nullable=False)
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.alter_column("scope", existing_type=sa.String(length=16), type_=sa.String(length=400))
        batch_op.add_column(sa.Column("host_tags", sa.JSON(), nullable=True))


def _create_identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_identities_person_id_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("issuer", "subject", name="uq_identities_issuer_subject"),
    )
    op.create_index(op.f("ix_identities_person_id"), "identities", ["person_id"])


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=True),
        sa.Column("group_name", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("object", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_grants_person_id_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_person_id"), "grants", ["person_id"])
    op.create_index(op.f("ix_grants_group_name"), "grants", ["group_name"])


def _create_refresh_families() -> None:
    op.create_table(
        "refresh_families",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("scope", sa.String(length=400), nullable=False),
        sa.Column("host_tags", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("ended_reason", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_refresh_families_person_id_people")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refresh_families")),
    )
    for column in ("person_id", "expires_at", "ended_at"):
        op.create_index(op.f(f"ix_refresh_families_{column}"), "refresh_families", [column])
