"""The commands over the public API: customers, uses, balances, events, plans, features, keys, profiles. Each noun is a file."""
