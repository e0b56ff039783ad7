import re

import pytest
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from test_metrics import attempt, task, turn
from test_report import MANIFEST, attempts, built
from webfarer.evals import build_report
from webfarer.types import Call, ImagePart, Observation, TextPart, Turn
from webfarer.types.report import TrainingPoint
from webfarer.view import chart, render
from webfarer.view.report import SCRIPT, clock

EVIL = (
    "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>\" onclick='x' {{ 7*7 }}"
)


def evil_samples():
    turns = (
        turn("search", EVIL, thought=EVIL),
        Turn(text=EVIL, call=Call(name=EVIL, arguments={EVIL: [EVIL]}), problem=EVIL),
        Turn(text=EVIL, problem="neither call nor answer"),
        Turn(text="", answer=EVIL),
    )
    one = task("a").model_copy(update={"question": EVIL, "id": EVIL})
    made = attempt("a", "c", turns=turns, answer=EVIL, policy=EVIL)
    return [(one, made.model_copy(update={"question": EVIL}))]


def good_samples():
    turns = (turn("search", "The founder is Orla Venn."), turn(answer="Orla Venn"))
    return [
        (task("a"), attempt("a", "c", turns=turns, policy="sft", greedy=True)),
        (task("b"), attempt("b", "f", turns=turns[:1], policy="sft")),
    ]


def test_the_page_holds_the_numbers_and_the_turns():
    page = HTMLParser(render(built(), good_samples()))
    text = page.body.text()
    for said in ("quickstart", "66.7%", "62.5%", "50.0%", "malformed call", "1 min 02 s", "0.500",
                 "The founder is Orla Venn.", "abababababab", "Level 2 · 2 tasks"):  # fmt: skip
        assert said in text, said
    assert len(page.css("details.attempt")) == 2
    assert [node.attributes["data-verdict"] for node in page.css("details.attempt")] == [
        "correct", "failure",
    ]  # fmt: skip
    assert "index gone" in text


def test_the_page_says_how_far_two_policies_are_apart_and_whether_it_is_sure():
    """By hand: of two tasks one is won greedily, +50 points, with an interval from 0 to +100."""
    tasks = {name: task(name) for name in "ab"}
    made = {
        "sft": [attempt("a", "c", greedy=True), attempt("b", "w", greedy=True)],
        "rl": [attempt("a", "c", greedy=True), attempt("b", "c", greedy=True)],
    }
    found = {
        name: [one.model_copy(update={"policy": name}) for one in each]
        for name, each in made.items()
    }
    report = build_report(found, tasks, k=1, equivalent=lambda *_: False, manifest=MANIFEST)
    text = HTMLParser(render(report, [])).body.text()
    said = "rl less sft is +50.0 points greedily (+0.0 to +100.0, which holds zero)."
    assert f"Paired by task, {said}" in text
    page = HTMLParser(render(built(), good_samples())).body.text()
    both = r"sft less base is \S+ points greedily \(.*\) and \S+ points in pass@1 \("
    assert re.search(both, page)


def test_the_page_loads_nothing_from_anywhere():
    page = HTMLParser(render(built(), evil_samples() + good_samples()))
    for node in page.css("[src], [href], [srcset], [data], [action]"):
        for name in ("src", "href", "srcset", "data", "action"):
            assert (node.attributes.get(name) or "#").startswith(("#", "data:image/")), node.html
    assert not page.css("link, iframe, object, embed, base")
    style = page.css_first("style").text()
    assert "url(" not in style
    assert "@import" not in style
    policy = page.css_first("meta[http-equiv]").attributes["content"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy


def test_page_text_gains_no_authority_in_the_report():
    html = render(built(), evil_samples())
    page = HTMLParser(html)
    assert [node.text() for node in page.css("script")] == [SCRIPT]
    assert not page.css("img")
    handlers = [name for node in page.css("*") for name in node.attributes if name.startswith("on")]
    assert handlers == []
    assert html.count("<script>") == 1
    assert "49" not in page.css_first("details.attempt").text()  # no template is run in it
    assert page.css_first(".said pre").text() == EVIL
    assert page.css_first("details.attempt").attributes["data-policy"] == EVIL


def test_names_in_the_manifest_and_the_records_are_escaped_too():
    report = build_report(
        {EVIL: attempts(EVIL, "cccc", ("c", "c", "c", "c"))},
        {each: task(each) for each in "abcd"},
        k=1, equivalent=lambda a, b, kind: a == b, seconds={EVIL: 1.0},
        manifest=MANIFEST | {"recipe": {"name": EVIL}, "grader": EVIL},
    )  # fmt: skip
    page = HTMLParser(render(report))
    assert len(page.css("script")) == 1
    assert not page.css("img")
    assert page.css_first("h1").text() == EVIL


def test_the_same_report_gives_the_same_page():
    assert render(built(), good_samples()) == render(built(), good_samples())


def test_characters_that_no_page_can_carry_are_replaced():
    samples = [(task("a"), attempt("a", "c", turns=(turn("visit", "a\x00b\ud800c\x1b[0m"),)))]
    html = render(built(), samples)
    assert "a\ufffdb\ufffdc\ufffd[0m" in html
    html.encode()


def test_only_true_images_are_shown():
    def shown(media_type, data):
        parts = (TextPart(text="see"), ImagePart(media_type=media_type, data=data))
        one = Turn(
            text="", call=Call(name="look", arguments={}), observation=Observation(parts=parts)
        )
        return HTMLParser(render(built(), [(task("a"), attempt("a", "c", turns=(one,)))])).css(
            "img"
        )

    assert len(shown("image/png", "iVBORw0KGgo=")) == 1
    assert not shown("image/svg+xml", "PHN2Zz4=")
    assert not shown("image/png", '"><script>')
    assert not shown("text/html", "aGk=")


def test_a_bare_report_leaves_out_what_it_does_not_have():
    page = HTMLParser(render(built(funnel=(), training=(), seconds={})))
    assert [node.text() for node in page.css("h2")] == ["Scores", "Behaviour", "Manifest"]


def test_every_link_within_the_page_has_its_place():
    page = HTMLParser(render(built(), good_samples()))
    links = [node.attributes["href"] for node in page.css("nav a")]
    assert len(links) == 7
    assert all(page.css_first(link) is not None for link in links)


def test_impossible_5_a_policy_without_a_tool_call_has_a_notice_above_its_score():
    """All answers, no call: of two policies the one that never looked is named, the other not."""
    policies = {
        name: [attempt(one, "c", turns=turns, policy=name, greedy=True) for one in "abcd"]
        for name, turns in (
            ("guesser", (turn(answer="Orla Venn"),)),
            ("seeker", (turn("search", "Orla Venn."), turn(answer="Orla Venn"))),
        )
    }
    report = build_report(
        policies, {each: task(each) for each in "abcd"}, k=1,
        equivalent=lambda a, b, kind: a == b, manifest=MANIFEST,
    )  # fmt: skip
    (notice,) = HTMLParser(render(report)).css("header .notice")
    assert notice.text().startswith("guesser made no tool call in 4 attempts")


# charts


def test_the_validation_loss_is_drawn_where_it_was_taken_however_long_the_curve():
    points = [
        TrainingPoint(step=at, loss=1.0, valid_loss=2.0 if at in (1, 1001, 3000) else None)
        for at in range(1, 3001)
    ]
    drawn = re.search(r'class="valid" points="([^"]*)"', chart.training(points))
    assert drawn is not None
    assert [place.split(",")[0] for place in drawn[1].split()] == ["0.0", "333.4", "1000.0"]
    assert "validation loss" in render(built(training=points))
    assert "validation loss" not in render(built())


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 6.3, [0, 2, 4, 6, 8]),
        (0, 1200, [0, 500, 1000, 1500]),
        (3, 3, [3, 3.2, 3.4, 3.6, 3.8, 4.0]),
        (0, 0.0007, [0, 0.0002, 0.0004, 0.0006, 0.0008]),
        (float("nan"), 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, want):
    assert chart.ticks(low, high) == pytest.approx(want)


def test_an_interval_strip_puts_a_share_at_its_percentage():
    strip = chart.intervals([chart.Mark("sft", 0.7, (0.65, 0.74), 1)])
    assert 'cx="70.00%"' in strip
    assert 'x1="65.00%" x2="74.00%"' in strip
    assert ">70.0<" in strip


def test_a_long_or_broken_curve_is_drawn_all_the_same():
    assert chart.training([]) == ""
    assert chart.training([TrainingPoint(step=0, loss=float("nan"))]) == ""
    assert "nan" not in chart.training(
        [TrainingPoint(step=0, loss=2.0), TrainingPoint(step=1, loss=float("inf"))]
    )
    assert "0.000" in chart.training([TrainingPoint(step=5, loss=0.0)])
    many = chart.training([TrainingPoint(step=at, loss=1 / (at + 1)) for at in range(50_000)])
    drawn = re.search(r'class="loss" points="([^"]*)"', many)
    assert drawn is not None
    assert len(drawn[1].split()) <= 801
    assert drawn[1].split()[-1].startswith("1000.0,")


def test_clock():
    assert [clock(at) for at in (0.04, 59.94, 59.96, 262.5, 3720)] == [
        "0.0 s", "59.9 s", "1 min 00 s", "4 min 22 s", "1 h 02 min",
    ]  # fmt: skip
