"""The vocabulary: errors, nouns and settings. Imports nothing else of cdcsync."""
