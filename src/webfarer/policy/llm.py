"""`LlmPolicy`: a model behind an `Engine`, spoken to in its family's own tokens.

An actor keeps one append-only segment: what was rendered is never rendered again, and what was
sampled is recorded, ids and log-probabilities, as the engine returned it. Nothing is decoded and
encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence

from webfarer.policy.base import Attempt, OutOfContext, Reply
from webfarer.policy.engine import Completion, Engine, Sampling
from webfarer.policy.renderer import Renderer
from webfarer.types import Observation, Segment, seed_for

MIN_TURN_TOKENS = 16  # with less room than this a turn cannot say anything
_THOUGHT_END = "</think>"


class LlmPolicy:
    """A trainable policy. `max_turn_tokens` bounds a turn; near the end of the context a turn gets
    what is left, and below `MIN_TURN_TOKENS` the attempt is out of context.

    `top_p` and `top_k` are for evaluation; reinforcement learning leaves them off.
    """

    trainable = True

    def __init__(
        self,
        name: str,
        engine: Engine,
        renderer: Renderer,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        max_turn_tokens: int = 256,
        places: int | None = None,
    ) -> None:
        if max_turn_tokens < 1:
            raise ValueError(f"max_turn_tokens is {max_turn_tokens}; it must be positive")
        self.name = name
        self.engine = engine
        self.renderer = renderer
        self.temperature = temperature
        self.top_p = top_p
        self.top_k = top_k
        self.max_turn_tokens = max_turn_tokens
        self.places = places

    def start(self, attempt: Attempt) -> LlmActor:
        return LlmActor(self, attempt)

    async def fresh(self) -> None:
        """Drops the engine's cache; see `Policy`."""
        await self.engine.forget()

    def sampling(self, attempt: Attempt, turn: int, room: int) -> Sampling:
        """How a turn is drawn, with `room` tokens left in the context; its seed is its own."""
        return Sampling(
            temperature=0.0 if attempt.greedy else self.temperature,
            top_p=1.0 if attempt.greedy else self.top_p,
            top_k=0 if attempt.greedy else self.top_k,
            max_tokens=min(self.max_turn_tokens, room),
            stop=self.renderer.stop,
            stop_ids=self.renderer.stop_ids,
            seed=seed_for(attempt.seed, turn),
        )


class LlmActor:
    """One attempt. A turn that fails or does not fit leaves the segment as it was."""

    def __init__(self, policy: LlmPolicy, attempt: Attempt) -> None:
        self._policy = policy
        self._attempt = attempt
        self._segment = Segment(tokenizer=policy.renderer.tokenizer_sha256)
        self._turn = 0

    @property
    def segments(self) -> Sequence[Segment]:
        return (self._segment,) if len(self._segment) else ()

    async def act(self, observation: Observation | None) -> Reply:
        """Samples the next turn. Raises OutOfContext, and FailureError where the engine broke."""
        policy = self._policy
        given = self._render(observation)
        prompt = [*self._segment.ids, *given]
        room = policy.engine.context - len(prompt)
        if room < min(MIN_TURN_TOKENS, policy.max_turn_tokens):
            raise OutOfContext(f"{len(prompt)} tokens leave {room} of {policy.engine.context}")
        sampling = policy.sampling(self._attempt, self._turn, room)
        completion = await policy.engine.generate(prompt, sampling)
        self._segment.given(given)
        self._segment.chosen(completion.ids, completion.logprobs, completion.policy_version)
        self._turn += 1
        return self._reply(len(prompt), completion)

    def _render(self, observation: Observation | None) -> list[int]:
        renderer, attempt = self._policy.renderer, self._attempt
        if (observation is None) != (self._turn == 0):
            raise ValueError("the first turn follows no observation, and every other follows one")
        if observation is None:
            return renderer.start(attempt.system, attempt.question)
        closed = self._segment.ids[-1] == renderer.stop_ids[0]
        return renderer.observe(observation, closed=closed)

    def _reply(self, prompt_tokens: int, completion: Completion) -> Reply:
        renderer = self._policy.renderer
        text = renderer.read(completion.ids)
        thought = thought_tokens(renderer, completion.ids, text)
        return Reply(
            text=text,
            finish="length" if completion.finish == "length" else "stop",
            prompt_tokens=prompt_tokens,
            cached_tokens=completion.cached_tokens,
            thought_tokens=thought,
            action_tokens=len(completion.ids) - thought,
            queue_s=completion.queue_s,
            model_s=completion.model_s,
            policy_version=completion.policy_version,
        )


def thought_tokens(renderer: Renderer, ids: Sequence[int], text: str) -> int:
    """How many of the ids it takes to write the thought, its closing tag included.

    A thought that was opened and never closed is all there is; without any, there are none.
    """
    if _THOUGHT_END not in text:
        return len(ids) if text.lstrip().startswith("<think>") else 0
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if _THOUGHT_END in renderer.read(ids[:middle]):
            high = middle
        else:
            low = middle + 1
    return low
