"""One DynamoDB table: Python values to items and expressions, and DynamoDB's errors to ours."""

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
Returns = Literal["ALL_NEW", "UPDATED_OLD"]
MAX_BATCH_GETS = 3


class ConditionFailed(Exception):
    """The condition of a write did not hold. `item` is the stored item, empty if there is none."""

    def __init__(self, item: Item) -> None:
        super().__init__()
        self.item = item


class Table:
    """Every method is one call. Raises StorageUnavailable if DynamoDB fails, throttles or rejects it; whether a write
    took effect is then unknown."""

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
        """Set the attributes in `changes`, remove those that are None, and add to the sets and numbers in `add`. An
        attribute may be a list element: `images[0]`. Returns the new item or, with UPDATED_OLD, the previous values of
        the changed attributes.

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
            response = self._client.update_item(
                TableName=self._name,
                Key=_pack(key),
                UpdateExpression=" ".join(clauses),
                ReturnValues=returns,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            )
        return _unpack(response["Attributes"])

    def get(self, key: Mapping[str, Any]) -> Item | None:
        """A consistent read."""
        with _errors():
            response = self._client.get_item(TableName=self._name, Key=_pack(key), ConsistentRead=True)
        return _unpack(response["Item"]) if "Item" in response else None

    def get_many(self, keys: Sequence[Mapping[str, Any]]) -> list[Item]:
        """Consistent reads of up to 100 distinct keys. Returns the existing items in no order."""
        found: list[Item] = []
        wanted: dict[str, Any] = {self._name: {"Keys": [_pack(key) for key in keys], "ConsistentRead": True}}
        with _errors():
            for _ in range(MAX_BATCH_GETS):  # a throttled table leaves keys unprocessed
                response = self._client.batch_get_item(RequestItems=wanted)
                found += map(_unpack, response["Responses"].get(self._name, ()))
                wanted = response.get("UnprocessedKeys", {})
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
        """Read up to `limit` items that match `where`, ordered by sort key, and drop those that do not match `only`.
        Returns the items and the key to continue after, None on the last page."""
        request = _expressions(KeyConditionExpression=where, **({"FilterExpression": only} if only else {}))
        if after:
            request["ExclusiveStartKey"] = _pack(after)
        with _errors():
            response = self._client.query(
                TableName=self._name, IndexName=index, ScanIndexForward=ascending, Limit=limit, **request
            )
        return [_unpack(item) for item in response["Items"]], _unpack(response.get("LastEvaluatedKey", {})) or None


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
    """Request parameters for the conditions. One builder keeps their placeholders distinct."""
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
