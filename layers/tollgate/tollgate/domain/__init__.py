"""The rules, as pure functions of (state, command, now): no client, no clock, no logger, no environment."""
