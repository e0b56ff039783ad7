"""The rule grader: what it accepts, what it turns down, and that it never pays for hedging."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webfarer.grade import RuleGrader, check_gold, equivalent, gold_answer
from webfarer.graph.graph import Entity, KnowledgeGraph
from webfarer.types import Answer, BadInput, Origin, Task, Value
from webfarer.types.task import AnswerKind

ORIGIN = Origin(recipe="test", seed=0, graph="0")
QUESTION = "Who directed The Long Harbour?"
DATA = Path(__file__).parents[2] / "shared" / "data" / "tongyi"


def task(*golds: str, kind: AnswerKind = "entity", question: str = QUESTION, aliases=()) -> Task:
    answers = tuple(Answer(text=gold, kind=kind, aliases=aliases) for gold in golds)
    return Task(id="t", question=question, answers=answers, origin=ORIGIN)


def status(answer: str | None, *golds: str, **more) -> str:
    return RuleGrader().grade(task(*golds, **more), answer).status


@pytest.mark.parametrize(
    "answer",
    [
        "Orla Venn", "orla venn", "**Orla Venn**", "Orla Venn.", "Orla Vénn", " \nOrla  Venn\n",
        "The answer is Orla Venn.", "Final answer: Orla Venn", "Orla Venn (novelist)",
        "\\boxed{Orla Venn}", "[Orla Venn](https://a.test/wiki/Orla_Venn)", "Dr. Orla Venn",
        "Directed by Orla Venn", "The Long Harbour was directed by Orla Venn.",
        "Orla Venn, who was a novelist from the coast, directed it.", "O. Venn",
        "the answer is O.Venn",
        "Orla Venn (O. Venn)", "I think it is **Orla Venn**. She was born in Port Vale in 1912.",
    ],
)  # fmt: skip
def test_accepted(answer: str) -> None:
    assert status(answer, "Orla Venn", aliases=("O. Venn",)) == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        None, "", "  ", "\n", "Tam Ros", "Orla", "Venn", "Orla Venn or Tam Ros", "not Orla Venn",
        "Orla Venn and Tam Ros", "Orla Venn, Tam Ros", "Orla Venn / Tam Ros", "Orla Venn; Tam Ros",
        "Orla Venn\nTam Ros", "orla venn tam ros", "orla venn, tam ros", "Tam Ros (Orla Venn)",
        "Orla Venn Bridge", "New Orla Venn", "Orla Venn II", "Orla Venn 2", "Orla Venner",
        "It was Orla Venn, not Tam Ros", "Either Orla Venn", "It isn't Orla Venn",
        "Orla Venn and The Long Harbour", "Orla Venn Harbour", "It is **Orla Venn** or Tam Ros.",
        "**Orla Venn**, **Tam Ros**", "It is not **Orla Venn**.", "Orla Venn " + "word " * 40,
        "Orla Venn 奥拉", "The director is Tam Ros, a pupil of Orla Venn", "\ud800",
    ],
)  # fmt: skip
def test_turned_down(answer: str | None) -> None:
    assert status(answer, "Orla Venn", aliases=("O. Venn",)) == "wrong"


def test_small_letters_beside_a_small_letter_gold_are_other_candidates() -> None:
    question = "Which toxic protein was found in 1888?"
    assert status("The toxic protein is ricin.", "ricin", question=question) == "correct"
    assert status("ricin, abrin", "ricin", question=question) == "wrong"
    assert status("ricin abrin", "ricin", question=question) == "wrong"


def test_the_candidates_of_a_question_are_not_listed_back() -> None:
    question = "Which is older, Orla Venn or Tam Ros?"
    assert status("Orla Venn", "Orla Venn", question=question) == "correct"
    assert status("Orla Venn is older", "Orla Venn", question=question) == "correct"
    for both in ("Orla Venn and Tam Ros", "Orla Venn, Tam Ros", "Orla Venn or Tam Ros"):
        assert status(both, "Orla Venn", question=question) == "wrong", both


def test_names_that_begin_with_a() -> None:
    assert status("The answer is A Farewell to Arms.", "A Farewell to Arms") == "correct"
    assert status("Farewell to Arms", "A Farewell to Arms") == "correct"
    assert status("Vitamin A", "Vitamin") == "wrong"
    assert status("Vitamin", "Vitamin A") == "wrong"
    assert status("A", "A") == "correct"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("A Bel, B Cor and C Dun", "correct"), ("C Dun; B Cor; A Bel", "correct"),
        ("- A Bel\n- B Cor\n- C Dun", "correct"),
        ("The answers are A Bel, B Cor, C Dun.", "correct"),
        ("A Bel, B Cor", "wrong"), ("A Bel, B Cor, C Dun, D Eel", "wrong"),
        ("A Bel, B Cor, C Dun and others", "wrong"), ("A Bel, B Cor or C Dun", "wrong"),
    ],
)  # fmt: skip
def test_lists_are_whole_in_any_order_and_without_extras(answer: str, verdict: str) -> None:
    assert status(answer, "A Bel", "B Cor", "C Dun") == verdict


def test_names_with_commas_and_ands_in_lists() -> None:
    golds = ("Dayle and Claire Alexander", "Tullahoma, Tennessee")
    assert status("Tullahoma, Tennessee and Dayle and Claire Alexander", *golds) == "correct"
    assert status("Tullahoma, Tennessee", *golds) == "wrong"


def test_a_shared_alias_counts_for_one_answer() -> None:
    answers = (
        Answer(text="Orla Venn", aliases=("Venn",)),
        Answer(text="Tam Venn", aliases=("Venn",)),
    )
    shared = Task(id="t", question="Who?", answers=answers, origin=ORIGIN)
    assert RuleGrader().grade(shared, "Venn").status == "wrong"
    assert RuleGrader().grade(shared, "Venn, Tam Venn").status == "correct"
    check_gold(shared)


def test_longest_name_wins_in_a_list() -> None:
    golds = ("Orla Venn", "Orla Venn Bridge")
    assert status("Orla Venn Bridge", *golds) == "wrong"
    assert status("Orla Venn Bridge, Orla Venn", *golds) == "correct"


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("4 March 1912", "1912-03-04", "correct"),
        ("4 March 1912", "She was born on 4 March 1912 in Port Vale.", "correct"),
        ("4 March 1912", "1912", "wrong"),
        ("4 March 1912", "March 1912", "wrong"),
        ("4 March 1912", "4 March 1913", "wrong"),
        ("4 March 1912", "04/03/1912", "wrong"),
        ("4 March 1912", "4 or 5 March 1912", "wrong"),
        ("4 March 1912", "4 March 1912, 5 March 1912", "wrong"),
        ("4 March 1912", "not 4 March 1912", "wrong"),
        ("March 1912", "4 March 1912", "correct"),
        ("1912", "in March 1912", "correct"),
        ("1912", "1911–1913", "wrong"),
        ("1912", "1912, 1913", "wrong"),
        ("44 BC", "44 BCE", "correct"),
        ("44 BC", "44", "wrong"),
    ],
)
def test_dates(gold: str, answer: str, verdict: str) -> None:
    assert status(answer, gold, kind="date") == verdict


def test_a_year_for_a_day_is_wrong_and_the_reason_says_so() -> None:
    verdict = RuleGrader().grade(task("4 March 1912", kind="date"), "1912")
    assert "only the year" in verdict.reason


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("12", "twelve", "correct"), ("12", "There are 12 of them.", "correct"),
        ("12", "11", "wrong"), ("12", "12 or 13", "wrong"), ("12", "11, 12, 13", "wrong"),
        ("12", "many", "wrong"), ("1,204 km", "The length is 1204 km (748 mi).", "correct"),
        ("1,204 km", "1204", "correct"), ("1,204 km", "1204 kg", "wrong"),
        ("1.5 million", "1,500,000", "correct"), ("0", "zero", "correct"),
    ],
)  # fmt: skip
def test_numbers(gold: str, answer: str, verdict: str) -> None:
    assert status(answer, gold, kind="number") == verdict


def test_several_numbers_and_dates() -> None:
    assert status("7 and 5", "5", "7", kind="number") == "correct"
    assert status("5", "5", "7", kind="number") == "wrong"
    assert status("5, 6, 7", "5", "7", kind="number") == "wrong"
    assert status("1913; 4 March 1912", "4 March 1912", "1913", kind="date") == "correct"


def test_a_gold_that_cannot_be_read_is_unjudged_never_wrong() -> None:
    for kind, gold in (("date", "soon"), ("number", "many")):
        assert status("later", gold, kind=kind) == "unjudged"
        assert status(gold, gold, kind=kind) == "correct"


def test_check_gold() -> None:
    check_gold(task("Orla Venn", aliases=("O. Venn", "☕")))
    check_gold(task("A Bel", "B Cor"))
    check_gold(task("4 March 1912", kind="date"))
    check_gold(task("1,204 km", "1e+22", kind="number"))
    with pytest.raises(BadInput, match="task t: its own answer"):
        check_gold(task("soon", "later", kind="date"))


def test_equivalent() -> None:
    assert equivalent("Orla Venn", "The answer is **Orla Venn**.")
    assert equivalent("Orla Venn, Tam Ros", "Tam Ros and Orla Venn")
    assert not equivalent("Orla Venn", "Tam Ros")
    assert not equivalent("Orla Venn", "Orla Venn Bridge")
    assert not equivalent("", "")
    assert equivalent("4 March 1912", "1912-03-04", "date")
    assert equivalent("1,204 km", "1204", "number")
    assert not equivalent("12", "13", "number")
    assert equivalent("who knows", "Who knows?", "number")


ANY_TEXT = st.text(st.characters(), max_size=120)  # lone surrogates included
KINDS = st.sampled_from(["entity", "name", "date", "number"])
PIECES = st.lists(
    st.sampled_from(
        ["Orla Venn", "4 March 1912", "1,204 km", "**", "not", "or", ", ", " and ", "\n", "(", "[",
         "](", "12", "e9", "×10", "million", "'", "A", ".", "–", "\\boxed{", "}", " ", "é"]
    ), max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(ANY_TEXT | PIECES, ANY_TEXT.filter(bool) | PIECES.filter(bool), KINDS)
def test_grading_never_raises_and_accepts_its_own_gold(
    answer: str, gold: str, kind: AnswerKind
) -> None:
    golds = task(gold.encode("utf-8", "replace").decode(), kind=kind)
    verdict = RuleGrader().grade(golds, answer)
    assert verdict.reason
    assert "\n" not in verdict.reason
    own = RuleGrader().grade(golds, golds.answers[0].text)
    assert own.status == "correct" or not golds.answers[0].text.strip("\u200b").strip()
    assert equivalent(answer, gold, kind) == equivalent(gold, answer, kind)


LONG = ("1 ", "[", "**a", "4 March ", "9", "1,000", "\\boxed{", "twenty ", "1" + " " * 400, "( ")


@pytest.mark.parametrize("piece", LONG)
@pytest.mark.parametrize("kind", ["entity", "date", "number"])
def test_long_answers_do_not_stall_the_grader(piece: str, kind: AnswerKind) -> None:
    gold = {"entity": "Orla Venn", "date": "1912", "number": "12"}[kind]
    assert status(piece * 10_000, gold, kind=kind) in ("correct", "wrong")


def published() -> list[dict]:
    path = DATA / "webdancer_qa.jsonl"
    if not path.exists():
        pytest.skip("the published questions are not at hand")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_published_gold_accepts_itself() -> None:
    for row in published():
        check_gold(task(row["answer"], question=row["question"]))


def test_no_published_gold_accepts_the_answer_to_another_question() -> None:
    rows = published()
    answers = {row["answer"].strip().casefold() for row in rows}
    accepted = [
        (row["answer"], other)
        for row in rows
        for other in answers
        if other != row["answer"].strip().casefold()
        and status(other, row["answer"], question=row["question"]) == "correct"
    ]
    assert accepted == []


def test_published_answers_in_bold_are_read() -> None:
    path = DATA / "webdancer_trajectories.jsonl"
    if not path.exists():
        pytest.skip("the published trajectories are not at hand")
    correct = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said = row["messages"][-1]["content"].split("<answer>")[1].split("</answer>")[0]
        correct += status(said, row["answer"][0][0]) == "correct"
    # Ricin twice, Vespa. The other golds are noisy ("kamuzu banda", "The Archers - Radio Soap"):
    # by rule they are not what was said; a judge by model is for those.
    assert correct == 3


def test_gold_answers_of_a_graph() -> None:
    entity = Entity(
        "e1",
        labels={"en": "Orla Venn"},
        aliases={"en": ("O. Venn", "V", "🏳", "Orla Venn", "O. Venn")},
    )
    graph = KnowledgeGraph("g", [entity], [], [])
    assert gold_answer(graph, "e1") == Answer(text="Orla Venn", aliases=("O. Venn",))
    assert gold_answer(graph, Value(kind="date", value="1912-03-04")) == Answer(
        text="4 March 1912", kind="date"
    )
    assert gold_answer(graph, Value(kind="number", value=1204.0, unit="km")) == Answer(
        text="1,204 km", kind="number"
    )
    assert gold_answer(graph, Value(kind="name", value="Rua Nova")).kind == "name"
    assert gold_answer(graph, 1204) == Answer(text="1,204", kind="number")
    with pytest.raises(KeyError):
        gold_answer(graph, "e2")


@settings(max_examples=200)
@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "km", "people", "kg", "%"]),
)
def test_every_number_of_a_graph_is_a_readable_gold(number: float, unit: str) -> None:
    graph = KnowledgeGraph("g", [], [], [])
    answer = gold_answer(graph, Value(kind="number", value=number, unit=unit))
    check_gold(Task(id="t", question="How many?", answers=(answer,), origin=ORIGIN))
    nearby = f"It is {answer.text}."
    assert status(nearby, answer.text, kind="number") == "correct"


@given(st.dates(), st.sampled_from([10, 7, 4]))
def test_every_date_of_a_graph_is_a_readable_gold(date, size: int) -> None:
    graph = KnowledgeGraph("g", [], [], [])
    answer = gold_answer(graph, Value(kind="date", value=date.isoformat()[:size]))
    check_gold(Task(id="t", question="When?", answers=(answer,), origin=ORIGIN))
    assert status(date.isoformat(), answer.text, kind="date") == "correct"
