"""The frontier, by hand: order, turns, pauses, limits; and the journal and the scope beside it."""

import pytest

from webfarer.types import BadInput
from webfarer.web.crawl.frontier import Frontier, Job
from webfarer.web.crawl.journal import Journal, Line
from webfarer.web.crawl.scope import Bounds, Scope

A, B = "http://a.example", "http://b.example"


def frontier(*jobs, **settings):
    made = Frontier(**{"robots": False, **settings})
    for url, depth in jobs:
        made.offer(Job(url, depth))
    return made


def taken(made, now=0.0):
    """All that may be taken now, each through at once."""
    urls = []
    while isinstance(job := made.take(now), Job):
        made.asking(job, now)
        made.answered(job)
        made.done()
        urls.append(job.url)
    return urls


def test_breadth_first_and_hosts_in_turn():
    made = frontier((f"{A}/3", 3), (f"{A}/1", 1), (f"{A}/1b", 1), (f"{B}/2", 2), (f"{A}/0", 0))
    assert taken(made) == [f"{A}/0", f"{B}/2", f"{A}/1", f"{A}/1b", f"{A}/3"]


def test_each_url_once():
    made = frontier((f"{A}/x", 2), (f"{A}/x", 2), (f"{A}/x", 1), (f"{A}/x", 3))
    assert made.take(0.0) == Job(f"{A}/x", 1)
    assert made.take(0.0) is None
    assert not made.offer(Job(f"{A}/x", 5))


def test_a_shorter_way_to_a_page_that_was_asked_for_has_its_links_offered_again():
    made = frontier((f"{A}/x", 3))
    made.take(0.0)
    assert made.offer(Job(f"{A}/x", 2))
    assert made.depth(f"{A}/x") == 2


def test_what_is_too_deep_waits_until_a_shorter_way_is_found():
    made = frontier((f"{A}/x", 2), depth=1)
    assert (made.take(0.0), made.left) == (None, 0)
    made.offer(Job(f"{A}/x", 1))
    assert made.left == 1
    assert taken(made) == [f"{A}/x"]


def test_requests_at_once_to_a_host_are_limited():
    made = frontier(*((f"{A}/{number}", 0) for number in range(5)), per_host=2)
    first, second = made.take(0.0), made.take(0.0)
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    assert made.take(0.0) is None
    made.answered(first)
    assert isinstance(made.take(0.0), Job)
    assert made.open == 3  # answered, but not through


def test_a_host_is_asked_no_sooner_than_its_delay():
    made = frontier((f"{A}/1", 0), (f"{A}/2", 0), (f"{B}/1", 0), delay=2.0)
    assert taken(made, 10.0) == [f"{A}/1", f"{B}/1"]
    assert made.take(10.5) == pytest.approx(1.5)
    assert taken(made, 12.0) == [f"{A}/2"]


def test_a_crawl_delay_holds_where_it_is_longer_than_ours():
    made = frontier((f"{A}/1", 0), (f"{A}/2", 0), robots=True, delay=1.0)
    rules = made.take(0.0)
    assert rules == Job(f"{A}/robots.txt", 0, rules=True)
    assert made.take(0.0) is None  # nothing of the host before its rules are known
    made.ruled(rules, 7.0)
    made.answered(rules)
    assert taken(made, 0.0) == [f"{A}/1"]
    assert made.take(1.0) == pytest.approx(6.0)


def test_a_job_put_back_is_asked_again_after_the_pause_and_pauses_its_host():
    made = frontier((f"{A}/1", 0), (f"{A}/2", 1))
    job = made.take(0.0)
    made.again(job, 5.0)
    assert (made.open, made.take(0.0)) == (0, pytest.approx(5.0))
    assert taken(made, 5.0) == [f"{A}/1", f"{A}/2"]


def test_a_host_that_is_gone_keeps_its_urls_for_another_run():
    made = frontier((f"{A}/1", 0), (f"{B}/1", 0))
    made.host(f"{A}/1").gone = True
    assert taken(made) == [f"{B}/1"]
    assert made.left == 1


# The scope


@pytest.mark.parametrize(
    ("url", "settings", "followed"),
    [
        (f"{A}/x", {}, True),
        ("https://a.example/x", {}, True),
        (f"{B}/x", {}, False),
        ("http://sub.a.example/x", {}, False),
        ("http://a.example:8080/x", {}, False),
        ("http://sub.a.example/x", {"reach": "site"}, True),
        ("http://nota.example/x", {"reach": "site"}, False),
        (f"{B}/x", {"allow": ("b.example",)}, True),
        (f"{A}/x", {"allow": ("b.example",)}, False),
        ("http://sub.b.example/x", {"allow": (".b.example",)}, True),
        (f"{A}/docs/x", {"allow": (f"{A}/docs/",)}, True),
        (f"{A}/other", {"allow": (f"{A}/docs/",)}, False),
        (f"{A}/photo.JPEG", {}, False),
        (f"{A}/v1.2", {}, True),
        (f"{A}/a/b/a/b/a/b", {}, True),
        (f"{A}/a/b/a/b/a/b/a", {}, False),
        (f"{A}/" + "x" * 2000, {}, False),
        (f"{A}" + "/".join(map(str, range(40))), {}, False),
        (A + "/" + "/".join(map(str, range(40))), {}, False),
    ],
)
def test_which_links_are_followed(url, settings, followed):
    assert Scope(Bounds(roots=(f"{A}/",), **settings)).admits(url) is followed


def test_a_path_has_no_more_queries_than_its_share():
    scope = Scope(Bounds(roots=(f"{A}/",), variants=3))
    for number in range(5):
        if scope.admits(f"{A}/cal?day={number}"):
            scope.count(f"{A}/cal?day={number}")
    assert [scope.admits(f"{A}/{path}") for path in ("cal?day=9", "cal", "other?day=9")] == [
        False, True, True,
    ]  # fmt: skip


# The journal


def lines(journal):
    return [line for _, line in journal.read()]


def test_a_line_that_was_torn_is_cut_off_and_the_next_follows_whole(tmp_path):
    path = tmp_path / "crawl.jsonl"
    first, second = (
        Line(url=A, depth=0, outcome="page", links=(B,)),
        Line(url=B, depth=1, outcome="missing", status=404),
    )
    with Journal(path) as journal:
        journal.append([first])
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        with Journal(path) as journal:
            place = journal.append([second])[0]
            assert lines(journal) == [first, second]
            assert journal.at(place) == second


def test_a_journal_of_another_kind_is_refused_in_one_line(tmp_path):
    path = tmp_path / "crawl.jsonl"
    path.write_text('{"what": 1}\n')
    with Journal(path) as journal, pytest.raises(BadInput, match="not a crawl's line"):
        lines(journal)
