"""The stored shapes of samples."""

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.db import Base


class SampleChunk(Base):
    """Samples of a host: those of all steps from ``start`` on, as ``metrics/kept/chunks.py`` packs them.

    The key begins with the time: what is written together lies together, and what is old goes in one piece.
    """

    __tablename__ = "sample_chunks"

    step_seconds: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Seconds since 1970."""
    host_id: Mapped[str] = mapped_column(String(26), primary_key=True)
    is_open: Mapped[bool] = mapped_column(index=True)
    """Whether it still has to be rolled up; only fine ones ever are."""
    samples: Mapped[bytes] = mapped_column(LargeBinary)
