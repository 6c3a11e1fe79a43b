"""x"""
from __future__ import annotations


class OwnFile:
    def __init__(self, *a): pass
    def play(self): pass
