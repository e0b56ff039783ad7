"""Fingerprints of pages: what they take for the same, and above all what they do not."""

import random
from itertools import pairwise

import pytest

from webfarer.web.crawl import nearby
from webfarer.web.crawl.nearby import FEWEST, NEAR, NearDuplicates, Print, fingerprint

WORDS = [f"w{number}" for number in range(2000)]


def text(seed, words=600):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def changed(page, words, seed=1):
    """The page with so many of its words put in place of others."""
    rng, parts = random.Random(seed), page.split()
    for place in rng.sample(range(len(parts)), words):
        parts[place] = f"new{rng.random()}"
    return " ".join(parts)


def distance(one, other):
    return (one.near ^ other.near).bit_count()


def test_the_same_on_every_machine():
    """Values of a run of this code: they must not move, since journals hold them."""
    found = fingerprint("Title", "the quick brown fox jumps over the lazy dog " * 2 + text(1, 100))
    assert found == Print(0x6882D2AC8209348B, 0x8344142E2E1AA418, 0xC7A03CCFDA5036D9)


def test_a_word_is_the_polynomial_of_its_bytes():
    """Against the plain definition, in Python's own whole numbers."""
    base, words = nearby._ODD[0], ["the", "quick", "brown", "fox", "旧", "地", "é", "x"]
    plain = [sum(b * base**i for i, b in enumerate(word.encode())) % 2**64 for word in words]
    assert nearby._word_hashes("The quick  brown-fox 旧地 é x").tolist() == plain


def test_case_punctuation_and_white_space_do_not_count():
    page = text(1)
    assert fingerprint("A b", page) == fingerprint("a  B", page.upper().replace(" ", ", "))


def test_unrelated_pages_differ_in_about_half_of_the_bits():
    """Charikar: each bit differs with the probability angle / pi, here a half. 64 bits: 32 +- 4."""
    prints = [fingerprint("t", text(seed)) for seed in range(200)]
    far = [distance(a, b) for a, b in pairwise(prints)]
    assert 30 < sum(far) / len(far) < 34
    assert min(far) > NEAR


def test_a_page_with_a_few_other_words_is_near_and_one_with_many_is_not():
    pages = [text(seed, 2000) for seed in range(100)]
    close = [distance(fingerprint("t", p), fingerprint("t", changed(p, 2))) for p in pages]
    apart = [distance(fingerprint("t", p), fingerprint("t", changed(p, 200))) for p in pages]
    assert sum(bits <= NEAR for bits in close) >= 85
    assert sum(bits <= NEAR for bits in apart) == 0


def test_what_is_found_is_what_comparing_all_pairs_finds():
    """The tables against the plain definition, over prints with any number of bits changed."""
    rng, index, known = random.Random(3), NearDuplicates(), []
    for number in range(400):
        near = rng.getrandbits(64)
        if known and number % 2:
            near = rng.choice(known)[1]
            for bit in rng.sample(range(64), rng.randint(0, 6)):
                near ^= 1 << bit
        print = Print(7, number + 1, near)
        plain = [url for url, other in known if (other ^ near).bit_count() <= NEAR]
        found = index.find(print)
        assert (found in plain) if plain else found is None
        index.add(f"u{number}", print)
        known.append((f"u{number}", near))


def test_pages_of_one_template_with_titles_of_their_own_are_kept():
    index, page = NearDuplicates(), text(1, 2000)
    index.add("/monday", fingerprint("Monday", page))
    assert index.find(fingerprint("Tuesday", changed(page, 1))) is None
    assert index.find(fingerprint("Monday", changed(page, 1))) == "/monday"


def test_short_pages_are_the_same_only_to_the_letter():
    index, page = NearDuplicates(), text(1, FEWEST - 1)
    index.add("/a", fingerprint("t", page))
    assert fingerprint("t", page).near is None
    assert index.find(fingerprint("t", changed(page, 1))) is None
    assert index.find(fingerprint("t", page)) == "/a"


def test_pages_without_text_are_not_like_one_another():
    index = NearDuplicates()
    index.add("/a", fingerprint("t", ""))
    assert index.find(fingerprint("t", " ... ")) is None


def test_chinese_is_compared_by_characters():
    rng = random.Random(1)
    page = "".join(chr(rng.randint(0x4E00, 0x5E00)) for _ in range(1500))
    one, other = fingerprint("标题", page), fingerprint("标题", page[:700] + "新" + page[701:])
    assert one.near is not None
    assert distance(one, other) <= NEAR


@pytest.mark.parametrize("odd", ["\ud800 lone", "\0" * 100, "a" * 100_000])
def test_any_text_has_a_fingerprint(odd):
    assert isinstance(fingerprint(odd, odd), Print)
