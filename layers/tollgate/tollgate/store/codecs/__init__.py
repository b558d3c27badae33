"""How each kind of item is stored: one module for each family, with a table of its attributes and a version of its layout.

A codec's `encode_…` gives an item's attributes beside its key (`store.keys`), `decode_…` reads an item of any version up to
the one that is written. docs/decisions/0007 says what a version is and how a layout changes.
"""
