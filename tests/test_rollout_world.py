"""Worlds as an agent meets them: budgets, names, and tasks that are of another graph."""

from pathlib import Path

import pytest

from commands import Webfarer
from scripted import count
from webfarer.grade.rules import RuleGrader
from webfarer.graph.files import load
from webfarer.graph.worlds.world import build_world
from webfarer.policy.expert import Expert
from webfarer.rollout.collect import Arena, collect, jobs_for
from webfarer.rollout.world import Elsewhere, World, by_name, check_served, check_tasks, host_of
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import BadInput, Call, FailureError, Task, ToolSettings, Trajectory
from webfarer.web.archive.archive import Archive
from webfarer.web.archive.frozen import ArchiveWeb
from webfarer.web.http.exchange import Exchange
from webfarer.web.http.remote import HttpWeb
from webfarer.web.http.running import listening, serving


async def test_the_toolbox_keeps_to_its_settings(lore):
    toolbox = lore.toolbox(ToolSettings(hits=2, observation_tokens=30), count)
    assert toolbox.names == ("search", "visit")
    label = lore.graph.label(next(iter(lore.graph.entities)))
    found = await toolbox.run(Call(name="search", arguments={"query": [label, "film", "city"]}))
    assert 0 < count(found.text) <= 30
    url = lore.web.site.url_of(next(iter(lore.graph.entities)))
    seen = await toolbox.run(Call(name="visit", arguments={"url": url, "goal": "overview"}))
    assert 0 < count(seen.text) <= 30


def test_two_worlds_of_one_name_or_none_are_bad_input(lore):
    with pytest.raises(BadInput, match="two worlds are called 'lore'"):
        by_name([lore.graph, lore.graph])
    with pytest.raises(BadInput, match="no world is given"):
        by_name([])
    assert list(by_name([lore.graph])) == ["lore"]


def test_a_web_is_built_when_it_is_first_needed():
    world = World(build_world(1, 60))
    assert "web" not in vars(world)
    assert world.web is world.web


def test_tasks_of_another_world_or_of_another_graph_of_that_name_are_bad_input(lore, lore_tasks):
    check_tasks(lore_tasks.values(), {"lore": lore})
    with pytest.raises(BadInput, match="about the world 'lore', which is not given"):
        check_tasks(lore_tasks.values(), {"else": lore})
    with pytest.raises(BadInput, match="made from another graph"):
        check_tasks(lore_tasks.values(), {"lore": World(build_world(6, 60))})


def test_hosts_are_drawn_from_few_words_and_kept_by_name():
    hosts = {host_of(f"world-{number}") for number in range(400)}
    assert len(hosts) == 8 * 6  # every pair of words, and nothing else
    assert host_of("faivholm") == host_of("faivholm")
    assert all(host.startswith("https://") and host.endswith(".example") for host in hosts)


# One agent, many webs


def attempts(world: World, tasks: list[Task], out: Path) -> list[Trajectory]:
    """The scripted expert's, faults and all, without what a clock said."""
    box = world.toolbox(ToolSettings(), count)
    name = world.graph.name
    arena = Arena({name: box}, RuleGrader(), "", max_turns=12, count=count, seed=1)
    expert = Expert({name: world.atlas}, fault_rate=0.5)
    parts = collect(expert, arena, jobs_for(tasks, samples=3, greedy=True), out, chunk=7)
    return [
        one.model_copy(
            update={
                "turns": tuple(
                    turn.model_copy(update={"usage": turn.usage.model_copy(update={"tool_s": 0.0})})
                    for turn in one.turns
                )
            }
        )
        for one in parts.read(Trajectory)
    ]


def tasks_for(world: World) -> list[Task]:
    source = Source(world.graph, world.url_of)
    return make_tasks(source, seed=1, split="test", per_level={1: 6, 2: 6, 3: 2}, recipe="t")


@pytest.mark.parametrize("layout", ["site", "network"])
def test_attempts_over_http_are_those_in_process_one_by_one(lore, layout, tmp_path):
    """Thoughts, calls, observations, answers, verdicts: everything but times."""
    here = World(lore.graph, layout)
    tasks = tasks_for(here)
    with serving([here.made]) as address:
        there = World(lore.graph, layout, via=address)
        assert isinstance(there.web, HttpWeb)
        over_http = attempts(there, tasks, tmp_path / "there")
    in_process = attempts(here, tasks, tmp_path / "here")
    assert over_http == in_process
    assert len(in_process) == 4 * len(tasks)
    assert not any(one.failure for one in in_process)
    good = [one for one in in_process if not one.faults]
    assert all(one.verdict and one.verdict.status == "correct" for one in good)


def test_a_server_that_goes_down_is_a_failure_and_no_observation(lore, tmp_path):
    with listening() as (_, address):
        pass
    made = attempts(World(lore.graph, via=address), tasks_for(lore)[:1], tmp_path)
    assert {one.failure.kind for one in made if one.failure} == {"search"}
    assert all(one.failure and one.verdict is None for one in made)


async def test_an_archive_of_its_pages_will_do_for_a_world(lore, tmp_path):
    with Archive.create(tmp_path / "archive") as archive:
        for url in lore.made.urls():
            archive.append(lore.made.respond(url) or Exchange(url, 404))
    web = ArchiveWeb(Archive.open(tmp_path / "archive"))
    world = World(lore.graph, elsewhere=Elsewhere(web, lore.url_of))
    toolbox = world.toolbox(ToolSettings(), count)
    url = world.url_of(next(iter(lore.graph.entities)))
    call = Call(name="visit", arguments={"url": [url], "goal": "country"})
    assert await toolbox.run(call) == await lore.toolbox(ToolSettings(), count).run(call)
    call = Call(name="visit", arguments={"url": [f"{url}_of_the_North"], "goal": "country"})
    assert (await toolbox.run(call)).kind == "not_archived"


async def test_a_server_of_other_pages_is_found_out_before_an_attempt(lore):
    with serving([lore.made]) as address:
        await check_served([World(lore.graph, via=address)])
        with pytest.raises(BadInput, match="serves another web as 'lore'"):
            await check_served([World(lore.graph.restricted("lore", lambda _: False), via=address)])
        with pytest.raises(FailureError):
            await check_served([World(build_world(6, 60), via=address)])


def test_what_tells_a_worlds_pages_from_anothers(lore):
    keys = [
        World(lore.graph).key,
        World(lore.graph, "network").key,
        World(lore.graph.in_language("zh")).key,
        World(build_world(6, 60)).key,
    ]
    assert len(set(keys)) == 4
    assert keys[0] == lore.graph.sha256
    assert World(lore.graph, via="http://127.0.0.1:1").key == keys[0]


def test_commands_read_worlds_over_http(world_folder, task_file, tmp_path, monkeypatch, capfd):
    webfarer = Webfarer(monkeypatch, capfd)
    web = World(load(world_folder)).made
    with serving([web]) as address:
        asked = ("rollout", task_file, tmp_path / "out", "-w", world_folder, "--via", address)
        made = webfarer(*asked, "--json", "-q").json
    assert (made["attempts"], made["failures"]) == (14, 0)
    assert webfarer(*asked, "-q").code == 1  # nobody is there any more
    assert "give a server's address" in webfarer(*asked[:-1], "nowhere").complaint
