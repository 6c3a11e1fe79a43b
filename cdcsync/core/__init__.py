"""The pure core: data in, data out. Touches no database, file, clock or network."""
