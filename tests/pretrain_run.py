"""The tiny run that the pretraining tests share."""

from __future__ import annotations

from pathlib import Path

from hanspan.pretrain.corpus import Shards, Source, build_shards, open_shards
from hanspan.pretrain.network import NetworkSettings
from hanspan.pretrain.optim import Schedule
from hanspan.pretrain.run_settings import RunSettings
from hanspan.pretrain.sampling import Window

SOURCES = (Source("news", ("unlabelled/news.jsonl.xz",), 0.7),
           Source("titles", ("unlabelled/titles.txt",), 0.3))  # fmt: skip
NETWORK = NetworkSettings(layers=1, hidden=32, heads=2, intermediate=64, vocab_size=1024)
RUN = RunSettings(
    weights={"news": 0.7, "titles": 0.3},
    network=NETWORK,
    windows=(Window(16, 0.5), Window(32, 0.5)),
    micro_tokens=256,
    ramp=((0, 1), (1024, 2)),
    max_tokens=4096,
    compile=False,
    schedule=Schedule(warmup_steps=3),
    log_every=1,
    heldout_rows=4,
)


def tiny_shards(data: Path, out: Path) -> Shards:
    """Shards of the made-up corpus."""
    build_shards(SOURCES, data, out, vocab_size=1024, heldout_one_in=3)
    return open_shards(out)


def write_config(path: Path, data: Path, shards: Path, folder: Path) -> Path:
    """The same tiny run as a configuration file."""
    path.write_text(
        f"""
folder: {folder}
threads: 1
corpus:
  shards: {shards}
  data: {data}
  vocab_size: 1024
  heldout_one_in: 3
  sources:
    - {{name: news, weight: 0.7, files: [unlabelled/news.jsonl.xz]}}
    - {{name: titles, weight: 0.3, files: [unlabelled/titles.txt]}}
run:
  network: {{layers: 1, hidden: 32, heads: 2, intermediate: 64, vocab_size: 1024}}
  windows: [{{length: 16, share: 0.5}}, {{length: 32, share: 0.5}}]
  micro_tokens: 256
  ramp: [[0, 1], [1024, 2]]
  max_tokens: 4096
  compile: false
  schedule: {{warmup_steps: 3}}
  log_every: 1
  heldout_rows: 4
""",
        encoding="utf-8",
    )
    return path
