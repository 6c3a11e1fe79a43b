"""Move a live application from SQLite to PostgreSQL, and lose nothing on the way."""

from importlib.metadata import version

__version__ = version("cdcsync")
