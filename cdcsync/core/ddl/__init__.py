"""The statements that build the target, and what of the source's schema they do not carry.

A column that SQLite compares without case (NOCASE) is kept unique by an index on lower(column COLLATE "C"),
which folds ASCII letters only, as NOCASE does; RTRIM by one on rtrim(column, ' '). This concerns text types
only: other types hold no letters. Where such a column is in the key, the plain constraint comes first, for
upserts need it.

A CHECK is split where AND joins its parts, and each part is carried that surely means the same. It comes at the
handover, like foreign keys, for the source may have rows that break it. The mapping's own default or check stands
in for what the source says at that column, and a check of the mapping's is there from the start.

Texts keep the database's collation and indexes PostgreSQL's place for NULLs, for that is what queries there ask
for; `differences` names where this is not SQLite's way. Generated columns arrive as plain ones: those are exact,
and `verify` compares them, while what PostgreSQL computes itself nothing would compare.
"""

from cdcsync.core.ddl.differences import differences
from cdcsync.core.ddl.target import target_ddl

__all__ = ["differences", "target_ddl"]
