"""Flexprice's API (docs/flexprice.md): customer entitlements, usage, events, and what sets them up."""
