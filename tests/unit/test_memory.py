"""What the table in memory refuses, and how. What it does, the contract suite holds it to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import create_table
from tests.memory import Memory

KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.fixture
def table() -> Any:
    return Memory()


@pytest.fixture
def name(table: Any) -> str:
    return create_table(table)


def put(table: Any, name: str, **attributes: Any) -> None:
    table.put_item(TableName=name, Item={**KEY, **attributes})


def got(table: Any, name: str) -> Any:
    return table.get_item(TableName=name, Key=KEY, ConsistentRead=True).get("Item")


def test_a_refused_condition_shows_the_item_where_that_is_asked(table: Any, name: str) -> None:
    put(table, name, n={"N": "1"})
    request = {
        "TableName": name,
        "Key": KEY,
        "UpdateExpression": "SET n = n - :v",
        "ConditionExpression": "n >= :v",
        "ExpressionAttributeValues": {":v": {"N": "2"}},
    }
    for asked, shown in (("NONE", None), ("ALL_OLD", {**KEY, "n": {"N": "1"}})):
        with pytest.raises(ClientError) as refused:
            table.update_item(**request, ReturnValuesOnConditionCheckFailure=asked)
        response: Any = refused.value.response
        assert (response["Error"]["Code"], response.get("Item")) == ("ConditionalCheckFailedException", shown)
    assert got(table, name)["n"] == {"N": "1"}


def test_a_refused_transaction_writes_nothing_and_says_which_condition_failed(table: Any, name: str) -> None:
    put(table, name)
    other = {"pk": {"S": "a"}, "sk": {"S": "other"}}
    writes = [
        {"Put": {"TableName": name, "Item": other}},
        {"Delete": {"TableName": name, "Key": KEY, "ConditionExpression": "attribute_not_exists(pk)"}},
    ]
    with pytest.raises(ClientError) as refused:
        table.transact_write_items(TransactItems=writes, ClientRequestToken="t")
    response: Any = refused.value.response
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert table.scan(TableName=name)["Items"] == [KEY]


def test_a_transaction_is_applied_once_for_each_token(table: Any, name: str) -> None:
    def add(token: str, amount: int = 1) -> None:
        values = {":v": {"N": str(amount)}}
        update = {"TableName": name, "Key": KEY, "UpdateExpression": "ADD n :v", "ExpressionAttributeValues": values}
        table.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)

    for token in ("one", "one", "two"):
        add(token)
    assert got(table, name)["n"] == {"N": "2"}
    with pytest.raises(ClientError, match="IdempotentParameterMismatchException"):
        add("one", 5)


@pytest.mark.parametrize(
    "asked",
    [
        {"UpdateExpression": "SET count = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
        {"UpdateExpression": "SET n = :v", "ExpressionAttributeValues": {":v": {"N": "1"}, ":w": {"N": "1"}}},
        {"UpdateExpression": "SET n = :v"},
        {"UpdateExpression": "SET n = n + :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
        {"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": {"S": "1"}}},
        {"UpdateExpression": "SET n = :v, n = :v", "ExpressionAttributeValues": {":v": {"N": "1"}}},
        {"UpdateExpression": "SET n = :v", "ExpressionAttributeValues": {":v": {"N": "1" * 39}}},
        {"UpdateExpression": "SET n = :v", "ExpressionAttributeValues": {":v": {"S": "x" * 500_000}}},
    ],
    ids=[
        "a reserved word",
        "an unused value",
        "no value",
        "a sum of nothing",
        "a key",
        "twice",
        "39 digits",
        "too long",
    ],
)
def test_what_dynamodb_would_not_take_is_refused(table: Any, name: str, asked: dict[str, Any]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        table.update_item(TableName=name, Key=KEY, **asked)
    assert got(table, name) is None


def test_what_the_store_does_not_use_is_not_there(table: Any, name: str) -> None:
    with pytest.raises(NotImplementedError, match="IndexName"):
        table.query(TableName=name, IndexName="by-time")


def test_numbers_are_kept_as_dynamodb_writes_them(table: Any, name: str) -> None:
    for given, kept in (("1.50", "1.5"), ("1E+2", "100"), ("-0.0", "0"), ("007", "7"), ("1E-10", "0.0000000001")):
        put(table, name, n={"N": given})
        assert got(table, name)["n"] == {"N": kept}


def test_what_many_threads_add_is_all_there(table: Any, name: str) -> None:
    def add(_: int) -> None:
        values = {":v": {"N": "1"}}
        table.update_item(TableName=name, Key=KEY, UpdateExpression="ADD n :v", ExpressionAttributeValues=values)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(500)))
    assert got(table, name)["n"] == {"N": "500"}
    assert len(table.records(name)) == 500
