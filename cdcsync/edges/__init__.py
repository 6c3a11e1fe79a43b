"""The edges: each module here talks to exactly one thing outside the process."""
