"""The only SQL: connection protocol, tables, migrations."""

from mlops_tui.adapters.catalogue.connection import Act, Catalogue

__all__ = ["Act", "Catalogue"]
