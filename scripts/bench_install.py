"""What a plain install weighs, and that it extracts without torch.

    python scripts/bench_install.py [--model DIR] [--quick] [--json FILE]

Makes an environment of its own, installs this checkout without extras, counts the bytes that were
installed (byte code, pip and setuptools left out), and with --model reads a sentence in it.
--quick is the same: the time goes to the installer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST = """
import sys, time
start = time.perf_counter()
from hanspan.infer import Extractor
doc = Extractor.from_pretrained(sys.argv[1])("江城市副市长林知远在数字农业论坛上表示，粮食增产。")
assert not {"torch", "transformers"} & set(sys.modules)
print(time.perf_counter() - start)
"""


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a bundle to read a sentence with")
    parser.add_argument("--quick", action="store_true", help="no difference")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = Path(folder) / "bin" / "python"
        limits = ROOT / "scripts" / "constraints.txt"
        start = time.perf_counter()
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--no-compile", "-c", limits, ROOT], check=True
        )
        seconds = time.perf_counter() - start
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(subprocess.run([python, "-c", code], capture_output=True, text=True,
                                   check=True).stdout.strip())  # fmt: skip
        sizes: Counter[str] = Counter()
        for path in site.rglob("*"):
            name = path.relative_to(site).parts[0].split("-")[0].removesuffix(".libs")
            if path.is_file() and path.suffix != ".pyc":
                sizes[name] += path.stat().st_size
        for tool in ("pip", "setuptools", "pkg_resources", "_distutils_hack"):
            del sizes[tool]
        rows = [_row("plain install, site-packages", sum(sizes.values()) / 1e6, "MB", 150)]
        rows += [_row(f"  {name}", size / 1e6, "MB", None) for name, size in sizes.most_common(8)]
        rows.append(_row("time of pip install", seconds, "s", None))
        if args.model:
            words = [str(python), "-c", FIRST, str(args.model)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            rows.append(_row("start to first answer, no torch", float(done.stdout), "s", 2))
    for row in rows:
        target = "" if row["target"] is None else f"target {row['target']}"
        print(f"{row['what']:<36}{row['value']:>9.1f} {row['unit']:<4}{target}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return 0


def _row(what: str, value: float, unit: str, target: float | None) -> dict[str, object]:
    return {"what": what, "value": value, "unit": unit, "peer": "", "peer_value": None,
            "target": target}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
