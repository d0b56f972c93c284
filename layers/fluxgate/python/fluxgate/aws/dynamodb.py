"""One DynamoDB table in Python's own values: how they become items and expressions, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from boto3.dynamodb.conditions import Attr, ConditionBase, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from fluxgate.errors import StorageUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Attr", "ConditionBase", "ConditionFailed", "Item", "Returns", "Table"]

_serializer, _deserializer = TypeSerializer(), TypeDeserializer()

Item = dict[str, Any]
Returns = Literal["ALL_NEW", "UPDATED_OLD"]  # what an update answers with
BATCH_ATTEMPTS = 3


class ConditionFailed(Exception):
    """A write was refused. `item` is what is stored; empty where nothing is."""

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item


class Table:
    """Every method is one call. Raises StorageUnavailable where DynamoDB did not answer, throttled or refused the call:
    whether a write happened is then unknown."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self._name = name

    def put(self, item: Mapping[str, Any], condition: ConditionBase) -> None:
        """Raises ConditionFailed."""
        with _errors():
            self._client.put_item(
                TableName=self._name,
                Item=_pack(item),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **_expressions(ConditionExpression=condition),
            )

    def update(
        self,
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        condition: ConditionBase,
        add: Mapping[str, Any] | None = None,
        *,
        returns: Returns = "ALL_NEW",
    ) -> Item:
        """Set the attributes in `changes`, remove those that are None there, add to the sets and numbers in `add`.
        An attribute may be an element of a list: `images[0]`. Returns the new item; or, by UPDATED_OLD, what the
        changed attributes were.

        Raises ConditionFailed.
        """
        request = _expressions(ConditionExpression=condition)
        verbs: dict[str, list[str]] = {"SET": [], "REMOVE": [], "ADD": []}
        for n, (name, value) in enumerate([*changes.items(), *(add or {}).items()]):
            attribute, bracket, element = name.partition("[")
            request["ExpressionAttributeNames"][f"#u{n}"] = attribute
            path = f"#u{n}{bracket}{element}"
            if value is None:
                verbs["REMOVE"].append(path)
                continue
            request["ExpressionAttributeValues"] |= _pack({f":u{n}": value})
            if n < len(changes):
                verbs["SET"].append(f"{path} = :u{n}")
            else:
                verbs["ADD"].append(f"{path} :u{n}")
        clauses = [f"{verb} {', '.join(parts)}" for verb, parts in verbs.items() if parts]
        with _errors():
            answer = self._client.update_item(
                TableName=self._name,
                Key=_pack(key),
                UpdateExpression=" ".join(clauses),
                ReturnValues=returns,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            )
        return _unpack(answer["Attributes"])

    def get(self, key: Mapping[str, Any]) -> Item | None:
        """A consistent read."""
        with _errors():
            answer = self._client.get_item(TableName=self._name, Key=_pack(key), ConsistentRead=True)
        return _unpack(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Mapping[str, Any]]) -> list[Item]:
        """Consistent reads of up to 100 different keys, as one call; those that exist, in no order."""
        found: list[Item] = []
        wanted: dict[str, Any] = {self._name: {"Keys": [_pack(key) for key in keys], "ConsistentRead": True}}
        with _errors():
            for _ in range(BATCH_ATTEMPTS):  # what a throttled table has left out is asked for again
                answer = self._client.batch_get_item(RequestItems=wanted)
                found += map(_unpack, answer["Responses"].get(self._name, ()))
                wanted = answer.get("UnprocessedKeys", {})
                if not wanted:
                    return found
        raise StorageUnavailable("UnprocessedKeys")

    def query(
        self,
        index: str,
        where: ConditionBase,
        only: ConditionBase | None,
        limit: int,
        after: Item | None,
        *,
        ascending: bool = False,
    ) -> tuple[list[Item], Item | None]:
        """Up to `limit` items that `where` finds, in the order of the sort key, less those that `only` leaves out; and
        the key behind which more follow."""
        request = _expressions(KeyConditionExpression=where, **({"FilterExpression": only} if only else {}))
        if after:
            request["ExclusiveStartKey"] = _pack(after)
        with _errors():
            answer = self._client.query(
                TableName=self._name, IndexName=index, ScanIndexForward=ascending, Limit=limit, **request
            )
        return [_unpack(item) for item in answer["Items"]], _unpack(answer.get("LastEvaluatedKey", {})) or None


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            item: Any = error.response.get("Item", {})
            raise ConditionFailed(_unpack(item)) from None
        raise StorageUnavailable(error.response["Error"]["Code"]) from error
    except BotoCoreError as error:
        raise StorageUnavailable(type(error).__name__) from error


def _expressions(**conditions: ConditionBase) -> dict[str, Any]:
    """The request's expressions with their placeholders, which one builder keeps apart."""
    builder = ConditionExpressionBuilder()
    request: dict[str, Any] = {}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for parameter, condition in conditions.items():
        built = builder.build_expression(condition, is_key_condition=parameter == "KeyConditionExpression")
        request[parameter] = built.condition_expression
        names |= built.attribute_name_placeholders
        values |= built.attribute_value_placeholders
    return request | {"ExpressionAttributeNames": names} | _optional("ExpressionAttributeValues", _pack(values))


def _optional(parameter: str, value: dict[str, Any]) -> dict[str, Any]:
    return {parameter: value} if value else {}


def _pack(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serializer.serialize(value) for name, value in values.items() if value is not None}


def _unpack(item: Mapping[str, Any]) -> Item:
    return {name: _deserializer.deserialize(value) for name, value in item.items()}
