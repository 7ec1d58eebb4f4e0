"""The encoder: stock architectures, initialised for pre-norm training, and its sparse loss."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from hanspan.errors import HanspanError
from hanspan.pretrain.tokenizer import CLS, MASK, PAD, SEP

ARCHITECTURES = ("esm", "modernbert")


@dataclass(frozen=True)
class NetworkSettings:
    """Shape of the encoder. `arch` is "esm" or "modernbert"; `intermediate` per feed-forward."""

    arch: str = "esm"
    layers: int = 6
    hidden: int = 256
    heads: int = 4
    intermediate: int = 1024
    max_length: int = 512
    dropout: float = 0.0
    vocab_size: int = 8192


def build_network(settings: NetworkSettings, seed: int) -> Any:
    """A freshly initialised stock masked-language model, fp32."""
    import transformers

    torch.manual_seed(seed)
    if settings.arch == "esm":
        model: Any = transformers.EsmForMaskedLM(
            transformers.EsmConfig(
                vocab_size=settings.vocab_size,
                mask_token_id=MASK,
                pad_token_id=PAD,
                bos_token_id=CLS,
                eos_token_id=SEP,
                hidden_size=settings.hidden,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                intermediate_size=settings.intermediate,
                hidden_dropout_prob=settings.dropout,
                attention_probs_dropout_prob=settings.dropout,
                max_position_embeddings=settings.max_length,
                position_embedding_type="rotary",
                emb_layer_norm_before=True,
                token_dropout=False,
                tie_word_embeddings=True,
            )
        )
    elif settings.arch == "modernbert":
        model = transformers.ModernBertForMaskedLM(
            transformers.ModernBertConfig(
                vocab_size=settings.vocab_size,
                pad_token_id=PAD,
                cls_token_id=CLS,
                bos_token_id=CLS,
                sep_token_id=SEP,
                eos_token_id=SEP,
                hidden_size=settings.hidden,
                num_hidden_layers=settings.layers,
                num_attention_heads=settings.heads,
                intermediate_size=settings.intermediate,
                mlp_dropout=settings.dropout,
                attention_dropout=settings.dropout,
                max_position_embeddings=settings.max_length,
                layer_types=["full_attention"] * settings.layers,
                rope_parameters={
                    "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
                },
                classifier_pooling="mean",
            )
        )
    else:
        raise HanspanError(
            f"pretrain: unknown architecture {settings.arch!r}; give one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    _initialise(model, settings)
    return model


def _initialise(model: torch.nn.Module, settings: NetworkSettings) -> None:
    """Rows of unit length in expectation, and quiet residual branches.

    With 0.02 everywhere a 256-wide layer starts by shrinking its input threefold; 1/sqrt(fan-in)
    keeps it. What is added to the residual stream is divided by sqrt(2 · layers).
    """
    quiet = (2 * settings.layers) ** -0.5
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or "decoder" in name:
            continue
        std = module.in_features**-0.5
        if name.endswith(("output.dense", "Wo")):
            std *= quiet
        torch.nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            torch.nn.init.zeros_(module.bias)


class SparseLoss(torch.nn.Module):
    """Cross-entropy on chosen positions only, so that the large output layer stays small."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.encoder = getattr(model, model.base_model_prefix)
        self.esm = hasattr(model, "lm_head")

    def logits(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Scores of shape (K, vocabulary) at K flat positions of ids (B, S)."""
        hidden = self.encoder(ids).last_hidden_state
        chosen = hidden.reshape(-1, hidden.shape[-1])[positions]
        if self.esm:
            return self.model.lm_head(chosen)
        return self.model.decoder(self.model.head(chosen))

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Mean loss in nats over the K targets."""
        return F.cross_entropy(self.logits(ids, positions).float(), targets)
