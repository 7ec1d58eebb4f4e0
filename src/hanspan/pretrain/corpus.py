"""Raw text to packed shards: reading, duplicates, texts kept out, held-out parts.

One source of the mixing table gives one `NAME.train.u16` and one `NAME.heldout.u16`: token ids
as little-endian 16-bit numbers, documents one after another, each ended by [SEP]. `shards.json`
beside them records what they were made of and is written last, so a folder without it is
unfinished work and is made again.
"""

import hashlib
import json
import lzma
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hanspan.errors import HanspanError
from hanspan.pretrain.exclude import DevTexts, dev_files, normalize, text_of
from hanspan.pretrain.near import RULE, Said
from hanspan.pretrain.tokenizer import SEP, CharTable, build_vocab, load_vocab, save_tokenizer

MIN_DUPLICATE = 12  # letters; shorter lines ("第一条") recur by right


@dataclass(frozen=True)
class Source:
    """One row of the mixing table: files below the data folder, and its share of all windows.

    `about` is what the card calls it.
    """

    name: str
    files: tuple[str, ...]
    weight: float
    about: str = ""


@dataclass
class SourceCount:
    """What became of one source, counted in paragraphs and characters."""

    documents: int = 0
    paragraphs: int = 0
    duplicates: int = 0
    near: int = 0
    excluded: int = 0
    characters: int = 0
    heldout_characters: int = 0


def read_texts(path: Path) -> Iterator[str]:
    """Texts of a `.jsonl`, `.jsonl.xz`, `.txt` or `.txt.xz` file; rows need a "text" field.

    Labels that a row may hold are never looked at.
    """
    if not path.is_file():
        raise HanspanError(
            f"pretrain: no file {path}; HANSPAN_DATA must name the folder that holds it"
        )
    try:
        with (
            lzma.open(path, "rt", encoding="utf-8")
            if path.suffix == ".xz"
            else path.open(encoding="utf-8") as lines
        ):
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                if ".jsonl" not in path.name:
                    yield line.rstrip("\n")
                    continue
                yield text_of(line, f"{path}:{number}")
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise HanspanError(
            f"pretrain: {path} cannot be read ({error}); fetch the file again"
        ) from error


def data_folder(settings_value: str | None = None) -> Path:
    """The folder of raw data: the setting, or the environment variable HANSPAN_DATA."""
    name = settings_value or os.environ.get("HANSPAN_DATA", "")
    folder = Path(name)
    if not name or not folder.is_dir():
        raise HanspanError(
            f"pretrain: no data folder {name!r}; type HANSPAN_DATA=FOLDER before the command, "
            "where FOLDER holds unlabelled/ and gold/"
        )
    return folder


def clean_documents(
    texts: Iterator[str], seen: set[int], said: Said, dev: DevTexts, count: SourceCount
) -> Iterator[str]:
    """Documents without repeated paragraphs and without paragraphs that hold a dev text.

    `seen` carries digests of the paragraphs of earlier sources, `said` their runs of characters.
    A paragraph is a duplicate of another when they agree in letters once digits and punctuation
    are put aside (daily market lines), and a near one when nearly all of it was said in others
    (amended statutes, reports of one event).
    """
    for text in texts:
        kept = []
        for paragraph in text.replace("\r\n", "\n").split("\n"):
            if not paragraph.strip():
                continue
            count.paragraphs += 1
            letters = normalize(paragraph)
            if dev.holds(letters):
                count.excluded += 1
                continue
            bare = "".join(c for c in letters if not c.isdigit())
            if len(bare) >= MIN_DUPLICATE:
                key = int.from_bytes(hashlib.blake2b(bare.encode(), digest_size=8).digest())
                if key in seen:
                    count.duplicates += 1
                    continue
                seen.add(key)
                if said.again(bare):
                    count.near += 1
                    continue
            kept.append(paragraph)
        if kept:
            count.documents += 1
            yield "\n".join(kept)


def is_heldout(text: str, one_in: int) -> bool:
    """Whether a document belongs to the held-out part; depends on its text alone."""
    digest = hashlib.blake2b(b"heldout" + text.encode(), digest_size=4).digest()
    return int.from_bytes(digest) % one_in == 0


def made_of(
    sources: Sequence[Source],
    data: Path,
    *,
    vocab_size: int,
    heldout_one_in: int,
    heldout_limit: int,
) -> dict[str, Any]:
    """What shards depend on: settings, sizes of the files, contents of the texts kept out."""
    dev = hashlib.sha256()
    for path in dev_files(data / "gold"):
        dev.update(path.relative_to(data).as_posix().encode() + path.read_bytes())
    sizes = {s.name: {f: (data / f).stat().st_size for f in s.files} for s in sources}
    return {
        "files": sizes,
        "dev": dev.hexdigest(),
        "vocab_size": vocab_size,
        "heldout_one_in": heldout_one_in,
        "heldout_limit": heldout_limit,
        "near_duplicates": RULE,
    }


def recorded(folder: Path) -> dict[str, Any] | None:
    """What the shards of a folder were made of; None where that is not written down."""
    found = _read_record(folder / "shards.json").get("made_of")
    return found if isinstance(found, dict) else None


def build_shards(
    sources: Sequence[Source],
    data: Path,
    out: Path,
    *,
    vocab_size: int = 8192,
    heldout_one_in: int = 40,
    heldout_limit: int = 40_000,
    tokenizer_from: Path | None = None,
) -> dict[str, SourceCount]:
    """Read every source, write tokenizer and shards under `out`, and return the counts.

    Dev texts (`dev*.jsonl*` anywhere below `data/gold`) are kept out of both parts. At most
    `heldout_limit` characters a source are held out; documents beyond that go to training.
    """
    dev = DevTexts.from_gold(data / "gold")
    seen: set[int] = set()
    said = Said()
    counts: dict[str, SourceCount] = {}
    kept: dict[str, tuple[list[str], list[str]]] = {}
    characters: Counter[str] = Counter()
    for source in sources:
        count = counts[source.name] = SourceCount()
        train: list[str] = []
        heldout: list[str] = []
        for name in source.files:
            for text in clean_documents(read_texts(data / name), seen, said, dev, count):
                size = len(text)
                wanted = count.heldout_characters + size <= heldout_limit
                if wanted and is_heldout(text, heldout_one_in):
                    heldout.append(text)
                    count.heldout_characters += size
                else:
                    train.append(text)
                    characters.update(text)
                    count.characters += size
        if not train:
            raise HanspanError(
                f"pretrain: source {source.name!r} gave no text; look at its files "
                f"{', '.join(source.files)}"
            )
        kept[source.name] = (train, heldout)
    out.mkdir(parents=True, exist_ok=True)
    for old in (out / "shards.json", *out.glob("floor-*.json")):  # the floor is of other text
        old.unlink(missing_ok=True)
    if tokenizer_from is not None:
        vocab = load_vocab(tokenizer_from)
    else:
        vocab = build_vocab(characters, vocab_size)
    save_tokenizer(vocab, out)
    table = CharTable(vocab)
    record: dict[str, Any] = {"vocab": table.digest, "vocab_size": table.size, "sources": {}}
    if tokenizer_from is None:
        record["made_of"] = made_of(
            sources,
            data,
            vocab_size=vocab_size,
            heldout_one_in=heldout_one_in,
            heldout_limit=heldout_limit,
        )
    for source in sources:
        row: dict[str, Any] = dict(vars(counts[source.name]))
        for part, texts in zip(("train", "heldout"), kept.pop(source.name), strict=True):
            ids = table.encode_documents(texts)
            ids.astype("<u2").tofile(out / f"{source.name}.{part}.u16")
            row[part] = {"tokens": int(ids.size), "sha256": _digest(ids)}
        record["sources"][source.name] = row
    temporary = out / "shards.json.part"
    temporary.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(out / "shards.json")
    return counts


def _read_record(path: Path) -> dict[str, Any]:
    """`shards.json`, checked to hold what `build_shards` puts there."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for row in record["sources"].values():
            for part in ("train", "heldout"):
                int(row[part]["tokens"]), str(row[part]["sha256"])
        str(record["vocab"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HanspanError(
            f"pretrain: {path} is not the record of shards ({error!r}); "
            "make them anew by --only shards"
        ) from error
    return record


def _digest(ids: npt.NDArray[np.uint16]) -> str:
    return hashlib.sha256(ids.astype("<u2").tobytes()).hexdigest()


@dataclass(frozen=True)
class Shards:
    """Opened shards: for each source the ids of its two parts.

    `vocab` is the digest of the vocabulary, `content` that of all training ids.
    """

    folder: Path
    vocab: str
    vocab_size: int
    train: dict[str, npt.NDArray[np.uint16]]
    heldout: dict[str, npt.NDArray[np.uint16]]
    content: str = ""


def open_shards(folder: Path, *, verify: bool = True) -> Shards:
    """Open what `build_shards` wrote; a changed, cut or foreign file is an error with its name."""
    path = folder / "shards.json"
    if not path.is_file():
        raise HanspanError(
            f"pretrain: no finished shards in {folder}; "
            "type python scripts/pretrain.py CONFIG --only shards"
        )
    record = _read_record(path)
    vocab = load_vocab(folder)
    table = CharTable(vocab)
    if table.digest != record["vocab"]:
        raise HanspanError(
            f"pretrain: the tokenizer in {folder} has vocabulary {table.digest}, the shards were "
            f"made with {record['vocab']}; make them anew by --only shards"
        )
    parts: dict[str, dict[str, npt.NDArray[np.uint16]]] = {"train": {}, "heldout": {}}
    for name, row in record["sources"].items():
        for part, opened in parts.items():
            file = folder / f"{name}.{part}.u16"
            ids = np.fromfile(file, dtype="<u2") if file.is_file() else np.zeros(0, np.uint16)
            whole = ids.size == row[part]["tokens"]
            if not whole or (verify and _digest(ids) != row[part]["sha256"]):
                raise HanspanError(
                    f"pretrain: corrupt shard {file}: {ids.size} tokens, expected "
                    f"{row[part]['tokens']} with the digest in {path.name}; "
                    "make them anew by --only shards"
                )
            if ids.size and (int(ids.max()) >= table.size or ids[-1] != SEP):
                raise HanspanError(f"pretrain: corrupt shard {file}: ids outside the vocabulary")
            opened[name] = ids
    digests = {name: row["train"]["sha256"] for name, row in record["sources"].items()}
    content = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
    return Shards(folder, table.digest, table.size, parts["train"], parts["heldout"], content)
