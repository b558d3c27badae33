"""How each kind of item is stored: one module for each family of items, with a table of its attributes and the version
of its layout.

A codec's `encode_…` returns the attributes of an item without its key (`store.keys`); its `decode_…` reads an item of
any version up to the one that is written. docs/decisions/0007 says what a version is and how a layout changes.
"""
