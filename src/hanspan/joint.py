"""One encoder and two stock heads as one module."""

from __future__ import annotations

import threading
from typing import Any, cast

from torch import Tensor, nn


class _Replay:
    """Stands where a stock head model expects its encoder, and returns a kept output.

    One slot a thread: a served model may be called from several.
    """

    def __init__(self) -> None:
        self.slot = threading.local()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self.slot.output

    def __deepcopy__(self, _: dict[int, Any]) -> _Replay:
        return _Replay()


class JointModel(nn.Module):
    """An encoder with a tag head and, where there are topics, a topic head.

    ``forward(input_ids, attention_mask)`` returns ``(tag_logits (B, L, 1 + 4 * labels),
    topic_logits (B, topics))`` after one pass of the encoder.
    """

    def __init__(self, token_model: Any, topic_model: Any | None, n_tags: int) -> None:
        super().__init__()
        self.n_tags = n_tags
        self.n_topics = 0 if topic_model is None else int(topic_model.config.num_labels)
        self.prefix: str = token_model.base_model_prefix
        # The sequence model's encoder is the fuller one (BERT's has a pooler).
        source = token_model if topic_model is None else topic_model
        self.encoder: nn.Module = getattr(source, self.prefix)
        self.config = token_model.config
        self.token_head = _without_encoder(token_model, self.prefix)
        self.topic_head = (
            None if topic_model is None else _without_encoder(topic_model, self.prefix)
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tag logits of each token and topic logits of each row."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        tags = self._head(self.token_head, output, input_ids, attention_mask)
        if self.topic_head is None:
            return tags, tags.new_zeros((tags.shape[0], 0))
        return tags, self._head(self.topic_head, output, input_ids, attention_mask)

    def _head(self, head: Any, output: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        replay = head.__dict__[self.prefix]
        replay.slot.output = output
        try:
            return cast(
                Tensor,
                head(input_ids=input_ids, attention_mask=attention_mask, return_dict=True).logits,
            )
        finally:
            replay.slot.output = None

    def raise_o(self, amount: float) -> None:
        """Add ``amount`` to the logit of ``O``, in the head's bias."""
        last = [m for m in self.token_head.modules() if isinstance(m, nn.Linear)][-1]
        if last.bias is not None and amount:
            last.bias.data[0] += amount

    @property
    def one_folder(self) -> bool:
        """Whether the two heads' weights have different names."""
        if self.topic_head is None:
            return True
        return not set(self.token_head.state_dict()) & set(self.topic_head.state_dict())

    def head_parameters(self) -> list[nn.Parameter]:
        """Weights outside the encoder."""
        inner = {id(p) for p in self.encoder.parameters()}
        return [p for p in self.parameters() if id(p) not in inner]


def _without_encoder(model: Any, prefix: str) -> Any:
    del model._modules[prefix]
    model.__dict__[prefix] = _Replay()
    return model
