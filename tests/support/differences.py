"""Tables with a column of every kind, and every kind of difference planted in their copy."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE t (
    id INTEGER PRIMARY KEY, s TEXT, at DATETIME, r REAL, b BLOB, n DECIMAL(10, 3), f BOOLEAN, j JSON, u UUID, d DATE
);
INSERT INTO t SELECT value, 'Ada', '2024-01-02 03:04:05.678901', 0.0, x'00ff10', 1.5, 1, '{"a": 1}',
    '0123abcd-0000-4000-8000-00000000000f', '2024-02-29'
    FROM (WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT 1200) SELECT value FROM g);
INSERT INTO t (id, s) VALUES (5000, ''), (5001, NULL);
CREATE TABLE nokey (a REAL, b TEXT);
INSERT INTO nokey VALUES (0.0, 'x'), (0.0, 'x'), (1.5, NULL), (2.5, '');
CREATE TABLE pairs (a TEXT, b TEXT, v TEXT, PRIMARY KEY (a, b));
INSERT INTO pairs VALUES ('x', 'yz', 'same'), ('xy', 'z', 'same');
"""
# A statement that plants it, and the differences it makes: table, key, column.
PLANTED = {
    "one byte of a text": ("UPDATE t SET s = 'Adb' WHERE id = 7", [("t", "7", "s")]),
    "case of a text": ("UPDATE t SET s = 'ADA' WHERE id = 7", [("t", "7", "s")]),
    "a trailing blank": ("UPDATE t SET s = 'Ada ' WHERE id = 7", [("t", "7", "s")]),
    "another form of the same letter": ("UPDATE t SET s = U&'\\0041da' || U&'\\0301' WHERE id = 7", [("t", "7", "s")]),
    "one microsecond": ("UPDATE t SET at = at + interval '1 microsecond' WHERE id = 1200", [("t", "1200", "at")]),
    "one hour": ("UPDATE t SET at = at + interval '1 hour' WHERE id = 1", [("t", "1", "at")]),
    "sign of zero": ("UPDATE t SET r = '-0' WHERE id = 8", [("t", "8", "r")]),
    "least of a float": ("UPDATE t SET r = '5e-324' WHERE id = 8", [("t", "8", "r")]),
    "NaN": ("UPDATE t SET r = 'NaN' WHERE id = 8", [("t", "8", "r")]),
    "one byte of a blob": ("UPDATE t SET b = '\\x00ff11' WHERE id = 9", [("t", "9", "b")]),
    "one place of a number": ("UPDATE t SET n = 1.501 WHERE id = 9", [("t", "9", "n")]),
    "a boolean": ("UPDATE t SET f = false WHERE id = 9", [("t", "9", "f")]),
    "a document": ("UPDATE t SET j = '{\"a\": 2}' WHERE id = 9", [("t", "9", "j")]),
    "an array for an object": ("UPDATE t SET j = '[1]' WHERE id = 9", [("t", "9", "j")]),
    "a digit of a UUID": ("UPDATE t SET u = '0123abcd-0000-4000-8000-00000000000e' WHERE id = 9", [("t", "9", "u")]),
    "one day": ("UPDATE t SET d = d + 1 WHERE id = 9", [("t", "9", "d")]),
    "NULL for empty": ("UPDATE t SET s = NULL WHERE id = 5000", [("t", "5000", "s")]),
    "empty for NULL": ("UPDATE t SET s = '' WHERE id = 5001", [("t", "5001", "s")]),
    "NULL for a number": ("UPDATE t SET r = NULL WHERE id = 3", [("t", "3", "r")]),
    "a value for NULL": ("UPDATE t SET j = 'null' WHERE id = 5001", [("t", "5001", "j")]),
    "a missing row": ("DELETE FROM t WHERE id = 1000", [("t", "1000", None)]),
    "the last row missing": ("DELETE FROM t WHERE id = 5001", [("t", "5001", None)]),
    "an extra row": ("INSERT INTO t (id) VALUES (6000)", [("t", "6000", None)]),
    "an extra row before all": ("INSERT INTO t (id) VALUES (-6000)", [("t", "-6000", None)]),
    "a row under another key": ("UPDATE t SET id = 7000 WHERE id = 70", [("t", "70", None), ("t", "7000", None)]),
    "two rows swapped": (
        "UPDATE t SET s = CASE id WHEN 5000 THEN NULL ELSE '' END WHERE id >= 5000",
        [("t", "5000", "s"), ("t", "5001", "s")],
    ),
    "parts of a key shifted": ("UPDATE pairs SET b = 'z', a = 'xyz' WHERE a = 'xy'", [("pairs", "xy, z", None)] * 2),
    "a duplicate without key": ("INSERT INTO nokey VALUES (0.0, 'x')", [("nokey", None, None)]),
    "a missing duplicate": (
        "DELETE FROM nokey WHERE ctid = (SELECT min(ctid) FROM nokey WHERE b = 'x')",
        [("nokey", None, None)],
    ),
    "sign of zero without key": ("UPDATE nokey SET a = '-0' WHERE b = 'x'", [("nokey", None, None)] * 2),
    "empty for NULL without key": ("UPDATE nokey SET b = '' WHERE a = 1.5", [("nokey", None, None)] * 2),
}
