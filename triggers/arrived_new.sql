-- The entry for a row that arrived, by its NEW key.
VALUES ($number, julianday('now'), $new_keys)
