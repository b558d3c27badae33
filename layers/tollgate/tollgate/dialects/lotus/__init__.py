"""Lotus's API: access checks, reported events, customers, subscriptions and plans, in the shapes of its
documentation."""
