"""Autumn's API, as autumn-sdk 1.2.0 speaks it (API versions 2.1 and later; older ones are translations to come)."""
