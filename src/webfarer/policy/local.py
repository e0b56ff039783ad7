"""`LocalEngine`: any Hugging Face causal model with full attention, sampled in this process.

One driver runs synchronous steps while there are requests; between steps the event loop gets its
turn, so that finished attempts run their tools and come back. A step admits waiting requests,
pre-fills what the cache lacks of their prompts (all but the last id), then feeds one id of every
sequence and draws the next: the last id of a prompt and each sampled one go the same way.
Sequences join and leave between steps (continuous batching: Yu et al. 2022, Orca), and a
sequence's keys and values stay for its next turn.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel

from webfarer.policy.attend import share
from webfarer.policy.cache import SlotCache
from webfarer.policy.engine import Completion, Sampling
from webfarer.policy.model import load_model
from webfarer.policy.sample import draw, uniforms
from webfarer.policy.slots import Slots
from webfarer.policy.stops import Stops
from webfarer.policy.support import as_prompt, check_model, out_of_memory, serving
from webfarer.types import BadInput, FailureError

_GROW = 256  # positions by which the cache grows
_SHARE = 32  # ids worth waiting a moment for, until another request has computed them
_GATHER = 8  # admit when an eighth of the running sequences wait, or after as many steps


@dataclass(slots=True, eq=False)
class _Request:
    prompt: np.ndarray
    sampling: Sampling
    table: int
    future: asyncio.Future[Completion]
    submitted: float
    admitted: float = 0.0
    cached: int = 0
    slot: int = -1
    retried: bool = False

    @property
    def end(self) -> int:
        return len(self.prompt) + self.sampling.max_tokens


class LocalEngine:
    """An `Engine` over a model in memory.

    `slots` sequences are kept at most, of `context` tokens at most; `max_cache_tokens` bounds the
    cache's size (rows x positions) where memory is short, and then fewer run at once and idle
    sequences are evicted, the least recently used first, and pre-filled again when they return.
    Where memory runs out, the bound is halved and the running requests begin again, once each.
    `chunk` bounds the new tokens of one sequence in a pre-fill forward, `batch_tokens` those of
    all of them. `tokenizer` is needed for stop strings only.

    Log-probabilities equal a full forward pass within 1e-4 in float32; in bfloat16 the mean
    absolute difference is under 0.01. The same requests in the same order give the same results
    bit for bit. The model's weights may change between requests (`refresh`); its layers may not be
    replaced or wrapped. Raises BadInput for a model that it would be wrong for.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Tokenizer | None = None,
        *,
        slots: int = 128,
        context: int = 2048,
        max_cache_tokens: int | None = None,
        chunk: int = 512,
        batch_tokens: int = 4096,
        version: int = 0,
    ) -> None:
        if min(slots, context, chunk, batch_tokens) < 1:
            raise ValueError("slots, context, chunk and batch_tokens must be positive")
        if max_cache_tokens is not None and max_cache_tokens < context:
            raise ValueError(f"max_cache_tokens {max_cache_tokens} holds no context of {context}")
        self._forward = check_model(model, context)
        config = model.config.get_text_config()
        self.context = context
        self.version = version
        self._model = model
        self._device = model.device
        self._cache = SlotCache(config.num_hidden_layers, model.device, packed=self._forward.packed)
        self._slots = Slots(slots, context)
        self._stops = Stops(config.vocab_size, tokenizer)
        self._budget = slots * context if max_cache_tokens is None else max_cache_tokens
        self._vocabulary = config.vocab_size
        self._chunk = chunk
        self._batch_tokens = batch_tokens
        self._waiting: deque[_Request] = deque()
        self._patience = 0
        self._held = 0
        self._driver: asyncio.Task[None] | None = None

    async def generate(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        """Samples a continuation; see `Engine`. A cancelled call frees its place at once."""
        prompt = as_prompt(prompt_ids, sampling, self._vocabulary, self.context)
        table = self._stops.table(sampling.stop, sampling.stop_ids)
        future = asyncio.get_running_loop().create_future()
        request = _Request(prompt, sampling, table, future, time.perf_counter())
        self._waiting.append(request)
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon(request)
            raise

    async def update_weights(self, source: Path, version: int) -> None:
        """Loads a model folder in place, once the running requests are done; new ones wait.

        Raises BadInput where the folder is unusable or holds another model; nothing changes then.
        """
        self._held += 1
        try:
            while self._slots.live:
                await asyncio.sleep(0)
            dtype = str(self._model.dtype).removeprefix("torch.")
            fresh = load_model(Path(source), dtype=dtype, device="cpu")
            self.load_state(fresh.state_dict(), version)
        finally:
            self._held -= 1
            self._wake()

    def load_state(self, state: Mapping[str, Tensor], version: int) -> None:
        """Copies weights into the model. Raises BadInput where names or shapes differ, and
        RuntimeError while requests are running."""
        own = self._model.state_dict()
        if own.keys() != state.keys():
            name = sorted(own.keys() ^ state.keys())[0]
            raise BadInput(f"the weights are of another model: {name} is in one of them only")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                was, new = tuple(tensor.shape), tuple(state[name].shape)
                raise BadInput(f"the weights are of another model: {name} is {new}, not {was}")
        self._idle_only()
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])
        self.refresh(version)

    def refresh(self, version: int) -> None:
        """Forgets the cache, the model's weights having changed (in training, say)."""
        self._idle_only()
        self._clear()
        self.version = version

    async def forget(self) -> None:
        """Drops the cache; see `Engine`."""
        self._idle_only()
        self._clear()

    def rest(self) -> None:
        """Gives the cache's memory back where it is an accelerator's, which a trainer shares; the
        system's own is kept, since fresh memory costs more than zeroing it."""
        if self._device.type != "cpu":
            self._idle_only()
            self._clear(free=True)

    def _idle_only(self) -> None:
        if self._slots.live:
            raise RuntimeError(
                "weights and cache cannot change while requests are running; await them first"
            )

    def _clear(self, *, free: bool = False) -> None:
        """As new: whatever is left here would show in the order of the rows, hence in the bits."""
        self._cache.clear(free=free)
        self._slots.clear()
        self._patience = 0

    # The driver

    def _wake(self) -> None:
        if self._waiting and (self._driver is None or self._driver.done()):
            self._driver = asyncio.get_running_loop().create_task(self._drive())

    async def _drive(self) -> None:
        try:
            while self._slots.live or (self._waiting and not self._held):
                self._safe_step()
                await asyncio.sleep(0)
        finally:
            if self._slots.live:  # the loop is being closed under us
                self._fail("the event loop ended")

    def _safe_step(self) -> None:
        try:
            with torch.inference_mode(), serving(self._model, self._cache.packed):
                self._step()
        except Exception as error:  # whatever broke, the agents must hear of it
            if not (out_of_memory(error) and self._begin_again()):
                self._fail(f"{type(error).__name__}: {error}".splitlines()[0])

    def _step(self) -> None:
        if self._admits():
            while planned := self._plan():
                self._prefill(np.array([request.slot for request in planned]))
        if self._slots.live:
            self._compact()
            self._decode()

    def _fail(self, message: str) -> None:
        for request in [*self._stop_serving(), *self._waiting]:
            if not request.future.done():
                request.future.set_exception(FailureError("engine", message))
        self._waiting.clear()

    def _begin_again(self) -> bool:
        """Halves what the cache may take and queues the served requests again, ahead of the others.

        False where one of them was queued again before, or one sequence needs all that is left.
        Draws are keyed by position, so what was sampled so far is sampled again.
        """
        cache, owners = self._cache, self._slots.owner
        held = cache.rows * cache.capacity or self._budget
        budget = max(min(held, self._budget) // 2, self.context)
        if budget >= self._budget or any(owner and owner.retried for owner in owners):
            return False
        self._budget = budget
        served = self._stop_serving()
        for request in served:
            request.retried, request.slot = True, -1
        self._waiting.extendleft(sorted(served, key=lambda one: one.submitted, reverse=True))
        return True

    def _stop_serving(self) -> list[_Request]:
        """Takes every slot and all of the cache back; returns the requests that had them."""
        slots = self._slots
        served = [slots.owner[slot] for slot in np.flatnonzero(slots.live_S)]
        for slot in np.flatnonzero(slots.live_S):
            slots.release(int(slot))
        self._clear(free=True)
        return served

    def _abandon(self, request: _Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
        elif request.slot >= 0 and self._slots.owner[request.slot] is request:
            self._slots.release(request.slot)

    # Admission

    def _admits(self) -> bool:
        """Pre-filling a few at a time wastes forwards, so a moment's waiting gathers more."""
        if not self._waiting or self._held:
            return False
        self._patience += 1
        enough = len(self._waiting) * _GATHER >= self._slots.live
        if not enough and self._patience < _GATHER:
            return False
        self._patience = 0
        return True

    def _plan(self) -> list[_Request]:
        """Gives waiting requests their slots, first come first served.

        Where not all can run, those whose sequence is still warm go before those who would evict
        it. One whose prefix another in this plan is about to compute is left for the next plan.
        """
        if len(self._waiting) + self._slots.live > max(self._cache.rows, 1):
            is_cold = [self._slots.extended_by(request.prompt) < 0 for request in self._waiting]
            order = np.argsort(is_cold, kind="stable")
            self._waiting = deque(self._waiting[i] for i in order)
        planned: list[_Request] = []
        later: list[_Request] = []
        try:
            while self._waiting and self._has_room(self._waiting[0]):
                (planned if self._place(self._waiting[0]) else later).append(self._waiting[0])
                self._waiting.popleft()
        finally:  # where memory runs out here, nobody may be lost
            self._waiting.extendleft(reversed(later))
        return planned

    def _has_room(self, request: _Request) -> bool:
        """Whether a row is to be had; the cache is grown where it can be."""
        slots, cache = self._slots, self._cache
        need = max(request.end, int(self._slots.end_S[slots.live_S].max(initial=0)))
        if need > cache.capacity:
            capacity = min(-(-need // _GROW) * _GROW, self.context)
            double = min(max(capacity, 2 * cache.capacity), self.context)
            if double * len(slots.row_S) <= self._budget:  # nobody's place is at stake
                capacity = double
            rows = min(len(slots.row_S), self._budget // capacity)
            if rows <= slots.live:
                return False
            cache.reshape(rows, capacity, slots.relayout(rows))
        return slots.live < cache.rows

    def _place(self, request: _Request) -> bool:
        """Finds the request's slot and what it may keep; False where waiting saves more."""
        slots, prompt = self._slots, request.prompt
        slot = slots.extended_by(prompt)
        kept = int(slots.cached_S[slot]) if slot >= 0 else 0
        if kept * 2 < len(prompt):
            match = slots.match(prompt)
            ready = min(match.shared, int(slots.cached_S[match.slot]))
            if match.shared - max(ready, kept) >= _SHARE:
                return False
            slot = slot if slot >= 0 else slots.spare()
            if ready > kept:
                if match.slot != slot:
                    source, to = slots.row_S[match.slot], slots.row_S[slot]
                    self._cache.copy_prefix(int(source), int(to), ready)
                kept = ready
        request.slot, request.cached, request.admitted = slot, kept, time.perf_counter()
        slots.serve(slot, request, prompt, request.sampling, kept, request.table)
        return True

    # The model

    def _feed(self, slots_B: np.ndarray, end_B: np.ndarray, steps: int) -> Tensor:
        """Feeds each slot's next ids, up to `steps` and `end_B`; the logits (B, V) of the last."""
        slots, cache = self._slots, self._cache
        start_B = slots.cached_S[slots_B]
        end_B = np.minimum(start_B + steps, end_B)
        step = cache.begin(slots.row_S[slots_B], start_B, end_B)
        ids = slots.tokens_ST[slots_B[step.which], step.at].astype(np.int64)
        logits_BV = self._forward(cache, ids)
        slots.cached_S[slots_B] = end_B
        return logits_BV

    def _prefill(self, slots_P: np.ndarray) -> None:
        """Computes all of the prompts but their last ids, similar lengths together."""
        slots = self._slots
        while True:
            left_P = slots.prompt_S[slots_P] - 1 - slots.cached_S[slots_P]
            slots_P, left_P = slots_P[left_P > 0], left_P[left_P > 0]
            if not len(slots_P):
                return
            order = np.argsort(-left_P, kind="stable")
            steps = min(self._chunk, int(left_P[order[0]]))
            if self._cache.packed:  # without padding it is the tokens themselves that count
                fit = int((np.cumsum(np.minimum(left_P[order], steps)) <= self._batch_tokens).sum())
            else:
                similar = int((left_P * 2 >= steps).sum())
                fit = min(similar, self._batch_tokens // steps)
            batch = slots_P[order[: max(1, fit)]]
            self._feed(batch, slots.prompt_S[batch] - 1, steps)

    def _compact(self) -> None:
        slots = self._slots
        self._move(*slots.compact())
        if self._cache.packed:
            self._move(*slots.arrange(share(slots.live)))

    def _move(self, to_M: np.ndarray, source_M: np.ndarray, width_M: np.ndarray) -> None:
        if len(to_M):
            self._cache.move(to_M, source_M, width_M)

    def _decode(self) -> None:
        """Feeds one id of every sequence and draws the next."""
        slots = self._slots
        slots_B = slots.slot_of_row[: slots.live]
        logits_BV = self._feed(slots_B, slots.cached_S[slots_B] + 1, 1)
        at_B = slots.cached_S[slots_B]
        uniform_B = uniforms(slots.seed_S[slots_B], at_B - slots.prompt_S[slots_B])
        given = (slots.temperature_S[slots_B], slots.top_p_S[slots_B], slots.top_k_S[slots_B])
        tensors = [torch.from_numpy(array).to(self._device) for array in (*given, uniform_B)]
        drawn_B, drawn_logprob_B = draw(logits_BV, *tensors)
        ids_B, logprob_B = drawn_B.cpu().numpy(), drawn_logprob_B.cpu().numpy()
        slots.tokens_ST[slots_B, at_B] = ids_B
        slots.logprobs_ST[slots_B, at_B] = logprob_B
        look_B = self._stops.tables[slots.table_S[slots_B], ids_B]
        broken_B = ~np.isfinite(logprob_B)
        for slot in slots_B[broken_B].tolist():
            self._break(slot)
        for slot in slots_B[(look_B | (at_B + 1 >= slots.end_S[slots_B])) & ~broken_B].tolist():
            self._maybe_finish(slot)

    def _break(self, slot: int) -> None:
        request: _Request = self._slots.owner[slot]
        self._slots.forget(slot)
        self._slots.release(slot)
        self._cache.wipe(int(self._slots.row_S[slot]))
        if not request.future.done():
            message = "the model gave logits that are not finite"
            request.future.set_exception(FailureError("engine", message))

    def _maybe_finish(self, slot: int) -> None:
        slots = self._slots
        request: _Request = slots.owner[slot]
        sampling = request.sampling
        span = slice(int(slots.prompt_S[slot]), int(slots.cached_S[slot]) + 1)
        ids = tuple(slots.tokens_ST[slot, span].tolist())
        reason = self._stops.reason(ids, sampling.stop, sampling.stop_ids)
        if reason is None and len(ids) < sampling.max_tokens:
            return
        now = time.perf_counter()
        completion = Completion(
            ids=ids,
            logprobs=tuple(slots.logprobs_ST[slot, span].tolist()),
            finish=reason or "length",
            policy_version=self.version,
            cached_tokens=request.cached,
            queue_s=request.admitted - request.submitted,
            model_s=now - request.admitted,
        )
        slots.release(slot)
        if not request.future.done():
            request.future.set_result(completion)
