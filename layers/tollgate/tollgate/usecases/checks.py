"""May this customer do this now: the answer alone, counting nothing."""

from __future__ import annotations

from tollgate.domain.balances import all_as_of
from tollgate.domain.decisions import check
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.usecases.commands import Outcome, UseCommand, outcome_of
from tollgate.usecases.ledger import Ledger


class Checks:
    """The use case of a read-only check. `now` is the wall clock's time in epoch milliseconds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def check(self, env: Environment, command: UseCommand, now: int, *, fresh: bool = False) -> Outcome:
        """Whether the customer may use the amount now. One read; `fresh` reads the catalog too.

        Raises NotFound for an unknown feature, customer or entity.
        """
        request = command.request_in(self._ledger.features.catalog(env, command.feature_id, fresh=fresh))
        read = self._ledger.reader.read(CustomerRef(env, command.customer_id), request, now)
        balances = all_as_of(read.balances, read.now)
        return outcome_of(request, check(request, balances), balances, read.now)
