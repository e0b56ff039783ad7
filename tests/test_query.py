"""`execute` against docs/query.md: its examples, its rules one by one, and another executor.

The other executor (`naive`) is written from the page alone and tries every assignment.
"""

import json
import re
from datetime import date, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from webfarer.graph.files import load
from webfarer.graph.graph import Entity, Fact, KnowledgeGraph, Relation
from webfarer.graph.query import execute, explain, variables
from webfarer.graph.values import interval
from webfarer.types import BadInput, Query, Value

ROOT = Path(__file__).parents[1]
WIKIDATA = ROOT.parent / "shared" / "data" / "wikidata"


def lit(kind, value, unit=""):
    return Value(kind=kind, value=value, unit=unit)


def term(text):
    if isinstance(text, Value):
        return {"literal": text.model_dump()}
    return {"var": text[1:]} if text.startswith("?") else {"id": text}


def triple(subject, relation, end):
    return {"op": "triple", "subject": term(subject), "relation": relation, "object": term(end)}


def ask(select, *where, **then):
    return Query.model_validate(
        {"select": select, "where": where, "then": then.get("then")}, strict=False
    )


def graph_of(entities, facts, relations=("r", "s")):
    made = [Entity(name, types, labels) for name, types, labels in entities]
    return KnowledgeGraph("small", made, [Relation(name, {}) for name in relations], facts)


# The page's examples


def page_graph():
    titles = {"e1": "Orla Venn", "e2": "The Salt Road", "e3": "The Quiet Mile",
              "e4": "Harbour Lights"}  # fmt: skip
    entities = [
        (name, ("person",) if name == "e1" else ("film",), {"en": title})
        for name, title in titles.items()
    ]
    dates = {"e2": "1931", "e3": "1931-05-02", "e4": "1938-11"}
    facts = [Fact(film, "director", "e1") for film in dates]
    facts += [Fact(film, "released", lit("date", when)) for film, when in dates.items()]
    return graph_of(entities, facts, ("director", "released"))


def page_queries():
    text = (ROOT / "docs" / "query.md").read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]
    assert len(blocks) == 3
    return blocks


def test_examples_of_the_page():
    _, first, second = page_queries()
    graph = page_graph()
    run = lambda block: execute(Query.model_validate(block), graph)  # noqa: E731
    assert run(first) == ["e2", "e3"]
    assert run({**first, "then": {"op": "count"}}) == [2]
    first["where"][2]["min"] = "1931-02"
    assert run(first) == ["e3"]
    assert run(second) == ["e2", "e3"]
    second["then"]["least"] = False
    assert run(second) == ["e4"]


def test_form_of_the_page_is_the_record():
    form = page_queries()[0]
    query = Query.model_validate(form)
    assert variables(query) == ("film", "when")
    assert query.model_dump(mode="json", exclude_none=True)["where"] == form["where"]
    assert Query.model_validate_json(query.model_dump_json()) == query


def test_explain():
    _, first, second = page_queries()
    assert explain(Query.model_validate(first), page_graph()).split("\n") == [
        "every ?f where",
        "  director of ?f is Orla Venn (e1)",
        "  released of ?f is ?d",
        "  ?d is from 1931 to 1931-12",
        "  ?f begins with 'The ' (en)",
    ]
    assert explain(Query.model_validate(second), page_graph()).endswith("with the least ?d")


# Rule by rule; expectations are read off the page


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [
        ("1912", "1912", ["1912", "1912-02", "1912-02-29"]),
        ("1911-05", "1913", ["1912", "1912-02", "1912-02-29", "1913-02-28"]),
        ("1912-02", None, ["1912-02", "1912-02-29", "1913-02-28"]),
        (None, "1912-02-29", ["1912-02", "1912-02-29", "-0043-03-15"]),
        (None, "1912-02-28", ["-0043-03-15"]),
        ("1912-02-02", "1912-12-31", ["1912-02-29"]),
        ("1913", "1912", []),
    ],
)
def test_a_date_is_in_a_range_if_all_its_days_are(low, high, inside):
    dates = ["1912", "1912-02", "1912-02-29", "1913-02-28", "-0043-03-15"]
    graph = graph_of([("a", (), {})], [Fact("a", "r", lit("date", when)) for when in dates])
    query = ask("d", triple("a", "r", "?d"), {"op": "range", "var": "d", "min": low, "max": high})
    assert [node.value for node in execute(query, graph)] == inside


def test_a_range_takes_only_what_has_an_order():
    nodes = [
        lit("number", 5.0),
        lit("number", 5.0, "km"),
        lit("date", "0005"),
        lit("name", "5"),
        "a",
    ]
    graph = graph_of([("a", (), {})], [Fact("a", "r", node) for node in nodes])
    run = lambda **ends: execute(  # noqa: E731
        ask("x", triple("a", "r", "?x"), {"op": "range", "var": "x", **ends}), graph
    )
    assert run() == nodes[:3]
    assert run(min=5, max=5) == nodes[:2]
    assert run(min="0005") == nodes[2:3]
    assert run(max=float("inf")) == nodes[:2]


def test_prefix_reads_names_and_labels_of_the_language_only():
    entities = [
        ("a", (), {"en": "Ábel", "zh": "阿贝尔"}),
        ("b", (), {"zh": "阿"}),
        ("c", (), {"en": "ábel"}),
    ]
    facts = [Fact("a", "r", node) for node in ("a", "b", "c", lit("name", "Ábel II"))]
    graph = graph_of(entities, facts)
    run = lambda text, language: execute(  # noqa: E731
        ask("x", triple("a", "r", "?x"),
            {"op": "prefix", "var": "x", "text": text, "language": language}), graph
    )  # fmt: skip
    assert run("Á", "en") == ["a", lit("name", "Ábel II")]
    assert run("阿", "zh") == ["a", "b"]
    assert run("b", "en") == []
    assert run("", "en") == ["a", "c", lit("name", "Ábel II")]
    assert run("阿", "en") == []


def test_answers_are_distinct_and_in_the_graphs_order():
    entities = [(name, (), {}) for name in "zyx"]
    facts = [
        Fact("x", "r", lit("name", "q")),
        Fact("x", "r", "y"),
        Fact("y", "r", "z"),
        Fact("z", "r", lit("name", "p")),
        Fact("z", "s", lit("name", "q")),
        Fact("x", "r", "z"),
    ]
    got = execute(ask("o", triple("?s", "r", "?o")), graph_of(entities, facts))
    assert got == ["z", "y", lit("name", "q"), lit("name", "p")]


def test_argmax_keeps_ties_and_count_counts():
    heights = {"a": 3.0, "b": 7.0, "c": 7.0}
    graph = graph_of(
        [(name, (), {}) for name in heights],
        [Fact(name, "r", lit("number", height, "m")) for name, height in heights.items()],
    )
    where = triple("?x", "r", "?h")
    assert execute(ask("x", where, then={"op": "argmax", "var": "h"}), graph) == ["b", "c"]
    assert execute(ask("x", where, then={"op": "argmax", "var": "h", "least": True}), graph) == [
        "a"
    ]
    assert execute(ask("h", where, then={"op": "argmax", "var": "h"}), graph) == [
        lit("number", 7.0, "m")
    ]
    assert execute(ask("h", where, then={"op": "count"}), graph) == [2]
    none = ask("x", where, {"op": "range", "var": "h", "min": 9}, then={"op": "count"})
    assert execute(none, graph) == [0]


def test_a_loop_and_a_variable_that_is_a_literal():
    entities = [("a", ("t",), {}), ("b", (), {})]
    facts = [Fact("a", "r", "a"), Fact("a", "r", "b"), Fact("b", "r", lit("name", "a"))]
    graph = graph_of(entities, facts)
    assert execute(ask("x", triple("?x", "r", "?x")), graph) == ["a"]
    assert execute(ask("y", triple("b", "r", "?y"), triple("?y", "r", "?z")), graph) == []
    assert execute(ask("x", triple("?x", "r", lit("name", "a"))), graph) == ["b"]
    assert execute(ask("x", triple("a", "r", "b"), triple("?x", "r", "a")), graph) == ["a"]
    assert execute(ask("x", triple("b", "r", "a"), triple("?x", "r", "a")), graph) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (ask("y", triple("?x", "r", "a")), "'y'"),
        (ask("x", triple("?x", "r", "a"), {"op": "range", "var": "y"}), "'y'"),
        (ask("x", triple("?x", "r", "a"), {"op": "prefix", "var": "y", "text": ""}), "'y'"),
        (ask("x", triple("?x", "r", "a"), then={"op": "argmax", "var": "y"}), "'y'"),
        (ask("x", triple("?x", "none", "a")), "relation 'none'"),
        (ask("x", triple("?x", "r", "nobody")), "entity 'nobody'"),
        (ask("x", {"op": "type", "var": "x", "type": "u"}), "type 'u'"),
        (ask("x", triple(lit("name", "n"), "r", "?x")), "literal"),
        (ask("x", triple("a", "r", "?x"), {"op": "range", "var": "x", "min": 1, "max": "1900"}),
         "two numbers or two dates"),
        (ask("x", triple("a", "r", "?x"), {"op": "range", "var": "x", "min": "1900-13"}),
         "'1900-13'"),
        (ask("x", triple("a", "r", "?x"), {"op": "range", "var": "x", "min": float("nan")}),
         "not a number"),
        (ask("x", triple("?x", "r", lit("date", "1900-02-29"))), "'1900-02-29'"),
        (ask("x", triple("a", "r", "?x"), then={"op": "argmax", "var": "x"}), "common order"),
        (ask("x", *[triple("?x", "r", "a")] * 65), "64"),
    ],
)  # fmt: skip
def test_errors_are_one_line(query, message):
    facts = [Fact("a", "r", "a"), Fact("a", "r", lit("number", 1.0))]
    with pytest.raises(BadInput, match=message) as caught:
        execute(query, graph_of([("a", ("t",), {})], facts))
    assert "\n" not in str(caught.value)


def test_argmax_refuses_two_units_but_only_among_solutions():
    facts = [Fact("a", "r", lit("number", 1.0, "m")), Fact("b", "r", lit("number", 1.0, "km"))]
    graph = graph_of([("a", ("t",), {}), ("b", (), {})], facts)
    best = {"op": "argmax", "var": "n"}
    with pytest.raises(BadInput, match="common order"):
        execute(ask("x", triple("?x", "r", "?n"), then=best), graph)
    only = ask("x", triple("?x", "r", "?n"), {"op": "type", "var": "x", "type": "t"}, then=best)
    assert execute(only, graph) == ["a"]


def test_no_solution_is_no_answer_even_where_values_have_no_order():
    facts = [Fact("a", "r", lit("number", 1.0)), Fact("a", "r", lit("name", "n"))]
    facts += [Fact("a", "s", "b"), Fact("b", "s", "a")]
    graph = graph_of([("a", (), {}), ("b", (), {})], facts)
    best = {"op": "argmax", "var": "n"}
    assert (
        execute(ask("y", triple("a", "r", "?n"), triple("?y", "s", "?y"), then=best), graph) == []
    )
    assert (
        execute(ask("n", triple("a", "r", "?n"), triple("?y", "s", "?y"), then=best), graph) == []
    )


@given(st.dates())
def test_interval_agrees_with_the_standard_library(day):
    text = day.isoformat()
    assert interval(text) == ((day.year, day.month, day.day),) * 2
    first, last = interval(text[:7])
    following = date(*last) + timedelta(1) if last != (9999, 12, 31) else None
    assert date(*first).day == 1
    assert following is None or following.day == 1
    assert interval(text[:4]) == ((day.year, 1, 1), (day.year, 12, 31))


NO_DATES = [
    "", "12", "1912-3", "1912-00", "1912-13", "1912-02-30", "1912-03-00", "1912-04-31",
    "1900-02-29", "١٩١٢", "+1912", "1912 ", "12000", "1912-03-04T00:00:00Z",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_DATES)
def test_what_is_not_a_date(text):
    with pytest.raises(BadInput, match="YYYY"):
        interval(text)


# Another executor, from the page


def span(text):
    negative, digits = text.startswith("-"), text.lstrip("-").split("-")
    year, rest = int(digits[0]) * (-1 if negative else 1), [int(part) for part in digits[1:]]
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if not rest:
        return (year, 1, 1), (year, 12, 31)
    month = rest[0]
    return (year, *rest, 1)[:3], (year, *rest, lengths[month - 1])[:3]


def ends_of(node):
    return span(node.value) if node.kind == "date" else (node.value, node.value)


def in_range(node, low, high):
    if isinstance(node, str) or node.kind == "name":
        return False
    wanted = str if node.kind == "date" else float
    if any(end is not None and not isinstance(end, wanted) for end in (low, high)):
        return False
    ends = [span(end) if isinstance(end, str) else (end, end) for end in (low, high)]
    first, last = ends_of(node)
    return (low is None or ends[0][0] <= first) and (high is None or last <= ends[1][1])


def holds(clause, given_nodes, graph):
    value = lambda t: given_nodes[t.var] if t.var is not None else t.id or t.literal  # noqa: E731
    if clause.op == "triple":
        return (value(clause.subject), clause.relation, value(clause.object)) in graph.facts
    node = given_nodes[clause.var]
    if clause.op == "type":
        return isinstance(node, str) and clause.type in graph.entities[node].types
    if clause.op == "range":
        return in_range(node, clause.min, clause.max)
    if isinstance(node, str):
        labels = graph.entities[node].labels
        return clause.language in labels and labels[clause.language].startswith(clause.text)
    return node.kind == "name" and node.value.startswith(clause.text)


def naive(query, graph):
    literals = [fact.object for fact in graph.facts if not isinstance(fact.object, str)]
    nodes = [*graph.entities, *dict.fromkeys(literals)]
    names = variables(query)
    assignments = (dict(zip(names, nodes_, strict=True))
                   for nodes_ in product(nodes, repeat=len(names)))  # fmt: skip
    found = [each for each in assignments if all(holds(c, each, graph) for c in query.where)]
    then = query.then
    if then is not None and then.op == "argmax":
        values = [each[then.var] for each in found]
        orders = {None if isinstance(v, str) else (v.kind, v.unit) for v in values}
        if None in orders or len(orders) > 1 or any(kind == "name" for kind, _ in orders):
            return "error"
        beats = (lambda a, b: ends_of(a)[1] < ends_of(b)[0]) if then.least else (
            lambda a, b: ends_of(a)[0] > ends_of(b)[1])  # fmt: skip
        found = [each for each in found
                 if not any(beats(value, each[then.var]) for value in values)]  # fmt: skip
    answers = {each[query.select] for each in found}
    if then is not None and then.op == "count":
        return [len(answers)]
    return [node for node in nodes if node in answers]


DATES = ["1912", "1912-02", "1912-02-29", "1911-12", "-0001"]
LITERALS = [lit("date", each) for each in DATES] + [
    lit("number", 1.0), lit("number", 2.5), lit("number", 2.0, "km"), lit("name", "ab"),
    lit("name", "1912"),
]  # fmt: skip
ENTITIES = [
    ("a", ("t",), {"en": "ab"}), ("b", ("t", "u"), {"en": "b", "zh": "阿"}), ("c", (), {}),
    ("d", ("u",), {"en": "abc"}),
]  # fmt: skip
ids = st.sampled_from("abcd")
# Facts of "s" have dates only and those of "n" numbers, mostly of one unit: argmax can order them.
facts = st.lists(
    st.one_of(
        st.builds(Fact, ids, st.just("r"), st.one_of(ids, ids, st.sampled_from(LITERALS))),
        st.builds(Fact, ids, st.just("s"), st.sampled_from(LITERALS[:5])),
        st.builds(Fact, ids, st.just("n"), st.sampled_from(LITERALS[5:8])),
    ),
    min_size=4,
    max_size=14,
)
dates = st.none() | st.sampled_from(DATES)
numbers = st.none() | st.sampled_from([0.0, 1.0, 2.0, 3.0])


@st.composite
def clauses_over(draw, given_facts):
    """Triples made of the graph's facts, each node turned into one variable or left as it is.

    Of the first three nodes each has a variable of its own, so that many queries have solutions.
    """
    picked = draw(st.lists(st.sampled_from(given_facts), min_size=1, max_size=4))
    seen = list(dict.fromkeys(node for fact in picked for node in (fact.object, fact.subject)))
    named = {node: f"?{'xyz'[place % 3]}" for place, node in enumerate(seen)}
    chosen = st.sampled_from([True, True, True, False])
    where = []
    for fact in picked:
        subject = named[fact.subject] if draw(chosen) else fact.subject
        end = named[fact.object] if draw(chosen) else fact.object
        where.append(triple(subject, fact.relation, end))
    return where


@st.composite
def filters_over(draw, bound):
    var = draw(st.sampled_from(bound))
    op = draw(st.sampled_from(["range", "range", "prefix", "type"]))
    if op == "type":
        return {"op": op, "var": var, "type": draw(st.sampled_from("tua"))}
    if op == "prefix":
        text = draw(st.sampled_from(["", "a", "ab", "1", "阿"]))
        return {"op": op, "var": var, "text": text, "language": draw(st.sampled_from(["en", "zh"]))}
    ends = draw(st.sampled_from([dates, numbers]))
    return {"op": op, "var": var, "min": draw(ends), "max": draw(ends)}


@st.composite
def cases(draw):
    graph = graph_of(ENTITIES, draw(facts), ("r", "s", "n"))
    where = draw(clauses_over(graph.facts))
    bound = [each["var"] for clause in where
             for each in (clause["subject"], clause["object"]) if "var" in each]  # fmt: skip
    assume(bound)
    where += draw(st.lists(filters_over(bound), max_size=1))
    then = draw(st.sampled_from([None, "count", "argmax", "argmax"]))
    then = then and {"op": then}
    if then == {"op": "argmax"}:
        ends = [
            each["object"]["var"]
            for each in where
            if each["op"] == "triple" and each["relation"] != "r" and "var" in each["object"]
        ]
        then |= {"var": draw(st.sampled_from(ends or bound)), "least": draw(st.booleans())}
    return graph, ask(draw(st.sampled_from(bound)), *draw(st.permutations(where)), then=then)


@settings(max_examples=500, deadline=None)
@given(case=cases())
def test_agrees_with_every_assignment_tried(case):
    graph, query = case
    want = naive(query, graph)
    if want == "error":
        with pytest.raises(BadInput, match="common order"):
            execute(query, graph)
    else:
        assert execute(query, graph) == want


# Size


def hub_graph(size):
    """`size` entities that all point to one, which has a number of its own."""
    names_ = [f"e{place}" for place in range(size)]
    facts_ = [Fact(name, "r", "e0") for name in names_]
    facts_ += [Fact(name, "s", lit("number", float(at))) for at, name in enumerate(names_)]
    return graph_of([(name, (), {}) for name in names_], facts_)


def test_products_are_never_enumerated():
    """2,000 to the power of 6 assignments: this ends only if parts are solved apart."""
    graph = hub_graph(2000)
    star = [triple(f"?{name}", "r", "?hub") for name in "abcde"]
    assert execute(ask("hub", *star), graph) == ["e0"]
    assert len(execute(ask("a", *star), graph)) == 2000
    apart = [triple(f"?{name}", "s", f"?{name}{name}") for name in "abcde"]
    assert len(execute(ask("a", *apart), graph)) == 2000
    best = ask("a", *star, triple("?b", "s", "?n"), then={"op": "argmax", "var": "n"})
    assert len(execute(best, graph)) == 2000


def test_a_chain_as_long_as_a_query_may_be():
    graph = graph_of(
        [(f"e{at}", (), {}) for at in range(70)],
        [Fact(f"e{at}", "r", f"e{at + 1}") for at in range(69)],
    )
    chain = [triple(f"?v{at}", "r", f"?v{at + 1}") for at in range(64)]
    assert execute(ask("v64", *chain), graph) == [f"e{at}" for at in range(64, 70)]


@pytest.mark.skipif(not WIKIDATA.is_dir(), reason="the Wikidata excerpt is not beside the checkout")
def test_on_real_facts():
    """Expectations are sets joined by hand from the triples."""
    graph = load(WIKIDATA)
    by = {}
    for fact in graph.facts:
        by.setdefault(fact.relation, set()).add((fact.subject, fact.object))
    actors = {s for s, o in by["P106"] if o == "Q33999"}
    americans = {s for s, o in by["P27"] if o == "Q30"}
    comedies = {s for s, o in by["P136"] if o == "Q130232"}
    born = {s for s, _ in by["P19"]}
    want = {a for f, a in by["P161"] if f in comedies and a in actors & americans & born}
    query = ask(
        "x", triple("?x", "P106", "Q33999"), triple("?x", "P27", "Q30"), triple("?x", "P19", "?c"),
        triple("?f", "P161", "?x"), triple("?f", "P136", "Q130232"),
    )  # fmt: skip
    got = execute(query, graph)
    assert set(got) == want
    assert len(got) == len(want) > 100
