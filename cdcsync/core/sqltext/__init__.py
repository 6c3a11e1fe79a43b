"""SQLite's own SQL text taken apart, and its expressions said in PostgreSQL or refused with the reason.

Tables are read with a tokeniser of SQLite's lexis: no parser accepts every column definition SQLite does,
and constraints begin with reserved words. Expressions are parsed with sqlglot, but written here: PostgreSQL
is strict about types where SQLite compares anything with anything, so each part is translated knowing the
column types of the target, and whatever is not known to mean the same is refused. NOCASE and LIKE ignore
case for ASCII letters only, which is what lower(x COLLATE "C") does.
"""
