"""Renders the OpenAPI document as an HTML page without scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from local.stack import ROOT

PATH = ROOT / "functions/show_page/docs.html"

HEAD = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>fluxgate API</title>
  <link rel="icon" href="icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="page.css">
  <link rel="stylesheet" href="docs.css">
</head>
<body class="docs">
  <header>
    <h1><img src="icon.svg" alt="" width="30" height="30">fluxgate</h1>
    <nav aria-label="Pages"><a href="./">Generate images</a> <a href="openapi.json">openapi.json</a></nav>
  </header>
"""
FOOT = """</body>
</html>
"""


def page(document: dict[str, Any]) -> str:
    """The page of a document that tools.openapi.document generated."""
    document = _with_enums_inline(document, document["components"]["schemas"])
    operations = [
        (method, path, operation)
        for tag in document["tags"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    links = "".join(
        f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
        for *_, operation in operations
    )
    schemas = document["components"]["schemas"]
    # Schemas of request bodies are shown with their operations.
    bodies = {_schema_name(_body(operation)) for *_, operation in operations if _body(operation)}
    objects = {name: schema for name, schema in schemas.items() if "properties" in schema and name not in bodies}
    content = "\n".join(
        [
            f'<nav class="contents" aria-label="Contents"><ol>{links}',
            '<li><a href="#schemas">Objects</a></li></ol></nav>',
            "<main>",
            f"<p>{_text(document['info']['description'])}</p>",
            "<p>Send your API key with every request, in the header <code>x-api-key</code>.</p>",
            *(_operation(method, path, operation, schemas) for method, path, operation in operations),
            '<section id="schemas"><h2>Objects</h2>',
            *(_schema(name, schema) for name, schema in objects.items()),
            "</section></main>",
        ]
    )
    return f"{HEAD}{content}\n{FOOT}"


def _with_enums_inline(node: Any, schemas: dict[str, Any]) -> Any:
    """The document with each reference to an enumeration replaced by its values, which have no section of their own."""
    match node:
        case {"$ref": str(ref)} if "enum" in (found := schemas[ref.rpartition("/")[2]]):
            return found
        case dict():
            return {name: _with_enums_inline(value, schemas) for name, value in node.items()}
        case list():
            return [_with_enums_inline(value, schemas) for value in node]
    return node


def _operation(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    content = _body(operation)
    parts = [
        f'<article id="{operation["operationId"]}">',
        f"<h2>{escape(operation['summary'])}</h2>",
        f'<p class="route"><span class="method">{method.upper()}</span> <code>{escape(path)}</code></p>',
    ]
    if description := operation.get("description"):
        parts.append(f"<p>{_text(description)}</p>")
    if parameters := operation.get("parameters"):
        rows = (
            (_code(it["name"]), it["in"], _type(it["schema"]), _text(it.get("description", ""))) for it in parameters
        )
        parts.append(_table("Parameters", ("name", "in", "type", ""), rows))
    if content:
        parts.append(_fields("Body", schemas[_schema_name(content)]))
        parts += [_example(method, path, example["value"]) for example in content["examples"].values()]
    else:
        parts.append(_example(method, path, None))
    responses = (
        (_code(status), _text(response["description"]), _response_type(response))
        for status, response in operation["responses"].items()
    )
    parts += [_table("Responses", ("status", "", "object"), responses), "</article>"]
    return "\n".join(parts)


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    """The content of the request body, empty if there is none."""
    return dict(operation.get("requestBody", {}).get("content", {}).get("application/json", {}))


def _schema_name(content: dict[str, Any]) -> str:
    return str(content["schema"]["$ref"].rpartition("/")[2])


def _schema(name: str, schema: dict[str, Any]) -> str:
    description = f"<p>{_text(schema['description'])}</p>" if "description" in schema else ""
    return f'<article id="{name}"><h3>{name}</h3>{description}{_fields("Fields", schema)}</article>'


def _fields(caption: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = (
        (
            _code(name) + (" <small>required</small>" if name in required and caption == "Body" else ""),
            _type(field),
            _text(field.get("description", "")) + _default(field),
        )
        for name, field in schema["properties"].items()
    )
    return _table(caption, ("field", "type", ""), rows)


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default in (None, {}) else f" <small>default {_code(json.dumps(default))}</small>"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            return f'<a href="#{name}">{name}</a>'
        case {"anyOf": [*options]}:
            return " or ".join(_type(option) for option in options)
        case {"enum": [*values]}:
            return ", ".join(_code(str(value)) for value in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type(items)}"
        case {"type": str(kind)}:
            return escape(_limits(kind, schema))
    return "any"


def _limits(kind: str, schema: dict[str, Any]) -> str:
    named = {"date-time": "RFC 3339 time", "uri": "https URL"}.get(schema.get("format", ""), kind)
    low, high = (schema.get(f"{side}imum", schema.get(f"{side}Length")) for side in ("min", "max"))
    if low is None and high is None:
        return named
    limits = f"at most {high}" if low is None else f"from {low}" if high is None else f"{low} to {high}"
    return f"{named}, {limits}{' characters' if kind == 'string' else ''}"


def _response_type(response: dict[str, Any]) -> str:
    content = next(iter(response.get("content", {}).values()), None)
    return _type(content["schema"]) if content else ""


def _example(method: str, path: str, body: object) -> str:
    verb = "" if method == "get" or body else f"-X {method.upper()} "
    command = f'curl {verb}$API{path} -H "x-api-key: $KEY"'
    if body:
        data = json.dumps(body, ensure_ascii=False)
        command += f" -H 'content-type: application/json' \\\n  -d '{data}'"
    return f"<pre><code>{escape(command, quote=False)}</code></pre>"


def _table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    header = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    parts = [f"<caption>{caption}</caption>", f"<thead><tr>{header}</tr></thead>", f"<tbody>{body}</tbody>"]
    return f'<div class="table"><table>{"".join(parts)}</table></div>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _text(text: str) -> str:
    """A description as HTML, with `code` in backquotes."""
    return "".join(
        f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(escape(text, quote=False).split("`"))
    )
