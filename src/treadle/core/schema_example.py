"""An example of the data that a schema describes: a shape to be filled in."""

from collections.abc import Mapping

from treadle.core.values import Json


def skeleton(schema: Mapping[str, Json]) -> Json:
    """Give an example of the right shape, to be filled in."""
    options = schema.get("enum")
    if isinstance(options, list) and options:
        return options[0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties")
            return (
                {name: skeleton(part) for name, part in properties.items() if isinstance(part, dict)}
                if isinstance(properties, dict)
                else {}
            )
        case "array":
            items = schema.get("items")
            return [skeleton(items)] if isinstance(items, dict) else []
        case "string":
            return ""
        case "integer" | "number":
            return 0
        case "boolean":
            return False
        case _:
            return None
