"""Write the table from traditional to simplified characters that the rules fold with.

    python scripts/make_simplified.py [OUT.json]

Made from OpenCC's "t2s" (Apache-2.0), so that the package itself needs only these 44 KB of it.
Characters are asked one by one; phrases, in which a character stays or changes otherwise, are
read from OpenCC's own dictionary. Needs the package opencc (in the extra "dev").
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "src" / "hanspan" / "assets" / "simplified.json"
BLOCKS = ((0x2E80, 0xA000), (0xF900, 0xFB00), (0x20000, 0x323B0))


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", nargs="?", type=Path, default=OUT, metavar="OUT.json")
    out = parser.parse_args().out
    import opencc

    convert = opencc.OpenCC("t2s").convert
    chars = [chr(code) for first, last in BLOCKS for code in range(first, last)]
    pairs = [
        (old, new)
        for old, new in zip(chars, convert("\n".join(chars)).split("\n"), strict=True)
        if old != new and len(new) == 1
    ]
    kept = [phrase for phrase in phrases(Path(opencc.__file__).parent / "clib")
            if len(convert(phrase)) == len(phrase)]  # fmt: skip
    table = {
        "source": "OpenCC t2s, Apache-2.0, https://github.com/BYVoid/OpenCC",
        "from": "".join(old for old, _ in pairs),
        "to": "".join(new for _, new in pairs),
        "phrases": {phrase: convert(phrase) for phrase in sorted(kept)},
    }
    out.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", "utf-8")
    print(f"{len(pairs)} characters and {len(kept)} phrases -> {out}")
    return 0


def phrases(folder: Path) -> list[str]:
    """The traditional side of OpenCC's phrase dictionary."""
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "phrases.txt"
        source = folder / "share" / "opencc" / "TSPhrases.ocd2"
        tool = [str(folder / "bin" / "opencc_dict"), "-f", "ocd2", "-t", "text"]
        tool += ["-i", str(source), "-o", str(text)]
        subprocess.run(tool, check=True, capture_output=True)
        return [line.split("\t")[0] for line in text.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
