"""Lotus's API: its error shape for now."""
