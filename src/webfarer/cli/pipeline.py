"""The run: data, trajectories, cold start, reinforcement learning, scores, one after another.

Each stage reads what the stages before it wrote into the run's folder and writes its own; its key
is the hash of its settings and of the keys it builds on. A run that is killed, anywhere, is run
again with the same command and comes to the same report but for its timings.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from webfarer import __version__
from webfarer.cli.graders import graded_by
from webfarer.cli.manifest import (
    Scored,
    claim,
    folder_key,
    kept_engine,
    score_manifest,
)
from webfarer.cli.progress import Teller, tell_toolless
from webfarer.cli.run_folder import SCRIPTED, RunFolder, make_share, reinforce_too
from webfarer.cli.run_report import (
    as_many_steps,
    change,
    funnel_stages,
    learning,
    samples,
    training,
)
from webfarer.cli.run_worlds import SPLITS, graphs
from webfarer.cli.train import shown, tell_left_out
from webfarer.cli.workers import (
    alongside,
    make_ready,
    side_by_side,
    threads_shared,
    workers_for,
)
from webfarer.curate.training_set import make_training_set, read_training_set
from webfarer.evals.report import build_report, write
from webfarer.grade.rules import equivalent
from webfarer.graph.files import save
from webfarer.policy.source import model_folder
from webfarer.store.atomic import write_text
from webfarer.store.jsonl import write_jsonl
from webfarer.store.manifest import key_of, read_manifest, sha256_file, stage
from webfarer.store.parts import Parts
from webfarer.synth.tasks import make_tasks
from webfarer.types import BadInput, Recipe, SftSettings, Split, Task, Trajectory
from webfarer.types.report import FunnelStage, Report

Shown = Sequence[tuple[Task, Trajectory]]
Render = Callable[[Report, Shown, Shown], str]


class Run:
    """One recipe in one folder. Raises BadInput where the folder holds another recipe's run, or
    other files."""

    def __init__(self, recipe: Recipe, folder: Path, teller: Teller, render: Render) -> None:
        self.recipe, self.folder, self.teller, self._write_page = recipe, folder, teller, render
        self.data, self._keys = RunFolder(recipe, folder), dict[str, str]()
        claim(folder, recipe.model_dump(mode="json"))

    def all(self) -> Report:
        """Every stage that is not done, in order; then the report."""
        if self.recipe.workers != 1:
            make_ready()
        self.data.renderer.count("")  # a model that cannot be used is told before anything is made
        self.worlds()
        self.tasks()
        self.expert()
        self.valid()
        self.curated()
        self.evaluate("base")
        self.sft()
        self.evaluate("sft")
        if self.recipe.rl.steps:
            self.rl()
            self.evaluate("rl")
            if self.recipe.further:
                self.further()
                self.evaluate("further")
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
        facts = sum(len(world.graph.facts) for world in self.data.worlds.values())
        self.teller.say(f"{len(self.data.worlds)} worlds, {facts:,} facts")

    def tasks(self) -> None:
        key = self._key("tasks", self.recipe.tasks, self._keys["worlds"])
        self._stage("tasks", key, self._make_tasks)
        counts = ", ".join(f"{len(self.data.tasks(split)):,} {split}" for split in SPLITS)
        example = next(iter(self.data.tasks("test").values()))
        self.teller.say(f"tasks: {counts}. One of them: {example.question}")

    def _make_tasks(self, out: Path) -> None:
        run = self.data
        with self.teller.bar("tasks", len(run.worlds)) as update:
            made: dict[Split, list[Task]] = {name: [] for name in SPLITS}
            for number, (folder, world) in enumerate(self.data.worlds.items(), 1):
                name: Split = folder.partition("-")[0]  # pyright: ignore[reportAssignmentType]
                wanted = getattr(self.recipe.tasks, name)
                made[name] += make_tasks(
                    run.source(world, name), seed=self.recipe.seed, split=name, per_level=wanted,
                    recipe=self.recipe.name,
                )  # fmt: skip
                update(number, len(run.worlds))
        for name in ("train", "test"):
            if not made[name]:
                raise BadInput(
                    f"no valid {name} question can be asked of this graph: every relation is "
                    "many-valued, guessable or too rare; give a graph with more facts"
                )
        for name, tasks in made.items():
            write_jsonl(out / f"{name}.jsonl", tasks)

    # Trajectories

    def expert(self) -> None:
        recipe = self.recipe
        key = self._key(
            "expert", recipe.expert, recipe.tools, recipe.rollout.prompt, recipe.rollout.max_turns,
            self.data.renderer.tokenizer_sha256, self._keys["tasks"],
            *graded_by(recipe.grade).values(),
        )  # fmt: skip

        self._stage("expert", key, lambda _: self._collect("expert", "expert"))

    def valid(self) -> None:
        """The expert, without faults, at the validation tasks: what the validation loss is of."""
        recipe = self.recipe
        key = self._key(
            "valid", recipe.seed, recipe.tools, recipe.rollout.prompt, recipe.rollout.max_turns,
            self.data.renderer.tokenizer_sha256, self._keys["tasks"],
            *graded_by(recipe.grade).values(),
        )  # fmt: skip

        self._stage("valid", key, lambda _: self._collect("valid", "expert, valid"))

    def _collect(self, stage: str, title: str) -> None:
        """A stage's attempts, made by several processes where that pays; what they leave undone,
        where one of them fails, is done here."""
        parts, total = Parts(self.folder / stage), len(self.data.jobs(stage))
        chunk = self.recipe.rollout.chunk
        left = len(parts.missing(math.ceil(total / chunk)))
        if not total:
            return
        count = workers_for(self.recipe.workers, left, local=stage in SCRIPTED)
        with self.teller.bar(title, total) as update, threads_shared(count):

            def watch() -> None:
                update(min(len(parts.done()) * chunk, total), total)

            if count > 1:
                side_by_side(count, make_share, (self.recipe, self.folder, stage), watch)
            self.data.attempts(stage, update=update)

    # The training set

    def curated(self) -> None:
        key = self._key(
            "curated", self.recipe.funnel, self.data.renderer.family.name, self._keys["expert"]
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
            trajectories, self.data.tasks("train"), self.data.renderer, self.recipe.funnel, out,
            self.folder / "expert",
        )  # fmt: skip

    # Training and evaluation

    def sft(self) -> None:
        source = folder_key(model_folder(self.recipe.model))
        above = (source, self._keys["curated"], self._keys["valid"])
        self._fine_tune("sft", "base", self.recipe.sft, *above)
        tell_left_out(self.folder / "sft" / "model", self.recipe.sft.length, self.teller)

    def _fine_tune(self, name: str, begin: str, settings: SftSettings, *above: str) -> None:
        """Fine-tunes a policy's model on the training set, in this process, whose threads share
        out a row better than processes would rows."""
        from webfarer.train.sft import fine_tune

        def work(out: Path) -> None:
            if not (out / "metrics.jsonl").exists():  # the report needs them: train anew
                shutil.rmtree(out / "model", ignore_errors=True)
            segments = read_training_set(self.folder / "curated")
            valid = self.data.valid_segments() if settings.valid_checks else []
            with self.teller.bar("fine-tuning") as update:
                fine_tune(
                    settings, self.data.model(begin), segments, out, shown(update), valid=valid
                )

        self._stage(name, self._key(name, settings.telling(), *above), work)

    def further(self) -> None:
        """More fine-tuning, for as long as the steps of reinforcement learning took: what it is
        held against.

        The same trajectories, from the weights of the cold start, at its learning rate.
        """
        steps = as_many_steps(self.folder / "sft", self.folder / "rl")
        settings = self.recipe.sft.model_copy(update={"steps": steps, "valid_checks": 0})
        self._fine_tune("further", "sft", settings, self._keys["sft"])

    def rl(self) -> None:
        recipe = self.recipe
        key = self._key(
            "rl", recipe.seed, recipe.rl.telling(), recipe.rollout, recipe.tools,
            self._keys["sft"], self._keys["valid"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        def work(out: Path) -> None:
            spoilt = (out / "model").exists() and not (out / "metrics.jsonl").exists()
            if spoilt:  # the report needs them: train anew
                shutil.rmtree(out)
                out.mkdir()
            count = workers_for(recipe.workers, recipe.rl.tasks, local=False)
            with alongside(count, reinforce_too, (recipe, self.folder, key)) as ranks:
                self.data.reinforce(key, ranks, self.teller)

        self._stage("rl", key, work)

    def evaluate(self, name: str) -> None:
        recipe = self.recipe
        above = self._keys.get(name) or folder_key(self.data.model(name))
        key = self._key(
            f"eval-{name}", recipe.seed, recipe.eval, recipe.rollout, recipe.tools, above,
            self.data.renderer.family.name, self._keys["tasks"], *graded_by(recipe.grade).values(),
        )  # fmt: skip

        stage = f"eval-{name}"
        self._stage(stage, key, lambda _: self._collect(stage, f"evaluating {name}"))

    # The report

    def report(self) -> Report:
        tasks = {id: t for id, t in self.data.tasks("test").items()
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
        page = self._write_page(report, samples(attempts, tasks), change(attempts, tasks))
        write_text(self.folder / "report.html", page)
        return report

    def _manifest(self) -> dict[str, Any]:
        tasks = sha256_file(self.folder / "tasks/test.jsonl")
        models = {name: folder_key(self.data.model(name)) for name in self._policies}
        renderer = self.data.renderer
        scored = {
            name: Scored(
                model, kept_engine(self.folder / f"eval-{name}"), renderer.tokenizer_sha256,
                renderer.family.name,
            )
            for name, model in models.items()
        }  # fmt: skip
        return score_manifest(self.recipe, self.data.arena("test"), tasks, "test", scored)

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
