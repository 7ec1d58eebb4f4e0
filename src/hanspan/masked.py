"""How well one end of a text goes on where another stops, by an encoder's masked probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hanspan.encoders import embedded_encoder
from hanspan.errors import HanspanError
from hanspan.quiet import quietly

SEEN, HIDDEN = 24, 3
"""Characters in view on either side of a border, and hidden at it."""
_BATCH = 64


class MaskedGains:
    """What either side of a border gains by the other, as the embedded encoder sees it.

    The mean log probability of the characters at a border, hidden, with the other side in view,
    less that without it; summed over both sides. In nats a character, above 0 for what fits.
    """

    def __init__(self) -> None:
        """Load the embedded encoder.

        Raises:
            HanspanError: when torch and transformers are missing, or the encoder is.
        """
        try:
            import torch
            from transformers import AutoModelForMaskedLM, AutoTokenizer
        except ImportError as err:
            raise HanspanError(
                "the encoder needs torch and transformers; type: pip install 'hanspan[train]'"
            ) from err
        folder = embedded_encoder()
        if folder is None:
            raise HanspanError("found no encoder inside the package; expected assets/encoder")
        self.torch: Any = torch
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        net: Any = quietly(lambda: AutoModelForMaskedLM.from_pretrained(str(folder)))
        self.net = net.float().eval()

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The gain of each pair of a left and a right end."""
        lefts = list(dict.fromkeys(left for left, _ in pairs))
        rights = list(dict.fromkeys(right for _, right in pairs))
        rows = [self._row(left, right, after) for left, right in pairs for after in (False, True)]
        rows += [self._row(left, "", after=False) for left in lefts]
        rows += [self._row("", right, after=True) for right in rights]
        found = self._log_odds(rows)
        both, alone = found[: 2 * len(pairs)], found[2 * len(pairs) :]
        left_alone = dict(zip(lefts, alone[: len(lefts)], strict=True))
        right_alone = dict(zip(rights, alone[len(lefts) :], strict=True))
        return [
            both[2 * n] - left_alone[left] + both[2 * n + 1] - right_alone[right]
            for n, (left, right) in enumerate(pairs)
        ]

    def _row(self, left: str, right: str, after: bool) -> tuple[list[int], list[int]]:
        """Tokens of a border, and the places that are hidden: after it or before it."""
        tok = self.tokenizer
        before = tok(left, add_special_tokens=False)["input_ids"][-SEEN:]
        behind = tok(right, add_special_tokens=False)["input_ids"][:SEEN]
        border = 1 + len(before)
        row = [tok.cls_token_id, *before, *behind, tok.eos_token_id or tok.sep_token_id]
        if after:
            return row, list(range(border, border + min(HIDDEN, len(behind))))
        return row, list(range(max(1, border - HIDDEN), border))

    def _log_odds(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[float]:
        """Mean log probability of what is hidden, one a row; rows of like length go together."""
        torch, found = self.torch, [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda place: len(rows[place][0]))
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            size = max(len(rows[place][0]) for place in part)
            true = torch.full((len(part), size), self.tokenizer.pad_token_id)
            for line, place in enumerate(part):
                true[line, : len(rows[place][0])] = torch.tensor(rows[place][0])
            shown = true.clone()
            for line, place in enumerate(part):
                shown[line, rows[place][1]] = self.tokenizer.mask_token_id
            mask = (true != self.tokenizer.pad_token_id).long()
            with torch.no_grad():
                logits = self.net(input_ids=shown, attention_mask=mask).logits
            for line, place in enumerate(part):
                spots = rows[place][1]
                if spots:
                    chance = torch.log_softmax(logits[line, spots], -1)
                    wanted = true[line, spots].unsqueeze(-1)
                    found[place] = chance.gather(-1, wanted).mean().item()
        return found
