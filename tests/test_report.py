import json

import pytest
from pydantic import ValidationError

from test_metrics import attempt, same, samples, task
from webfarer.cli.run_report import as_many_steps
from webfarer.evals import build_report, read, table, to_json, write
from webfarer.store.atomic import write_text
from webfarer.types import BadInput
from webfarer.types.report import MANIFEST_KEYS, FunnelStage, Report, TrainingPoint, check_manifest

MANIFEST = {
    "task_set": {"sha256": "ab" * 32, "split": "test", "tasks": 4},
    "tools": ["search", "visit"],
    "prompt": "cd" * 32,
    "grader": "rules-1",
    "sampling": {"temperature": 1.0, "samples": 2, "seed": 0},
    "versions": {"webfarer": "0.1.0"},
    "recipe": {"name": "quickstart", "seed": 0},
    "engine": {"base": {"name": "transformers-local"}},
    "tokenizer": {"base": "ab"},
}
TASKS = {name: task(name, level) for name, level in zip("abcd", (1, 1, 2, 2), strict=True)}


def attempts(policy, greedy, sampled):
    found = []
    for name, one, many in zip("abcd", greedy, sampled, strict=True):
        found.append(attempt(name, one, greedy=True, policy=policy))
        found += samples(name, many, policy=policy)
    return found


def built(**more):
    given = {
        "k": 2,
        "equivalent": same,
        "manifest": MANIFEST,
        "funnel": [FunnelStage(stage="validity", entered=9, kept=7, dropped={"malformed call": 2})],
        "training": [TrainingPoint(step=0, loss=5.0), TrainingPoint(step=10, loss=0.5, lr=1e-3)],
        "seconds": {"train": 62.0, "evaluate": 3.5},
    } | more
    policies = {
        "base": attempts("base", "wwww", ("ww", "ww", "ww", "ww")),
        "sft": attempts("sft", "ccwf", ("cc", "cw", "ww", "uc")),
    }
    return build_report(policies, TASKS, **given)


def test_json_has_the_published_form():
    found = json.loads(to_json(built()))
    assert {"policies", "seconds", "comparisons", "manifest", "funnel", "training"} <= found.keys()
    assert list(found["policies"]) == ["base", "sft"]
    base, sft = found["policies"].values()
    assert (base["pass@1"], base["greedy"], base["n"]) == (0.0, 0.0, 4)
    assert base["interval"] == [0.0, 0.0]
    assert sft["greedy"] == pytest.approx(2 / 3, abs=1e-6)
    assert sft["pass@1"] == 0.625  # (1 + 1/2 + 0 + 1) / 4
    assert sft["as_wrong"]["pass@1"] == 0.5
    assert {"pass@k", "cons@k", "greedy_interval", "by_level", "by_hops"} <= sft.keys()
    assert sft["by_level"]["1"]["pass@1"] == 0.75
    assert found["comparisons"][0]["greedy"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["seconds"] == {"train": 62.0, "evaluate": 3.5}
    assert found["manifest"]["failures"] == {"base": 0, "sft": 1}
    assert found["manifest"]["k"] == 2


def test_same_inputs_same_bytes_but_for_seconds():
    assert to_json(built()) == to_json(built())
    other = built(seconds={"train": 1.0})
    assert other.model_copy(update={"seconds": {}}) == built().model_copy(update={"seconds": {}})


@pytest.mark.parametrize("key", MANIFEST_KEYS)
def test_a_score_without_its_manifest_is_impossible(key):
    whole = built()
    lacking = {name: value for name, value in whole.manifest.items() if name != key}
    for manifest in (lacking, lacking | {key: None}, lacking | {key: ""}):
        with pytest.raises(BadInput, match=key):
            Report(policies=whole.policies, manifest=manifest)


def test_a_manifest_names_hash_and_split_of_its_tasks():
    whole = built().manifest
    for task_set in ("abcd", {"sha256": "ab"}, {"split": "test"}):
        with pytest.raises(BadInput, match="task_set"):
            check_manifest(whole | {"task_set": task_set})
    check_manifest(whole | {"failures": 0})  # none is an answer


def test_an_incomplete_manifest_is_told_before_anything_is_scored():
    with pytest.raises(BadInput, match="versions"):
        built(manifest={name: MANIFEST[name] for name in MANIFEST if name != "versions"})


def test_no_policy_is_bad_input():
    with pytest.raises(BadInput, match="no policy"):
        build_report({}, TASKS, k=1, equivalent=same, manifest=MANIFEST)
    with pytest.raises(BadInput, match="no policy"):
        Report(policies={}, manifest=built().manifest)


def test_one_policy_has_nothing_to_be_compared_with():
    found = build_report(
        {"base": attempts("base", "wwww", ("w", "w", "w", "w"))}, TASKS,
        k=1, equivalent=same, manifest=MANIFEST,
    )  # fmt: skip
    assert found.comparisons == ()
    assert table(found)[0] == ("", "base")


def test_written_is_what_is_read(tmp_path):
    path = tmp_path / "report.json"
    write(built(), path)
    assert read(path) == built()
    assert path.read_text() == to_json(built())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"policies": {}}', "\xff"])
def test_what_is_not_a_report_is_bad_input_in_one_line(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="not a report"):
        read(tmp_path / "missing.json")


def test_a_funnel_stage_accounts_for_every_drop():
    with pytest.raises(ValidationError, match="3 dropped"):
        FunnelStage(stage="quality", entered=5, kept=2, dropped={"repeated action": 1})


def test_table_has_a_column_a_policy_and_the_difference():
    rows = table(built())
    assert {len(row) for row in rows} == {3}
    named = {row[0]: row[1:] for row in rows}
    assert named["pass@1"][1].startswith("62.5% [")
    assert named["pass@1, these as wrong"][1].startswith("50.0% [")
    assert named["failures / unjudged"] == ("0 / 0", "1 / 1")
    assert named["consistency"][0] == "–"
    assert named["greedy, less base"][1].startswith("+66.7 [")


def test_the_table_has_one_row_a_baseline_and_measure():
    one = attempts("sft", "cccc", ("c", "c", "c", "c"))
    three = {name: [each.model_copy(update={"policy": name}) for each in one]
             for name in ("base", "sft", "rl")}  # fmt: skip
    rows = table(build_report(three, TASKS, k=1, equivalent=same, manifest=MANIFEST))
    gains = {row[0]: [bool(cell) for cell in row[1:]] for row in rows if ", less " in row[0]}
    assert gains == {
        "greedy, less base": [False, True, True],
        "pass@1, less base": [False, True, True],
        "greedy, less sft": [False, False, True],
        "pass@1, less sft": [False, False, True],
    }
    assert len({row[0] for row in rows}) == len(rows)


def test_the_table_holds_levels_that_only_one_policy_was_scored_on():
    one = attempts("sft", "cccc", ("c", "c", "c", "c"))
    found = build_report(
        {"base": [each.model_copy(update={"policy": "base"}) for each in one], "sft": one}, TASKS,
        k=1, equivalent=same, manifest=MANIFEST,
    )  # fmt: skip
    assert ("greedy, level 2", "100.0%", "100.0%") in table(found)


def test_as_many_steps_of_fine_tuning_as_take_the_seconds_of_reinforcement_learning(tmp_path):
    """By hand: steps of 2 s on average, and 7 + 9 s: 8 steps."""
    for name, lines in {
        "sft": [{"seconds": 1.5}, {"seconds": 2.5}],
        "rl": [{"rollout_s": 5.0, "update_s": 2.0}, {"rollout_s": 6.0, "update_s": 3.0}],
    }.items():
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / "metrics.jsonl", "".join(f"{json.dumps(x)}\n" for x in lines))
    assert as_many_steps(tmp_path / "sft", tmp_path / "rl") == 8
