"""The run: data, trajectories, cold start, trusted scores, one stage after another.

Each stage reads what the stages before it wrote into the run's folder and writes its own; its key
is the hash of its settings and of the keys it builds on. A run that is killed, anywhere, is run
again with the same command and comes to the same report but for its timings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from webfarer import __version__
from webfarer.cli.agents import arena, local_policy, trainee
from webfarer.cli.graders import graded_by
from webfarer.cli.manifest import (
    Scored,
    claim,
    folder_key,
    keep_engine,
    kept_engine,
    score_manifest,
)
from webfarer.cli.progress import Teller, tell_toolless
from webfarer.cli.run_report import change, funnel_stages, learning, samples, training
from webfarer.cli.run_worlds import SPLITS, graphs, language
from webfarer.cli.train import shown, tell_left_out
from webfarer.curate.funnel import funnel
from webfarer.curate.tokens import segments_of
from webfarer.curate.training_set import make_training_set, read_training_set
from webfarer.evals.report import build_report, write
from webfarer.grade.rules import equivalent
from webfarer.graph.files import load, save
from webfarer.graph.split import EntitySplit, fact_split, split_entities
from webfarer.policy.base import Policy
from webfarer.policy.chat import ChatRenderer, load_renderer
from webfarer.policy.expert import Expert
from webfarer.policy.source import model_folder
from webfarer.rollout.collect import Arena, Job, collect, jobs_for
from webfarer.rollout.world import World, by_name
from webfarer.store.atomic import write_text
from webfarer.store.jsonl import read_jsonl, write_jsonl
from webfarer.store.manifest import key_of, read_manifest, sha256_file, stage
from webfarer.store.parts import Parts
from webfarer.store.shards import Shards
from webfarer.synth.tasks import Source, make_tasks
from webfarer.types import BadInput, Recipe, Segment, Split, Task, Trajectory
from webfarer.types.report import FunnelStage, Report

Shown = Sequence[tuple[Task, Trajectory]]
Render = Callable[[Report, Shown, Shown], str]


class Run:
    """One recipe in one folder. Raises BadInput where the folder holds another recipe's run, or
    other files."""

    def __init__(self, recipe: Recipe, folder: Path, teller: Teller, render: Render) -> None:
        self.recipe, self.folder, self.teller, self._render = recipe, folder, teller, render
        self._keys: dict[str, str] = {}
        claim(folder, recipe.model_dump(mode="json"))

    def all(self) -> Report:
        """Every stage that is not done, in order; then the report."""
        self._renderer.count("")  # a model that cannot be used is told before anything is made
        self.worlds()
        self.tasks()
        self.expert()
        self.valid()
        self.curated()
        self.evaluate("base", model_folder(self.recipe.model))
        self.sft()
        self.evaluate("sft", self.folder / "sft" / "model")
        if self.recipe.rl.steps:
            self.rl()
            if self.recipe.further:
                self.further()
                self.evaluate("further", self.folder / "further" / "model")
            self.evaluate("rl", self.folder / "rl" / "model")
        return self.report()

    @property
    def _policies(self) -> list[str]:
        """Who is scored, in the order of the report; each is compared with those before it."""
        names = ["base", "sft", "further", "rl"]
        return [name for name in names if f"eval-{name}" in self._keys]

    # Worlds and tasks

    def worlds(self) -> None:
        recipe = self.recipe
        graph = recipe.graph.folder
        source = folder_key(Path(graph)) if graph else "procedural"
        key = self._key("worlds", recipe.seed, recipe.worlds, recipe.graph, source)

        def work(out: Path) -> None:
            worlds = recipe.worlds
            total = len(SPLITS) if graph else worlds.train + worlds.valid + worlds.test
            with self.teller.bar("worlds", total) as update:
                for number, (name, made) in enumerate(graphs(recipe), 1):
                    save(made, out / name)
                    update(number, total)

        self._stage("worlds", key, work)
        facts = sum(len(world.graph.facts) for world in self._worlds.values())
        self.teller.say(f"{len(self._worlds)} worlds, {facts:,} facts")

    @cached_property
    def _worlds(self) -> dict[str, World]:
        """The worlds of the run by folder name, which is the split, a dash and the world's name."""
        folders = sorted(path for path in (self.folder / "worlds").iterdir() if path.is_dir())
        spoken = language(self.recipe)
        loaded = (load(path, path.name.partition("-")[2], spoken) for path in folders)
        return {path.name: World(graph) for path, graph in zip(folders, loaded, strict=True)}

    def tasks(self) -> None:
        key = self._key("tasks", self.recipe.tasks, self._keys["worlds"])
        self._stage("tasks", key, self._make_tasks)
        counts = ", ".join(f"{len(self._tasks(split)):,} {split}" for split in SPLITS)
        example = next(iter(self._tasks("test").values()))
        self.teller.say(f"tasks: {counts}. One of them: {example.question}")

    def _make_tasks(self, out: Path) -> None:
        split = self._split
        with self.teller.bar("tasks", len(self._worlds)) as update:
            made: dict[Split, list[Task]] = {name: [] for name in SPLITS}
            for number, (folder, world) in enumerate(self._worlds.items(), 1):
                name: Split = folder.partition("-")[0]  # pyright: ignore[reportAssignmentType]
                source = Source(
                    world.graph,
                    world.url_of,
                    keep=lambda fact, name=name: split is None or fact_split(fact, split) == name,
                    english_names=self.recipe.graph.english_names,
                )
                wanted = getattr(self.recipe.tasks, name)
                made[name] += make_tasks(
                    source, seed=self.recipe.seed, split=name, per_level=wanted,
                    recipe=self.recipe.name,
                )  # fmt: skip
                update(number, len(self._worlds))
        for name in ("train", "test"):
            if not made[name]:
                raise BadInput(
                    f"no valid {name} question can be asked of this graph: every relation is "
                    "many-valued, guessable or too rare; give a graph with more facts"
                )
        for name, tasks in made.items():
            write_jsonl(out / f"{name}.jsonl", tasks)

    @cached_property
    def _split(self) -> EntitySplit | None:
        """The split of an imported graph's entities; None for procedural worlds."""
        graph = self.recipe.graph
        if graph.folder is None:
            return None
        whole = load(Path(graph.folder))
        return split_entities(whole, self.recipe.seed, valid=graph.valid, test=graph.test)

    def _tasks(self, split: Split) -> dict[str, Task]:
        return {task.id: task for task in read_jsonl(self.folder / f"tasks/{split}.jsonl", Task)}

    # Trajectories

    def _arena(self, split: Split) -> Arena:
        worlds = by_name(
            world.graph for name, world in self._worlds.items() if name.startswith(split)
        )
        recipe = self.recipe
        return arena(
            worlds, self._renderer.count, recipe.tools, recipe.rollout, recipe.seed, recipe.grade
        )

    @cached_property
    def _renderer(self) -> ChatRenderer:
        return load_renderer(model_folder(self.recipe.model), self.recipe.family)

    def expert(self) -> None:
        recipe = self.recipe
        key = self._key(
            "expert", recipe.expert, recipe.tools, recipe.rollout.prompt, recipe.rollout.max_turns,
            self._renderer.tokenizer_sha256, self._keys["tasks"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        def work(out: Path) -> None:
            policy = self._expert("train", recipe.expert.fault_rate)
            tasks = self._tasks("train").values()
            jobs = jobs_for(tasks, samples=recipe.expert.attempts, greedy=False)
            self._collect("expert", policy, self._arena("train"), jobs, out)

        self._stage("expert", key, work)

    def valid(self) -> None:
        """The expert, without faults, at the validation tasks: what the validation loss is of."""
        recipe = self.recipe
        key = self._key(
            "valid", recipe.seed, recipe.tools, recipe.rollout.prompt, recipe.rollout.max_turns,
            self._renderer.tokenizer_sha256, self._keys["tasks"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        def work(out: Path) -> None:
            jobs = jobs_for(self._tasks("valid").values(), samples=1, greedy=False)
            if jobs:
                policy = self._expert("valid")
                self._collect("expert, valid", policy, self._arena("valid"), jobs, out)

        self._stage("valid", key, work)

    def _expert(self, split: Split, fault_rate: float = 0.0) -> Expert:
        worlds = [world for name, world in self._worlds.items() if name.startswith(split)]
        return Expert({world.graph.name: world.atlas for world in worlds}, fault_rate)

    def _collect(
        self, name: str, policy: Policy, arena: Arena, jobs: Sequence[Job], out: Path
    ) -> None:
        with self.teller.bar(name, len(jobs)) as update:
            collect(policy, arena, jobs, out, chunk=self.recipe.rollout.chunk, progress=update)

    # The training set

    def curated(self) -> None:
        key = self._key(
            "curated", self.recipe.funnel, self._renderer.family.name, self._keys["expert"]
        )
        self._stage("curated", key, self._curate)
        counts = json.loads((self.folder / "curated/funnel.json").read_text())
        self.teller.say(
            f"funnel: {counts['entered']:,} trajectories, {counts['kept']:,} kept; "
            f"{counts['tasks_without_survivor']:,} tasks left for reinforcement learning"
        )

    def _curate(self, out: Path) -> None:
        trajectories = Parts(self.folder / "expert").read(Trajectory)
        make_training_set(
            trajectories, self._tasks("train"), self._renderer, self.recipe.funnel, out,
            self.folder / "expert",
        )  # fmt: skip

    # Training and evaluation

    def sft(self) -> None:
        from webfarer.train.sft import fine_tune

        source = model_folder(self.recipe.model)
        key = self._key(
            "sft", self.recipe.sft, folder_key(source), self._keys["curated"], self._keys["valid"]
        )

        def work(out: Path) -> None:
            if not (out / "metrics.jsonl").exists():  # the report needs them: train anew
                shutil.rmtree(out / "model", ignore_errors=True)
            segments, valid = read_training_set(self.folder / "curated"), self._valid_segments()
            with self.teller.bar("fine-tuning") as update:
                fine_tune(self.recipe.sft, source, segments, out, shown(update), valid=valid)

        self._stage("sft", key, work)
        tell_left_out(self.folder / "sft" / "model", self.recipe.sft.length, self.teller)

    def _valid_segments(self) -> list[Segment]:
        """The validation trajectories that the funnel would keep, as token ids."""
        renderer, folder = self._renderer, self.folder / "valid"
        kept = funnel(Parts(folder).read(Trajectory), self._tasks("valid"), self.recipe.funnel).kept
        shards = Shards(folder)
        return [
            segment
            for one in kept
            for segment in segments_of(one, renderer, shards, compact=renderer.family.compact)
        ]

    def further(self) -> None:
        """More fine-tuning, for as long as reinforcement learning took: what it is held against.

        The same trajectories, from the weights of the cold start, at its learning rate.
        """
        from webfarer.train.sft import fine_tune

        manifest = read_manifest(self.folder)
        assert manifest is not None
        spent = {name: manifest.stages[name].seconds for name in ("sft", "rl")}
        begun = len(training(self.folder / "sft" / "metrics.jsonl"))
        steps = max(1, round(begun * spent["rl"] / spent["sft"]))
        settings = self.recipe.sft.model_copy(update={"steps": steps, "valid_checks": 0})
        key = self._key("further", settings, self._keys["sft"])

        def work(out: Path) -> None:
            segments = read_training_set(self.folder / "curated")
            with self.teller.bar("fine-tuning on") as update:
                fine_tune(settings, self.folder / "sft" / "model", segments, out, shown(update))

        self._stage("further", key, work)

    def rl(self) -> None:
        from webfarer.cli.rl_live import Live
        from webfarer.train.rl import reinforce

        recipe = self.recipe
        apart = recipe.rl.model_dump(mode="json", exclude={"checkpoint_every", "show_every"})
        key = self._key(
            "rl", recipe.seed, apart, recipe.rollout, recipe.tools,
            self._keys["sft"], self._keys["valid"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        def work(out: Path) -> None:
            if not (out / "metrics.jsonl").exists():  # the report needs them: train anew
                shutil.rmtree(out)
                out.mkdir()
            source = self.folder / "sft" / "model"
            valid = list(self._tasks("valid").values())
            trained = trainee(
                recipe, source, self._renderer, self._arena("train"),
                self._arena("valid") if valid else None,
            )  # fmt: skip
            with self.teller.bar(recipe.rl.algorithm) as update:
                live = Live(self.teller, update)

                def scored(done: int) -> float:
                    return live.scored(done, trained.greedy(valid))

                reinforce(
                    recipe.rl, source, trained, list(self._tasks("train").values()), out,
                    seed=recipe.seed, given=key, evaluate=scored if valid else None, progress=live,
                )  # fmt: skip

        self._stage("rl", key, work)

    def evaluate(self, name: str, source: Path) -> None:
        recipe = self.recipe
        above = self._keys.get(name) or folder_key(source)
        key = self._key(
            f"eval-{name}", recipe.seed, recipe.eval, recipe.rollout, recipe.tools, above,
            self._renderer.family.name, self._keys["tasks"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        def work(out: Path) -> None:
            policy = local_policy(
                name, source, self._renderer, recipe.rollout, recipe.eval.temperature
            )
            self._collect(f"evaluating {name}", policy, self._arena("test"), self._jobs(), out)
            keep_engine(out, policy, recipe.rollout)

        self._stage(f"eval-{name}", key, work)

    def _jobs(self) -> list[Job]:
        """The greedy attempts at every task, then the samples."""
        settings = self.recipe.eval
        tasks = [t for t in self._tasks("test").values() if t.level in settings.levels]
        if not tasks:
            raise BadInput(
                f"there is no test task of the levels to score, {settings.levels}: set eval.levels "
                "or tasks.test"
            )
        return jobs_for(tasks, samples=settings.samples, greedy=True)

    # The report

    def report(self) -> Report:
        tasks = {id: t for id, t in self._tasks("test").items()
                 if t.level in self.recipe.eval.levels}  # fmt: skip
        attempts = {
            name: list(Parts(self.folder / f"eval-{name}").read(Trajectory))
            for name in self._policies
        }
        manifest = read_manifest(self.folder)
        assert manifest is not None
        report = build_report(
            attempts,
            tasks,
            k=self.recipe.eval.k,
            equivalent=equivalent,
            manifest=self._manifest(),
            seed=self.recipe.seed,
            funnel=self._funnel(),
            training=training(self.folder / "sft" / "metrics.jsonl"),
            learning=learning(self.folder / "rl"),
            seconds={name: stage.seconds for name, stage in manifest.stages.items()},
        )
        tell_toolless(report, self.teller)
        write(report, self.folder / "report.json")
        page = self._render(report, samples(attempts, tasks), change(attempts, tasks))
        write_text(self.folder / "report.html", page)
        return report

    def _manifest(self) -> dict[str, Any]:
        tasks = sha256_file(self.folder / "tasks/test.jsonl")
        models = {
            name: folder_key(
                model_folder(self.recipe.model) if name == "base" else self.folder / name / "model"
            )
            for name in self._policies
        }
        renderer = self._renderer
        scored = {
            name: Scored(
                model, kept_engine(self.folder / f"eval-{name}"), renderer.tokenizer_sha256,
                renderer.family.name,
            )
            for name, model in models.items()
        }  # fmt: skip
        return score_manifest(self.recipe, self._arena("test"), tasks, "test", scored)

    def _funnel(self) -> list[FunnelStage]:
        from webfarer.train.folder import left_out

        counts = json.loads((self.folder / "curated/funnel.json").read_text())
        return funnel_stages(counts, *left_out(self.folder / "sft" / "model"))

    # Bookkeeping

    def _key(self, name: str, *parts: Any) -> str:
        self._keys[name] = key_of(__version__, name, *parts)
        return self._keys[name]

    def _stage(self, name: str, key: str, work: Callable[[Path], None]) -> None:
        done = stage(self.folder, name, key, work, warn=self.teller.warn)
        self.teller.say(f"{name}: {done.seconds:.1f} s", style="dim")
