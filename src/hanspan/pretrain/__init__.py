"""Pretraining of the embedded encoder: tokenizer, corpus shards, masking, optimizer, loop.

Nothing here is needed to use the package; `scripts/pretrain.py` and
`scripts/probe_encoder.py` are its two users.
"""
