"""Settings of training. No torch here: the config and the command line import it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hanspan.errors import HanspanError

_TOPIC_MASK = 0.3
_SETTLE_BATCH = 1024


class TrainSettings(BaseModel):
    """How the student is trained; the defaults suit a small encoder and weak labels.

    Shares are in [0, 1]. Every piece of the method can be switched off here, which is what
    ``scripts/bench_ablation.py`` does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: str = "auto"
    """``auto`` (the embedded encoder where it ships, else ``random:small``), ``embedded``, a
    folder, a Hub id, or ``random:tiny`` / ``random:small`` for untrained weights."""
    mode: Literal["weak", "mixed", "supervised"] = "weak"
    """``weak`` reads no hand label; ``mixed`` adds those of ``hand``; ``supervised`` reads them
    alone (the reference run)."""
    hand: str | None = None
    """Documents with hand labels, for the modes ``mixed`` and ``supervised``."""
    epochs: int | None = Field(default=None, ge=1, le=1000)
    """Passes over the text; when left out, chosen so that about a million tokens are seen, at
    least 3 and at most 20 passes."""
    lr: float | None = Field(default=None, gt=0, le=1)
    """Peak learning rate; when left out, chosen by the encoder: 1e-3 for random weights and up
    to a width of 320, 3e-4 up to 512, 5e-5 above."""
    head_lr_factor: float = Field(default=3.0, gt=0)
    """The heads learn so many times faster than a pretrained encoder."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's, on matrices only."""
    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps over which the learning rate rises; it then falls to zero linearly."""
    dropout: float | None = Field(default=0.1, ge=0, lt=1)
    """Of the encoder and the heads; null keeps the encoder's own."""
    batch_tokens: int = Field(default=2048, ge=16)
    """Tokens of one batch, padding included."""
    accumulate: int = Field(default=1, ge=1)
    """Batches of one optimiser step."""
    max_length: int = Field(default=256, ge=8)
    """Tokens of a window, special ones included; longer texts are cut at sentence ends."""
    seed: int = 7
    """Of weights, order, dropout and sampling."""
    seeds: int = Field(default=1, ge=1, le=16)
    """How many students are trained and averaged; above 1 one more is distilled from them."""
    rounds: int = Field(default=0, ge=0, le=5)
    """Self-training rounds after the first student."""
    round_epochs: float = Field(default=0.5, gt=0, le=10)
    """Length of one round, as a share of the first training's passes; at least one pass."""
    pool: str | None = None
    """More unlabelled documents that self-training rounds learn from."""
    confidence: float = Field(default=0.8, ge=0, le=1)
    """A teacher's span counts in a round from this probability on."""
    sure_o: float = Field(default=0.9, ge=0, le=1)
    """A teacher's ``O`` counts in a round from this probability on."""
    anchors: bool = True
    """Rounds keep what rules say of tokens; false: the teacher answers for these too."""
    sharpen: float = Field(default=2.0, ge=1)
    """Teacher probabilities are raised to this power and normalised again."""
    settle: int = Field(default=0, ge=0)
    """Tokens of a last short training on the student's own answers, taken over whole spans alone
    and uncertain ones included. Afterwards each token's best tag alone spells more nearly the
    same spans, for readers without our decode, such as the stock pipeline. 0 leaves it out."""
    pair_weight: float = Field(default=5.0, ge=0)
    """Weight, in that training, of the loss that wants neighbouring tags to fit."""
    topic_confidence: float = Field(default=0.7, ge=0, le=1)
    """A teacher's topic counts in a round from this probability on, in place of the rules'."""
    targets: Literal["winner", "soft"] = "winner"
    """``winner``: characters of a span of the label model take that span's tags, weighted by how
    sure it is that there is one; ``soft``: they keep its distribution over all candidates, ``O``
    among them, which finds less and is wrong less often. A document takes the rules'
    likeliest topic either way."""
    unknown_share: float = Field(default=0.3, ge=0, le=1)
    """Share of the characters that no rule spoke of that is trained as ``O``, drawn anew in each
    epoch. 0 trusts negatives alone; 1 is the naive way."""
    correct_prior: bool | Literal["auto"] = "auto"
    """After training, raise the logit of ``O`` by what that sampling took from it; ``auto``: where
    that agrees better with the rules on the held-out documents."""
    confidence_weight: bool = True
    """Weight a soft label by its highest probability."""
    mask_missed: bool = True
    """After warm-up, drop an ``O`` that no rule vouches for where the model is sure of an
    entity."""
    mask_after: float = Field(default=0.3, ge=0, le=1)
    """Share of the steps after which that begins."""
    mask_threshold: float = Field(default=0.6, ge=0, le=1)
    """Probability of any entity from which the model counts as sure."""
    mask_guard: float = Field(default=1.0, ge=0)
    """At most so many characters of a type are dropped for each labelled one, so that a rare
    type cannot run away."""
    topic_weight: float = Field(default=0.1, ge=0)
    """Weight of the topic loss beside the tag loss."""
    topic_balance: float = Field(default=0.0, ge=0, le=1)
    """0: each document counts alike; 1: each topic as if it had as many documents as the others
    (hand-labelled ones too), but none of them more than ten times. How sure the rules are still
    counts. For text whose topics are spread otherwise than where the model is to be used."""
    mask_tokens: float | None = Field(default=None, ge=0, lt=1)
    """Share of the tokens that the student does not see in training, drawn anew in each epoch, so
    that it learns the words beside those that rules look for (seed word deletion, Dong et al.,
    EMNLP 2023); when left out, 0.3 for weak labels of topics alone, else 0."""
    replace_mentions: float = Field(default=0.0, ge=0, le=1)
    """Share of labelled mentions that are replaced by another of their type, anew each epoch."""
    replace_from: dict[str, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    """Label -> a file of names, one a line: mentions are replaced by these too, not only by those
    that the text holds."""
    held_out: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the documents that is kept from training, to watch agreement with the rules."""
    select: Literal["last", "agreement", "gold"] = "last"
    """Which epoch is kept: the last, the one that agrees best with the rules on the held-out
    documents, or the one that scores best on ``select_gold``; the name and the card of a model
    that was chosen by gold say so. A round of self-training whose epochs all score less than what
    it began from is not kept, but for the one that makes one student of several (and where there
    are topics alone, whose rules a round is to depart from)."""
    patience: int | None = Field(default=None, ge=1)
    """End a training after so many epochs in a row without a better score; with ``select``."""
    select_gold: str | None = None
    """Documents with hand labels, for ``select: gold`` alone."""
    hide_rules: tuple[str, ...] = ()
    """Rules whose spans are kept from training; the summary then says how many of them the
    student finds in the held-out documents. For choosing settings without gold."""
    hide_mentions: float = Field(default=0.0, ge=0, lt=1)
    """Share of all mentions, drawn by their text, that is kept from training in the same way."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 on a GPU or a CPU that multiplies it (AMX, AVX-512); else fp32."""
    compile: bool = False
    """Compile the encoder's step for a few fixed batch shapes: a minute or two to start with,
    then about 1.5 times as fast. For long runs."""
    device: Literal["auto", "cpu"] = "auto"
    """``auto``: a GPU where there is one."""
    save_every: int = Field(default=200, ge=1)
    """Steps between checkpoints, from which a killed run goes on exactly."""

    def of_stage(self, name: str, offset: int, *, topics_alone: bool) -> TrainSettings:
        """These settings for one stage of a run, with all that was left to it filled in.

        Args:
            name: ``student-N``, ``round-N`` or ``settle``.
            offset: added to the seed.
            topics_alone: the task has no types of spans.
        """
        change: dict[str, Any] = {"seed": self.seed + offset}
        if self.mask_tokens is None:
            weak = topics_alone and self.mode != "supervised"
            change["mask_tokens"] = _TOPIC_MASK if weak else 0.0
        if not name.startswith("student"):  # the teacher has answered for the unknown
            change["mask_missed"] = False
        if name == "settle":  # uncertain tokens count as much as others; small steps, many
            # Its batches are shapes of their own: to compile each costs more than one short pass
            # gains by it.
            change |= {
                "confidence_weight": False,
                "batch_tokens": min(self.batch_tokens, _SETTLE_BATCH),
                "compile": False,
            }
        return self.model_copy(update=change)

    def files_read(self) -> dict[str, str]:
        """Key -> file that a training reads beside its weak labels; in weak mode no hand label."""
        taught = self.rounds or self.seeds > 1 or self.settle
        wanted = {
            "hand": self.hand if self.mode != "weak" else None,
            "pool": self.pool if taught else None,
            "select_gold": self.select_gold if self.select == "gold" else None,
            **{f"replace_from.{label}": path for label, path in self.replace_from.items()},
        }
        return {key: path for key, path in wanted.items() if path}

    def check_files_are_named(self, weak_labels: bool = True) -> None:
        """Refuse a mode or a choice whose file is not named, and a key that another leaves idle.

        Args:
            weak_labels: what is trained on has weak labels, so that hand labels stand elsewhere.

        Raises:
            HanspanError: naming the key that is missing.
        """
        if self.mode == "supervised" and weak_labels and not self.hand:
            raise HanspanError(
                "train.mode=supervised: found weak labels alone; expected hand labels in "
                "train.hand=FILE.jsonl, or train.mode=weak"
            )
        if self.pool and "pool" not in self.files_read():
            raise HanspanError(
                "train.pool: found train.rounds=0, so nothing is taught from it; expected a round "
                "of self-training, such as train.rounds=1"
            )
        if self.mode == "mixed" and not self.hand:
            raise HanspanError(
                "train.mode=mixed: no hand labels found; expected train.hand=FILE.jsonl"
            )
        if self.select == "gold" and not self.select_gold:
            raise HanspanError(
                "train.select=gold: found no gold; expected train.select_gold=FILE.jsonl"
            )
        if self.replace_from and not self.replace_mentions:
            raise HanspanError(
                "train.replace_from: found train.replace_mentions=0, which replaces nothing; "
                "expected a share above 0, such as train.replace_mentions=0.3"
            )
        if self.patience and self.select == "last":
            raise HanspanError(
                f"train.patience={self.patience}: found train.select=last, which scores no epoch; "
                f"expected train.select=agreement (or gold)"
            )
        if self.patience and self.select == "agreement" and not self.held_out:
            raise HanspanError(
                f"train.patience={self.patience}: found train.held_out=0, so no document to score "
                f"an epoch by; expected a share above 0, such as train.held_out=0.1"
            )
