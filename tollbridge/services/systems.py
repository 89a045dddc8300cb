"""The systems that integrations can deliver to: found by name, described for forms, their options checked.

The only place where the edges' words (`Stripe`, `STRIPE_TEST`) meet the connectors. Reads no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from tollbridge.connectors.base import Connector, System, all_connectors, read_credential
from tollbridge.domain import account_filter
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import did_you_mean, shown
from tollbridge.domain.integrations import BillOptions, GlobalOptions, Options
from tollbridge.settings import Settings

ENTITY_OPTIONS: Mapping[str, type[Options]] = {"Bill": BillOptions}
"""The options that integrations of an entity type share, whatever the system."""

_ACCOUNT_FILTER = "accountFilter"


@dataclass(frozen=True, slots=True)
class Destination:
    """A system and the connector that serves it."""

    connector: Connector
    system: System

    @property
    def auth_type(self) -> str:
        """The wire's AuthType, which spells some credential types without their ending."""
        return "OAUTH_CODE" if self.connector.oauth else self.connector.credential_type.removesuffix("_AUTH")


def destinations(entity_type: str | None = None) -> list[Destination]:
    """Every system, or those that take this entity type."""
    return [
        Destination(connector, system)
        for connector in all_connectors().values()
        if entity_type is None or entity_type in connector.entity_types
        for system in connector.systems
    ]


def find(name: str, path: str = "destination") -> Destination:
    """The system with this key or title, compared without case; raises Invalid that lists what there is."""
    known = destinations()
    for destination in known:
        if _plain(name) in (_plain(destination.system.key), _plain(destination.system.title)):
            return destination
    keys = [destination.system.key for destination in known]
    raise Invalid(
        "system.unknown",
        f"{path} is {shown(name)}, but there is no such system.",
        did_you_mean(name, keys) or f"Known are {', '.join(keys)}.",
        path,
    )


def check_settings(settings: Settings) -> None:
    """Raises Invalid where a setting names a system that there is none of; the settings themselves know no systems."""
    keys = [destination.system.key for destination in destinations()]
    for variable, named in (
        ("TOLLBRIDGE_VENDOR_URLS", settings.vendor_urls),
        ("TOLLBRIDGE_RATE_LIMITS", settings.rate_limits),
    ):
        for name in named:
            if name not in keys:
                raise Invalid(
                    "settings.system",
                    f"{variable} names the system {shown(name)}, but there is no such system.",
                    did_you_mean(name, keys) or f"Known are {', '.join(keys)}.",
                    variable,
                )


def find_entity_type(destination: Destination, name: str, path: str = "entityType") -> str:
    """The entity type as we write it; raises Invalid where the system does not take it."""
    known = destination.connector.entity_types
    for entity_type in known:
        if _plain(name) == _plain(entity_type):
            return entity_type
    raise Invalid(
        "system.entity_type",
        f"{path} is {shown(name)}, but {destination.system.title} takes {', '.join(known)} only.",
        f"Set {path} to {known[0]}.",
        path,
    )


def check_config(destination: Destination, entity_type: str, config: Mapping[str, Any]) -> None:
    """Raises Invalid that names the option, its value and what is expected, where `configData` is not right."""
    layers = [layer for _, layer in option_layers(destination, entity_type)]
    known = [name for layer in layers for name in _aliases(layer)]
    for name in config:
        if name not in known:
            raise _unknown_option(name, known)
    for layer in layers:
        names = _aliases(layer)
        try:
            layer.model_validate({name: value for name, value in config.items() if name in names})
        except ValidationError as error:
            raise _refusal(error, "config.invalid", "configData") from None
    if config.get(_ACCOUNT_FILTER):
        account_filter.check(config[_ACCOUNT_FILTER], f"configData.{_ACCOUNT_FILTER}")


def option_layers(destination: Destination, entity_type: str) -> list[tuple[str, type[Options]]]:
    """The layers of options that apply, from the general to the particular."""
    entity = [("entity", ENTITY_OPTIONS[entity_type])] if entity_type in ENTITY_OPTIONS else []
    return [("global", GlobalOptions), *entity, ("destination", destination.connector.config)]


def check_credential(destination: Destination, fields: Mapping[str, Any], path: str = "") -> None:
    """Raises Invalid where these are not the fields of a credential for the system; never repeats a value."""
    try:
        read_credential(destination.connector, destination.system, fields)
    except ValidationError as error:
        raise _refusal(error, "credential.invalid", path, show=False) from None


def credential_fields(destination: Destination) -> Sequence[str]:
    """The names of the fields that a credential for the system has, as they are on the wire."""
    return _aliases(destination.connector.credential)


def catalogue(system_name: str | None, entity_type: str | None) -> dict[str, Any]:
    """All options in layers, as the wire's AvailableConfigurationResponse; of one system or entity type, or all."""
    wanted = destinations() if system_name is None else [find(system_name, "systemName")]
    names = dict.fromkeys(name for destination in wanted for name in destination.connector.entity_types)
    entities = {
        name: {
            "readableName": name,
            "released": True,
            "entityConfigurationOptions": options_of(ENTITY_OPTIONS.get(name, Options)),
            "destinations": [_described(each) for each in wanted if name in each.connector.entity_types],
        }
        for name in names
        if entity_type is None or _plain(name) == _plain(entity_type)
    }
    return {
        "globalConfigurationOptions": options_of(GlobalOptions),
        "supportedEntities": entities,
        "selectedConfigurations": {},
    }


def auth_options(system_name: str, entity_type: str) -> list[dict[str, Any]]:
    """The fields of a credential for the system; raises Invalid where the system does not take the entity type."""
    destination = find(system_name, "systemName")
    find_entity_type(destination, entity_type)
    return options_of(destination.connector.credential)


def entity_types(system_name: str) -> Sequence[str]:
    """What the system takes."""
    return find(system_name, "systemName").connector.entity_types


def option_values(system_name: str, option: str) -> list[dict[str, str]]:
    """What an option can be set to, where it is one of a few names; none where it is anything else.

    Raises Invalid for a system or an option that there is not.
    """
    destination = find(system_name, "systemName")
    entity_types = destination.connector.entity_types
    layers = [layer for name in entity_types for _, layer in option_layers(destination, name)]
    known = {each["name"]: each["schema"] for layer in layers for each in options_of(layer)}
    if option not in known:
        raise _unknown_option(option, list(known))
    return [{"id": name, "label": name} for name in _names(known[option])]


def _names(schema: Mapping[str, Any]) -> list[str]:
    alternatives = [name for inner in schema.get("anyOf", ()) for name in _names(inner)]
    return [each for each in (*schema.get("enum", ()), *alternatives) if isinstance(each, str)]


def mapping_catalogue() -> dict[str, Any]:
    """What can be mapped to what, as the wire's external mapping configuration: systems share the name of mappings."""
    tables: dict[str, set[str]] = {}
    entities: set[str] = set()
    for each in destinations():
        entities.update(each.connector.mapping_tables)
        named = (table for tables_of in each.connector.mapping_tables.values() for table in tables_of)
        tables.setdefault(each.system.mapping_system, set()).update(named)
    return {
        "m3terEntities": sorted(entities),
        "externalSystems": [
            {"name": name, "tables": sorted(found), "allowCustomExternalTables": True}
            for name, found in sorted(tables.items())
        ],
    }


def _described(destination: Destination) -> dict[str, Any]:
    connector, system = destination.connector, destination.system
    return {
        "apiName": system.key,
        "destination": system.title,
        "displayName": system.title,
        "destinationConfigOptions": options_of(connector.config),
        "authConfigOptions": options_of(connector.credential),
        "authType": destination.auth_type,
        "credentialType": connector.credential_type,
        "released": True,
        "categories": [connector.category],
    }


def options_of(model: type[BaseModel]) -> list[dict[str, Any]]:
    """A model as a list of options for forms: each with its name, title, description, default and JSON Schema."""
    document = model.model_json_schema(by_alias=True)
    definitions = document.get("$defs", {})
    needed = document.get("required", [])
    options = []
    for name, schema in document.get("properties", {}).items():
        resolved = _resolved(schema, definitions)
        option = {
            "name": name,
            "title": resolved.get("title", name),
            "description": resolved.get("description", ""),
            "required": name in needed,
            "secret": resolved.get("format") == "password",
            "schema": resolved,
        }
        options.append(option | ({"default": resolved["default"]} if "default" in resolved else {}))
    return options


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema without references, so that each option stands for itself."""
    if isinstance(schema, list):
        return [_resolved(inner, definitions) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _resolved(target, definitions) | {key: value for key, value in schema.items() if key != "$ref"}
    return {key: _resolved(value, definitions) for key, value in schema.items()}


def _unknown_option(name: str, known: Sequence[str]) -> Invalid:
    path = f"configData.{name}"
    hint = did_you_mean(name, known) or f"Known options are {', '.join(known)}."
    return Invalid("config.unknown", f"{path} is no option of this integration.", hint, path)


def _refusal(error: ValidationError, code: str, prefix: str, *, show: bool = True) -> Invalid:
    """The first thing that pydantic found, with the path as the caller wrote it."""
    first = error.errors(include_url=False, include_context=False)[0]
    path = prefix
    for part in first["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    words = first["msg"].removeprefix("Value error, ").rstrip(".")
    words = words.replace("a valid tuple", "a list").replace("a valid dictionary", "an object")
    if first["type"] == "missing":
        return Invalid(code, f"{path} is missing.", f"Give {path}.", path)
    value = f" is {shown(first['input'])}" if show and first["loc"] else ""
    return Invalid(code, f"{path}{value}: {words[:1].lower()}{words[1:]}.", None, path or None)


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
