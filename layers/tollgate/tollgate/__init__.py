"""Tollgate: may this customer do this now, and if so, count it."""
