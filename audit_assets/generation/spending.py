"""How many paid calls a warehouse has made of a model behind an API. A cap is checked before each call, under a lock."""

from decimal import Decimal

import pandas as pd

from audit_assets.config import ApiEntry
from audit_assets.errors import Stopped
from audit_assets.hashing import digest
from audit_assets.warehouse.locks import file_lock
from audit_assets.warehouse.places import lock_folder
from audit_assets.warehouse.store import Warehouse


class Spending:
    """A count in the warehouse, shared by every process that asks the model.

    A call is counted before it is made, and is taken back only if the server says that it made nothing. A call of which
    the answer is lost stays counted, because it may have been paid.
    """

    def __init__(self, warehouse: Warehouse, model: str, asked: ApiEntry) -> None:
        self.warehouse, self.asked = warehouse, asked
        self.where = f"api_calls/{model}"
        self._lock = lock_folder(warehouse.root) / f"{self.where}.lock"

    @property
    def calls(self) -> int:
        """The calls so far. InputError if their table exists and is damaged: a lost count must not free the cap."""
        return int(self.warehouse.read(self.where)["calls"].iloc[0]) if self.warehouse.made(self.where) else 0

    def forecast(self, images: int) -> str:
        """Say what the images of an audit cost, and whether a cap stops them."""
        asked = self.asked
        said = f"{images} images to ask for in all, {self.calls} calls made so far"
        if asked.price_per_image:
            said += f"; {images * Decimal(str(asked.price_per_image)):f} in all at {asked.price_per_image:g} per image"
        most = self.most
        if most is None:
            return f"{said}. Neither api.maximum_images nor api.maximum_cost limits it."
        return f"{said}. The caps allow {most} calls" + (
            ", fewer than the audit needs: the model version stops there." if most < images else "."
        )

    @property
    def most(self) -> int | None:
        """The calls that the caps allow in all. None if there is no cap."""
        asked, most = self.asked, self.asked.maximum_images
        if asked.maximum_cost is None or not asked.price_per_image:
            return most
        paid = int(Decimal(str(asked.maximum_cost)) / Decimal(str(asked.price_per_image)))
        return paid if most is None else min(most, paid)

    def reserve(self) -> None:
        """Count a call that is about to be made. Stopped if a cap does not allow it."""
        asked = self.asked
        with file_lock(self._lock):
            calls = self.calls + 1
            if asked.maximum_images is not None and calls > asked.maximum_images:
                raise Stopped(
                    f"api.maximum_images: {calls - 1} of {asked.maximum_images} images were asked for; raise it to go on. Each "
                    "answer is kept, and is not asked for again."
                )
            if asked.maximum_cost is not None and asked.price_per_image:
                cost = calls * Decimal(str(asked.price_per_image))
                if cost > Decimal(str(asked.maximum_cost)):
                    raise Stopped(
                        f"api.maximum_cost: the next image would bring the cost to {cost}, above {asked.maximum_cost}; raise it to "
                        "go on. Each answer is kept, and is not asked for again."
                    )
            self._write(calls)

    def change(self, calls: int) -> None:
        """Take a call back (-1), or add images that a server sent unasked."""
        with file_lock(self._lock):
            self._write(max(0, self.calls + calls))

    def _write(self, calls: int) -> None:
        self.warehouse.write(self.where, pd.DataFrame({"calls": [calls]}), digest(["calls", calls]))
