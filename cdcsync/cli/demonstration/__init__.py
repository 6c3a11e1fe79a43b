"""`cdcsync demo`: `scenario` and `own_file` are the two plays, the other modules their stage hands."""
