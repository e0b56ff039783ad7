"""What a thing is called that has no label: the last part of its address, spelt as words."""

import re
from urllib.parse import unquote

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def plain_name(id: str) -> str:
    """ "http://example.org/Alan_Turing" as "Alan Turing", ".../birthPlace" as "birth place".

    An id that is no web address is returned as it is.
    """
    if "://" not in id:
        return id
    last = re.split(r"[/#]", id.rstrip("/#"))[-1]
    text = " ".join(unquote(last).replace("_", " ").split())
    if text[:1].islower():
        text = _CAMEL.sub(" ", text).lower()
    return text if text.isprintable() and text else id
