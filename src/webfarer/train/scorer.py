"""Log-probabilities of chosen tokens without ever holding all logits, and values beside them.

With a vocabulary of 152,000 the logits of 32,000 tokens are 19 GB in float32, and a backward pass
holds three such tensors (logits, their log-softmax, its gradient). The last hidden states are
computed once; the output layer and its log-probabilities a chunk at a time, and again in the
backward pass (Chen et al. 2016), so that those of a chunk are all that is held: 220 tokens of that
vocabulary, three times 134 MB, whatever the length. What a family does to its logits after its
output layer (a cap, a scale) is done to each chunk. A family that does something else still has its
own forward pass used instead, with all logits: which of the two is right is tried, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from webfarer.train.attention import Scores, Way, logprobs, of_logits, parts, scores
from webfarer.train.pack import Packed, collate
from webfarer.types import BadInput, Segment

_CHUNK_LOGITS = 1 << 25  # 134 MB in float32


class Scorer:
    """Scores packed rows with a model; `way` is how it attends (`attention.choose_way`). Its
    log-probabilities are those after `temperature`, as an engine samples at it."""

    def __init__(self, model: nn.Module, way: Way, temperature: float = 1.0) -> None:
        self.model = model
        self._way: Way = way
        self._temperature = temperature
        self._head: nn.Module = model.get_output_embeddings()  # pyright: ignore
        self._body: nn.Module = getattr(model, "base_model", model)
        config: Any = model.config
        self._after = _after(config.get_text_config())
        self._rows = max(1, _CHUNK_LOGITS // config.get_text_config().vocab_size)
        self._split = self._agrees()

    @property
    def chunked(self) -> bool:
        """Whether logits are made a chunk at a time; else all of a row's are held."""
        return self._split

    def logprobs(self, row: Packed) -> Tensor:
        """Those of the row's trained tokens, float32, shape N."""
        return self.scores(row).logprobs_N

    def scores(self, row: Packed, entropy: bool = False) -> Scores:
        """Those and, where asked for, the entropy of the distributions they are from."""
        if not self._split:
            return scores(self.model, row, self._way, self._temperature, entropy)
        return self.of_hidden(self.hidden(row), row.targets_N, entropy)

    def hidden(self, row: Packed) -> Tensor:
        """The last hidden states at the places that predict trained tokens, shape N, H. Raises
        BadInput for a model whose hidden states do not give its logits."""
        if not self._split:
            raise BadInput("a value head needs a model whose output layer is all that follows it")
        if self._way == "apart" and len(row.bounds) > 2:
            return torch.cat([self.hidden(part) for part in parts(row)])
        extra = {"cu_seq_lens_q": row.bounds} if self._way == "documents" else {}
        out = self._body(
            input_ids=row.tokens_T[None], position_ids=row.positions_T[None], use_cache=False,
            **extra,
        )  # fmt: skip
        return out.last_hidden_state[0, row.predict_N]

    def of_hidden(self, hidden_NH: Tensor, targets_N: Tensor, entropy: bool = False) -> Scores:
        """The scores of the tokens after these hidden states."""
        chunks = zip(hidden_NH.split(self._rows), targets_N.split(self._rows), strict=True)
        if len(hidden_NH) <= self._rows or not torch.is_grad_enabled():
            return Scores.cat([self._chunk(*chunk, entropy) for chunk in chunks])
        return Scores.cat(
            [checkpoint(self._chunk, *chunk, entropy, use_reentrant=False)  # pyright: ignore
             for chunk in chunks]
        )  # fmt: skip

    def _chunk(self, hidden_NH: Tensor, targets_N: Tensor, entropy: bool) -> Scores:
        logits_NV = self._after(self._head(hidden_NH))
        return of_logits(logits_NV, targets_N, self._temperature, entropy)

    @torch.no_grad()
    def _agrees(self) -> bool:
        """Whether the output layer over the body's hidden states gives the model's own answer."""
        config: Any = self.model.config
        ids = [(place * 7919 + 13) % config.get_text_config().vocab_size for place in range(9)]
        row = collate([Segment("", ids, [1] * 9, [0.0] * 9)])
        row = row.to(next(self.model.parameters()).device)
        training, self._split = self.model.training, True
        self.model.eval()
        try:
            mine_N = self.of_hidden(self.hidden(row), row.targets_N).logprobs_N
            own_N = logprobs(self.model, row, self._way, self._temperature)
            return torch.allclose(mine_N, own_N, atol=1e-3)
        except (AttributeError, TypeError):  # no such body or head in this family
            return False
        finally:
            self.model.train(training)


def _after(config: Any) -> Callable[[Tensor], Tensor]:
    """What families do to their logits after the output layer: Granite divides and Cohere
    multiplies them by a number, Gemma caps them."""
    divided = getattr(config, "logits_scaling", None) or 1.0
    scale = (getattr(config, "logit_scale", None) or 1.0) / divided
    cap = getattr(config, "final_logit_softcapping", None)

    def after(logits_NV: Tensor) -> Tensor:
        if scale != 1.0:
            logits_NV = logits_NV * scale
        return torch.tanh(logits_NV / cap) * cap if cap else logits_NV

    return after
