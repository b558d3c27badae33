"""Autumn's side of the paths whose noun Flexprice has too: the function of either may get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollgate.dialects.routing import OnDemand, Route, taking

if TYPE_CHECKING:
    from tollgate.usecases.catalog import Catalogs
    from tollgate.usecases.customers import Customers

catalog, customer_calls, legacy = (
    OnDemand(f"tollgate.dialects.autumn.{name}") for name in ("catalog", "customers", "legacy")
)


def shared_paths(catalogs: Catalogs, customers: Customers) -> dict[str, Route]:
    """The routes of features and customers. Their modules are loaded when one is called."""
    return {
        **taking(
            catalogs,
            routes={
                "GET /v1/features": catalog.list_features,
                "GET /v1/features/{}": legacy.get_feature,
                "POST /v1/features/{}": legacy.update_feature,
                "DELETE /v1/features/{}": legacy.delete_feature,
            },
        ),
        **taking(
            catalogs,
            customers,
            routes={
                "GET /v1/customers": legacy.list_customers,
                "POST /v1/customers": legacy.create_customer,
                "POST /v1/customers/list": customer_calls.list_customers,
                "GET /v1/customers/{}": legacy.get_customer,
                "POST /v1/customers/{}": legacy.update_customer,
                "POST /v1/customers/{}/entities": legacy.create_entities,
                "GET /v1/customers/{}/entities/{}": legacy.get_entity,
            },
        ),
        **taking(
            customers,
            routes={
                "DELETE /v1/customers/{}": legacy.delete_customer,
                "POST /v1/customers/{}/balances": legacy.set_balances,
                "DELETE /v1/customers/{}/entities/{}": legacy.delete_entity,
            },
        ),
    }
