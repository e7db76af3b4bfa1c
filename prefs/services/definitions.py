"""The catalogue of the moment: the standard one under the operator's extension, and changes of that extension."""

from prefs.core.catalogue import Catalogue
from prefs.core.extensions import extend
from prefs.ports import Store


class Definitions:
    """Use cases around preference definitions. Keeps the assembled catalogue until the extension's version moves."""

    def __init__(self, store: Store, standard: Catalogue) -> None:
        self.store, self.standard = store, standard
        self._kept: tuple[int, Catalogue] = (0, standard)

    async def current(self) -> Catalogue:
        version, records = await self.store.extensions()
        kept, catalogue = self._kept
        if version != kept:
            catalogue = extend(self.standard, version, {record.id: record.body for record in records})
            self._kept = (version, catalogue)
        return catalogue
