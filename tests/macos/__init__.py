"""Checks of what is built for macOS, on Linux: what was declared, and what the libraries contain.

They read the tables (tools/macos_sdk/api) as plain JSON and share no code with the generator of
headers, so that a mistake in one is not repeated in the other.
"""
