"""The machine: snapshot, sync, verify, drain and the daemon, built from edges and core."""
