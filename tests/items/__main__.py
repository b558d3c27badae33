"""`python -m tests.items`: keeps items of each kind's newest version, as today's code writes them.

They hold the values of the version before, and one value with every field set. A file that is there is not changed: items
like these may be stored somewhere. Where it is no longer what the code writes, the layout has changed and needs a new
version (docs/decisions/0007); a version that was never released may be deleted and written anew.
"""

from __future__ import annotations

import sys

from tests.items.kinds import KINDS, Item, Kind, text_of, without_use
from tests.items.values import full
from tollgate.store.codecs.use_records import USE_RECORD


def new_items(kind: Kind) -> list[Item]:
    """What today's code writes of the values that the version before holds, and of one with every field set."""
    older = [version for version in kind.versions if version < kind.layout.version]
    kept = kind.items(older[-1]) if older else []
    value = tuple(full(of, f"value_{number}") for number, of in enumerate(kind.holds))
    return [*(kind.rewritten(item) for item in kept), kind.sample(value)]


def is_written_today(kind: Kind) -> bool:
    """Whether the items that are kept of the newest version are just what today's code writes of what they hold. The use
    that an item remembers is a kind of its own."""
    kept = kind.items(kind.layout.version)
    rewritten = [kind.rewritten(item) for item in kept]
    if kind.layout is USE_RECORD:
        return rewritten == kept
    return [without_use(item) for item in rewritten] == [without_use(item) for item in kept]


def main() -> int:
    """Exit status 1 where a layout has changed without a new version."""
    changed = []
    for kind in KINDS:
        path = kind.path(kind.layout.version)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text_of(new_items(kind)))
            print(f"wrote {path}")
        elif not is_written_today(kind):
            changed.append(path)
    for path in changed:
        print(f"{path} is not what the code writes: the layout needs a new version", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
