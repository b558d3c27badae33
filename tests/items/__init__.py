"""Items as each version of the code wrote them: `<version>/<kind>.json`, one list for each kind.

Every one of them is read for ever (tests/unit/test_stored_items.py). `python -m tests.items` writes those of the newest
version of each kind; a file that is there is never changed.
"""
