"""samples are kept"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "sample_chunks",
        sa.Column("step_seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("host_id", sa.String(length=26), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("step_seconds", "start", "host_id", name=op.f("pk_sample_chunks")),
    )
    with op.batch_alter_table("sample_chunks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sample_chunks_is_open"), ["is_open"], unique=False)
