"""Which tasks a step is about: keyed by seed and step, so that a run goes on where it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from webfarer.types import BadInput, Record, RlSettings, Task, random_for


class Seen(Record):
    """One group of a finished step: how many of its members that count were correct, how often it
    counted, and the tokens of all of them. A line of groups.jsonl, and of prefilter.jsonl."""

    step: int
    task: str
    correct: int
    valid: int
    count: int
    tokens: int = 0

    @property
    def partly(self) -> bool:
        return 0 < self.correct < self.valid


class TaskOrder:
    """The tasks in an order of their own for each epoch, from a cursor on."""

    def __init__(self, tasks: Sequence[Task], settings: RlSettings, seed: int) -> None:
        if not tasks:
            raise BadInput("there is no task to learn from: make some, or loosen the pre-filter")
        self._tasks = {task.id: task for task in tasks}
        self._settings, self._seed = settings, seed
        self._partly: dict[str, bool] = {}

    def learn(self, seen: Iterable[Seen]) -> None:
        """Takes note of how groups did, for drawing partly solved tasks again."""
        self._partly.update({one.task: one.partly for one in seen})

    def take(
        self, step: int, cursor: int, count: int, taken: Collection[str] = ()
    ) -> tuple[list[Task], int]:
        """`count` tasks for the step, and the cursor after them. None is one of those `taken` for
        this step already, or there twice, unless there are fewer tasks than are asked for."""
        again = self._again(step, count, taken)
        chosen, names = list(again), {*taken, *(task.id for task in again)}
        allowed = self.allowed(step)
        for task in self._from(cursor):
            if len(chosen) == count:
                break
            cursor += 1
            if task.id in allowed and (task.id not in names or len(names) >= len(allowed)):
                names.add(task.id)
                chosen.append(task)
        return chosen, cursor

    def _from(self, cursor: int) -> Iterator[Task]:
        """All tasks, epoch after epoch, from the cursor on, without end."""
        names = sorted(self._tasks)
        while True:
            epoch, place = divmod(cursor, len(names))
            order = list(names)
            random_for("rl tasks", self._seed, epoch).shuffle(order)
            yield from (self._tasks[name] for name in order[place:])
            cursor += len(names) - place

    def _again(self, step: int, count: int, taken: Collection[str]) -> list[Task]:
        """Tasks that some attempts solved and others did not, drawn again."""
        wanted = round(self._settings.partly_solved * count)
        known = sorted(name for name, partly in self._partly.items() if partly)
        allowed = self.allowed(step)
        known = [name for name in known if name in allowed and name not in taken]
        picked = random_for("rl again", self._seed, step).sample(known, min(wanted, len(known)))
        return [self._tasks[name] for name in picked]

    def allowed(self, step: int) -> set[str]:
        """The tasks of the levels that the curriculum has reached, the lowest there is at least;
        without one, all."""
        if not self._settings.levels_by_step:
            return set(self._tasks)
        levels = [level for begins, level in self._settings.levels_by_step if begins <= step]
        most = max([min(task.level for task in self._tasks.values()), *levels])
        return {name for name, task in self._tasks.items() if task.level <= most}


def out_of_reach(tasks: Sequence[Task], settings: RlSettings) -> int:
    """How many of the tasks are above all levels that the curriculum reaches."""
    order = TaskOrder(tasks, settings, 0)
    return len(tasks) - len(order.allowed(settings.steps))
