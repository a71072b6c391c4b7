"""The orders that a worker has accepted, a file each, so that a restart knows what was under way."""

import logging
from datetime import datetime
from pathlib import Path

import msgspec

from quarterdeck.core.security import private_directory, write_private
from quarterdeck.protocol.orders import Order, OrderStatus
from quarterdeck.tasks.order_checks import ORDER_ID

logger = logging.getLogger(__name__)


class KeptOrder(msgspec.Struct, frozen=True):
    """An order, where it stands, and its intent in the history."""

    order: Order
    status: OrderStatus
    intent: str = ""


class KeptOrders:
    """Files ``<id>.json``; those that can neither run nor be repeated any more are put into ``ended``."""

    def __init__(self, folder: Path) -> None:
        self._folder = private_directory(folder)
        self._ended = private_directory(folder / "ended")

    def save(self, kept: KeptOrder) -> None:
        write_private(self._folder / f"{kept.order.id}.json", msgspec.json.encode(kept))

    def remove(self, order_id: str) -> None:
        (self._folder / f"{order_id}.json").unlink(missing_ok=True)

    def get(self, order_id: str) -> KeptOrder | None:
        """Return an order, however old; None when there is none or the id can't be one."""
        if not ORDER_ID.match(order_id):
            return None
        name = f"{order_id}.json"
        return _read(self._folder / name) or _read(self._ended / name)

    def recent(self, now: datetime) -> list[KeptOrder]:
        """Return what may be unfinished or repeated, and put the rest aside."""
        recent = []
        for path in self._folder.glob("*.json"):
            kept = _read(path)
            if kept is None:
                continue
            if kept.status.is_terminal and kept.order.deadline < now:
                path.replace(self._ended / path.name)
            else:
                recent.append(kept)
        return recent


def _read(path: Path) -> KeptOrder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=KeptOrder)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        logger.error("%s is not an order that this version can read: %s", path, error)
        return None
