"""What the pages of a site say in words of their own, around what the graph says: in English here,
in other languages by classes that say the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

PREPOSITION = re.compile(r" (?:of|with|by|at|after|in|for|from|to|on)$")


class Phrases:
    """English. Every text of a page that is not the graph's is here: a language is one class."""

    # Between sentences, between values, before the last value, after what introduces.
    gap, comma, last_comma, colon = " ", ", ", " and ", ": "
    repeats = True  # each of a few values gets a sentence of its own, even a general one
    home, categories, all_categories = "Home", "Categories", "All categories"
    popular, see_also, about = "Popular pages", "See also", "About"
    search, accept = "Search", "Accept"
    results, nothing = "Search results", "Nothing was found."
    not_found, refused = "Not found", "Refused"
    previous, next = "Previous page", "Next page"
    notice = "We use cookies to remember your preferences. By reading on you accept our terms."
    untyped, other = "entry", "Other entries"
    headings = {
        "entity": "Background",
        "name": "Background",
        "date": "History",
        "number": "Figures",
    }  # of the prose on relations, by what their values are

    # Of the site

    def site(self, name: str) -> str:
        return f"{name} Encyclopedia"

    def footer(self, site: str) -> str:
        return f"{site}. Text is free to share. About us. Privacy. Contact. Mobile view."

    def welcome(self, site: str, entries: int, types: int) -> str:
        return f"{site} has {entries:,} entries in {types:,} categories."

    def no_page(self, url: str) -> str:
        return f"404: there is no page at {url}."

    def only_here(self, base: str) -> str:
        return f"This address may not be fetched: only pages of {base} are here."

    # Of lists

    def count(self, number: int) -> str:
        """How many a category has, after its name."""
        return f" ({number:,})"

    def categories_lead(self, number: int) -> str:
        return f"There are {number:,} categories."

    def category(self, kind: str) -> str:
        return f"Category: {capitalised(kind)}"

    def category_lead(self, kind: str, number: int) -> str:
        return f"The category {kind} has {_entries(number)}."

    def list_title(self, heading: str, name: str) -> str:
        return f"{heading}: {name}"

    def subjects_lead(self, number: int, name: str, relation: str) -> str:
        return f"{_entries(number)} with {name} as {relation}:"

    def objects_lead(self, number: int, name: str, relation: str) -> str:
        return f"{_entries(number)} for {name} under {relation}:"

    def by_letter(self, number: int, start: str) -> str:
        """What heads entries that begin with `start`, or with any letter where it is empty."""
        if start:
            return f"Entries that begin with {start}, {number:,} in all:"
        return f"Entries by first letter, {number:,} in all:"

    def numbered(self, title: str, page: int) -> str:
        return f"{title} (page {page})"

    def page_of(self, page: int, pages: int) -> str:
        return f"Page {page} of {pages}."

    def more(self, number: int) -> str:
        """The link after the first values, in a sentence."""
        return f"{number} more"

    def all_values(self, number: int) -> str:
        """The link after the first values, in an infobox."""
        return f"all {number}"

    def all_entries(self, number: int) -> str:
        return f"All {number} entries"

    # Of things

    def definition(self, name: str, kind: str, text: str) -> str:
        """What a thing is: its type and its description, either of which may be empty."""
        text = text.strip().rstrip(".")
        if not kind or kind.lower() == name.lower():
            return f"{name}: {text}." if text else f"{name} is an entry of its own."
        noun = f"{name} is {with_article(kind)}"
        if not text:
            return f"{noun}."
        if re.match(rf"(?:an? |the )?{re.escape(kind)}(?!\w)", text, re.IGNORECASE):
            lower = text[0].lower() + text[1:]
            named = re.match(r"an? |the ", lower)
            return f"{name} is {lower if named else with_article(lower)}."
        return f"{noun}: {text}."

    def also_known(self, name: str, aliases: Sequence[str]) -> str:
        return f"{name} is also known as {in_words(aliases)}."

    def sentence(self, relation: str, many: bool) -> str:
        """A sentence for a relation that has none of its own, with {s} and {o}."""
        if PREPOSITION.search(relation):
            return "{s}: " + relation + " {o}."
        noun = plural(relation) if many else relation
        verb = "are" if noun == plural(noun) else "is"
        return f"The {noun} of {{s}} {verb} {{o}}."

    def subjects_of(self, relation: str) -> str:
        """What heads the subjects of a relation that has no such heading of its own."""
        return f"{relation} of"

    def apart(self, before: str, after: str) -> bool:
        """Whether two runs of text need a space between them that neither has."""
        return False


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number:,} entries"


def capitalised(text: str) -> str:
    """The first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """ "a city", "an island": by spelling, with the commonest exceptions."""
    vowel = re.match(r"[aeiou](?!ni[^nm]|se|uro)|hon|hour|heir", noun, re.IGNORECASE)
    return f"{'an' if vowel else 'a'} {noun}"


def plural(noun: str) -> str:
    """ "countries of citizenship", "children", "notable works": the head of a noun phrase."""
    head, of, rest = noun.partition(" of ")
    if re.search(r"(?<![suio])s$|children$", head):
        return noun
    if head.endswith("child"):
        head += "ren"
    elif re.search(r"[^aeiou]y$", head):
        head = head[:-1] + "ies"
    else:
        head += "es" if re.search(r"(?:s|x|ch|sh)$", head) else "s"
    return head + of + rest


def in_words(texts: Sequence[str]) -> str:
    """ "A", "A and B", "A, B and C"."""
    return " and ".join(part for part in (", ".join(texts[:-1]), texts[-1]) if part)
