"""Units of measure: what they measure, and how many of its base unit they are."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Unit(NamedTuple):
    """A unit: `value x factor + offset` is the value in its dimension's base unit."""

    dimension: str
    factor: float
    offset: float = 0.0


# dimension: {spellings, by blanks ("_" is a space within one): factor}
_SCALED: dict[str, dict[str, float]] = {
    "length": {
        "km kms kilometre kilometres kilometer kilometers": 1e3,
        "m metre metres meter meters": 1.0,
        "cm centimetre centimetres centimeter centimeters": 1e-2,
        "mm millimetre millimetres millimeter millimeters": 1e-3,
        "nm nanometre nanometres nanometer nanometers": 1e-9,
        "mi mile miles": 1609.344,
        "ft foot feet": 0.3048,
        "yd yard yards": 0.9144,
        "inch inches": 0.0254,
        "nmi nautical_mile nautical_miles": 1852.0,
        "au astronomical_unit astronomical_units": 1.495978707e11,
        "ly light_year light_years light-year light-years": 9.4607304725808e15,
    },
    "mass": {
        "kg kgs kilogram kilograms kilogramme kilogrammes": 1.0,
        "g gram grams gramme grammes": 1e-3,
        "mg milligram milligrams": 1e-6,
        "t tonne tonnes metric_ton metric_tons": 1e3,
        "lb lbs": 0.45359237,
        "oz ounce ounces": 0.028349523125,
    },
    "area": {
        "km2 km^2 sq_km sqkm square_km square_kilometre square_kilometres square_kilometer "
        "square_kilometers": 1e6,
        "m2 m^2 sq_m square_metre square_metres square_meter square_meters": 1.0,
        "ha hectare hectares": 1e4,
        "acre acres": 4046.8564224,
        "mi2 mi^2 sq_mi square_mile square_miles": 2589988.110336,
        "ft2 ft^2 sq_ft square_foot square_feet": 0.09290304,
    },
    "volume": {
        "l litre litres liter liters": 1e-3,
        "ml millilitre millilitres milliliter milliliters": 1e-6,
        "m3 m^3 cubic_metre cubic_metres cubic_meter cubic_meters": 1.0,
        "km3 km^3 cubic_kilometre cubic_kilometres cubic_kilometer cubic_kilometers": 1e9,
    },
    "time": {
        "s sec secs second seconds": 1.0,
        "ms millisecond milliseconds": 1e-3,
        "min mins minute minutes": 60.0,
        "h hr hrs hour hours": 3600.0,
        "d day days": 86400.0,
        "week weeks": 604800.0,
        "month months": 2629746.0,
        "y yr yrs year years": 31556952.0,
    },
    "speed": {
        "km/h kmh kph kilometres_per_hour kilometers_per_hour": 1 / 3.6,
        "m/s metres_per_second meters_per_second": 1.0,
        "mph miles_per_hour": 0.44704,
        "kn knot knots": 1852 / 3600,
    },
    "frequency": {
        "hz hertz": 1.0,
        "khz kilohertz": 1e3,
        "mhz megahertz": 1e6,
        "ghz gigahertz": 1e9,
    },
    "power": {
        "w watt watts": 1.0,
        "kw kilowatt kilowatts": 1e3,
        "mw megawatt megawatts": 1e6,
        "gw gigawatt gigawatts": 1e9,
    },
    "share": {"% percent per_cent pct": 1.0},
    "US dollars": {"$ us$ usd dollar dollars us_dollar us_dollars": 1.0},
    "euros": {"€ eur euro euros": 1.0},
    "pounds": {"£ gbp pound_sterling pounds_sterling": 1.0},
    "yen": {"¥ jpy yen": 1.0},
    "rupees": {"₹ inr rupee rupees": 1.0},
}  # fmt: skip
_TEMPERATURES = {
    "°c celsius degrees_celsius degree_celsius degrees_c": Unit("temperature", 1.0, 273.15),
    "°f fahrenheit degrees_fahrenheit degrees_f": Unit("temperature", 5 / 9, 273.15 - 160 / 9),
    "kelvin kelvins": Unit("temperature", 1.0),
}


@lru_cache(maxsize=1)
def units() -> dict[str, Unit]:
    """Every spelling, in lower case, and its unit."""
    table: dict[str, Unit] = {}
    for dimension, rows in _SCALED.items():
        for spellings, factor in rows.items():
            table |= dict.fromkeys(_each(spellings), Unit(dimension, factor))
    for spellings, unit in _TEMPERATURES.items():
        table |= dict.fromkeys(_each(spellings), unit)
    return table


def _each(spellings: str) -> list[str]:
    return [spelling.replace("_", " ") for spelling in spellings.split()]


@lru_cache(maxsize=1)
def unit_pattern() -> re.Pattern[str]:
    """Finds the longest unit at a place, whatever its case and spacing."""
    longest_first = sorted(units(), key=len, reverse=True)
    names = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in longest_first)
    return re.compile(rf"[\s-]*({names})(?:\.(?=\s|$))?(?![\w^])", re.IGNORECASE)


def unit_named(text: str) -> Unit | None:
    """The unit of a spelling, or None."""
    return units().get(" ".join(text.lower().split()))
