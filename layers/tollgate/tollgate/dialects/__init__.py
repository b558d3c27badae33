"""The wire: each vendor's shapes and codes, translated to and from the domain. No rule lives here."""
