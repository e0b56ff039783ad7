"""Wikidata's units that have a symbol which a reader knows. Others are written by their labels."""

_SYMBOLS = {
    "Q11573": "m", "Q828224": "km", "Q174728": "cm", "Q174789": "mm", "Q253276": "mi",
    "Q3710": "ft", "Q712226": "km²", "Q25343": "m²", "Q35852": "ha", "Q11570": "kg",
    "Q41803": "g", "Q191118": "t", "Q25267": "°C", "Q11229": "%", "Q180154": "km/h",
    "Q25517": "m³", "Q7727": "min", "Q11574": "s", "Q4917": "US$", "Q4916": "€",
}  # fmt: skip


def unit_symbol(id: str) -> str:
    """The symbol of a unit's item; empty where there is none here."""
    return _SYMBOLS.get(id, "")
