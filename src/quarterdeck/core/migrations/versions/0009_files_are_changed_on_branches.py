"""files are changed on branches"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _create_places()
    _create_changes()
    _create_drafts()


def _create_places() -> None:
    op.create_table(
        "file_places",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("repository", sa.String(length=128), nullable=False),
        sa.Column("default_branch", sa.String(length=250), nullable=False),
        sa.Column("allowed_paths", sa.JSON(), nullable=False),
        sa.Column("username", sa.String(length=254), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("authorities", sa.Text(), nullable=False),
        sa.Column("read_role", sa.String(length=16), nullable=False),
        sa.Column("write_role", sa.String(length=16), nullable=False),
        sa.Column("from_settings", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_places")),
        sa.UniqueConstraint("name", name=op.f("uq_file_places_name")),
    )


def _create_changes() -> None:
    op.create_table(
        "file_changes",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("place_id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.String(length=63), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("branch", sa.String(length=250), nullable=False),
        sa.Column("target", sa.String(length=250), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("tip", sa.String(length=64), nullable=False),
        sa.Column("has_branch", sa.Boolean(), nullable=False),
        sa.Column("pending", sa.String(length=26), nullable=False),
        sa.Column("former_branch", sa.String(length=250), nullable=False),
        sa.Column("former_tip", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=26), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("proposal_id", sa.String(length=64), nullable=False),
        sa.Column("proposal_url", sa.String(length=1000), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_changes")),
    )
    op.create_index(op.f("ix_file_changes_place_id"), "file_changes", ["place_id"])
    op.create_index(op.f("ix_file_changes_person_id"), "file_changes", ["person_id"])
    op.create_index("ix_file_changes_state_updated_at", "file_changes", ["state", "updated_at"])


def _create_drafts() -> None:
    op.create_table(
        "file_drafts",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("change_id", sa.String(length=26), nullable=False),
        sa.Column("path", sa.String(length=1000), nullable=False),
        sa.Column("path_key", sa.String(length=64), nullable=False),
        sa.Column("new_path", sa.String(length=1000), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("base", sa.String(length=64), nullable=False),
        sa.Column("original", sa.LargeBinary(length=2**24 - 1), nullable=True),
        sa.Column("content", sa.LargeBinary(length=2**24 - 1), nullable=True),
        sa.Column("encoding", sa.String(length=16), nullable=False),
        sa.Column("seen", sa.String(length=64), nullable=False),
        sa.Column("committed", sa.String(length=64), nullable=False),
        sa.Column("sent", sa.String(length=64), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), nullable=False),
        sa.Column("is_executable", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["change_id"],
            ["file_changes.id"],
            name=op.f("fk_file_drafts_change_id_file_changes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_drafts")),
    )
    op.create_index(
        "uq_file_drafts_change_id_path_key", "file_drafts", ["change_id", "path_key"], unique=True
    )
