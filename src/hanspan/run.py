"""Run stages in order, skip what is unchanged, go on where a run was stopped.

The engine knows nothing of what a stage does: a stage names its inputs, its settings, the
modules whose code it depends on, its outputs, and a function. What was done is remembered in
``<out>/.hanspan.json``; an output that stands there but was not made by ``hanspan run``, or was
changed since, is never overwritten.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from hanspan.data import whole
from hanspan.errors import HanspanError

Progress = Callable[[int, int | None, str], None]
"""Called as (done, total or None, what)."""

log = logging.getLogger("hanspan.run")


@dataclass(frozen=True)
class Stage:
    """One arrow of the way of the data.

    Attributes:
        name: of module, command and section.
        inputs: files and folders it reads; their content is part of its fingerprint.
        outputs: files and folders it writes, inside the run's folder.
        settings: JSON values that change its result.
        code: modules or packages under ``hanspan`` whose source changes its result.
        work: does it, and returns plain facts for the summary.
        keeps: a folder output that an interrupted run goes on from (training's checkpoints).
    """

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: Mapping[str, Any]
    code: tuple[str, ...]
    work: Callable[[Progress], Mapping[str, Any]]
    keeps: bool = False


@dataclass(frozen=True)
class Done:
    """What happened to a stage: ``ran`` or ``skipped``, why, how long, how much memory."""

    stage: str
    ran: bool
    why: str
    seconds: float = 0.0
    peak_mb: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


def digest(path: Path) -> str:
    """Hash of a file's content, or of the names and contents of a folder's files."""
    total = hashlib.blake2b(digest_size=16)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            total.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _code_digest(names: Sequence[str]) -> str:
    here = Path(__file__).parent
    total = hashlib.blake2b(digest_size=16)
    for name in names:
        place = here / name
        files = (
            sorted(p for p in place.rglob("*") if p.suffix in {".py", ".yaml", ".txt"})
            if place.is_dir()
            else [place.with_suffix(".py")]
        )
        for file in files:
            total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def _parts(stage: Stage) -> dict[str, Any]:
    return {
        "settings": json.loads(json.dumps(stage.settings, sort_keys=True, default=str)),
        "inputs": {str(path): digest(path) for path in stage.inputs if path.exists()},
        "code": _code_digest(stage.code),
    }


class State:
    """The memory of a run's folder: which stage made what, from what."""

    def __init__(self, out: Path) -> None:
        self.path = out / ".hanspan.json"
        self.out = out
        self.stages: dict[str, Any] = {}
        if self.path.is_file():
            try:
                self.stages = json.loads(self.path.read_text("utf-8"))["stages"]
            except (ValueError, KeyError, TypeError) as err:
                raise HanspanError(
                    f"{self.path}: damaged ({err}); expected what 'hanspan run' wrote; "
                    f"choose another out=FOLDER or remove this one"
                ) from None

    def save(self) -> None:
        """Write it, whole or not at all."""
        with whole(self.path) as temporary:
            temporary.write_text(json.dumps({"format": 1, "stages": self.stages}, indent=1))

    def reason(self, stage: Stage) -> str:
        """Why the stage must run; empty when nothing changed."""
        known = self.stages.get(stage.name)
        if known is None or "outputs" not in known:
            return "not done yet" if known is None else "was stopped"
        missing = [path.name for path in stage.outputs if not path.exists()]
        if missing:
            return f"{', '.join(missing)} is missing"
        now = _parts(stage)
        if now["settings"] != known["settings"]:
            old, new = known["settings"], now["settings"]
            keys = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
            return f"settings changed ({', '.join(keys)})"
        if now["inputs"] != known["inputs"]:
            return "input changed"
        return "code changed" if now["code"] != known["code"] else ""

    def refuse_foreign(self, stage: Stage) -> None:
        """Raise if an output stands there that the run did not make, or that was changed since."""
        known = self.stages.get(stage.name, {})
        made = known.get("outputs", {})
        for path in stage.outputs:
            if not path.exists():
                continue
            name = str(path.relative_to(self.out))
            if name not in made:
                if name in known.get("begun", ()):
                    continue
                raise HanspanError(
                    f"{path}: already there, and not made by this run; move it away, "
                    f"choose another folder with out=FOLDER, or type --overwrite"
                )
            if digest(path) != made[name]:
                raise HanspanError(
                    f"{path}: was changed after '{stage.name}' made it; to keep your change go on "
                    f"with --from and the next stage, to make it anew type --overwrite"
                )


@contextmanager
def _peak_memory() -> Iterator[Callable[[], float]]:
    """Peak resident memory in MB since the block began (Linux; elsewhere of the process)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")

    def peak() -> float:
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) / 1024
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20

    yield peak


def _choose(stages: Sequence[Stage], start: str | None, only: str | None) -> list[Stage]:
    names = [stage.name for stage in stages]
    for option, name in (("--from", start), ("--only", only)):
        if name is not None and name not in names:
            raise HanspanError(f"{option} {name}: no such stage; expected one of {names}")
    if only is not None:
        return [stages[names.index(only)]]
    return list(stages[names.index(start) :]) if start is not None else list(stages)


def plan(
    stages: Sequence[Stage], out: Path, *, start: str | None = None, only: str | None = None
) -> list[tuple[Stage, str]]:
    """The stages that were asked for, each with the reason why it would run (empty: skipped)."""
    state = State(out)
    rows: list[tuple[Stage, str]] = []
    above = False
    for stage in _choose(stages, start, only):
        why = state.reason(stage)
        if not why and (start is not None or only is not None):
            why = "asked for"
        if not why and above:
            why = "an earlier stage runs"
        above = above or bool(why)
        rows.append((stage, why))
    return rows


@contextmanager
def _quiet(name: str) -> Iterator[Progress]:
    yield lambda done, total, what: None


def run(
    stages: Sequence[Stage],
    out: Path,
    *,
    start: str | None = None,
    only: str | None = None,
    overwrite: bool = False,
    show: Callable[[str], AbstractContextManager[Progress]] = _quiet,
    tell: Callable[[Done], None] = lambda done: None,
) -> list[Done]:
    """Run the stages that need it.

    Args:
        start: run this stage and all after it, whether changed or not.
        only: run this one stage alone.
        overwrite: replace outputs that this run did not make.
        show: gives the progress callback of the stage of that name.
        tell: called when a stage has run or was skipped.

    Raises:
        HanspanError: for a missing input or an output that is not ours.
    """
    out.mkdir(parents=True, exist_ok=True)
    state = State(out)
    chosen = _choose(stages, start, only)
    forced = start is not None or only is not None
    results = []
    for stage in chosen:
        why = state.reason(stage) or ("asked for" if forced else "")
        if not overwrite:
            state.refuse_foreign(stage)
        if not why:
            facts = state.stages[stage.name].get("facts", {})
            results.append(Done(stage.name, False, "unchanged", facts=facts))
            log.info("%s: skipped, inputs, settings and code are unchanged", stage.name)
        else:
            with show(stage.name) as progress:
                results.append(_work(stage, state, why, progress))
        tell(results[-1])
    return results


def _work(stage: Stage, state: State, why: str, progress: Progress) -> Done:
    missing = [str(path) for path in stage.inputs if not path.exists()]
    if missing:
        raise HanspanError(
            f"{stage.name}: {missing[0]} is not there; run the stages before it first: "
            f"leave out --from and --only"
        )
    log.info("%s: begins (%s)", stage.name, why)
    parts = _parts(stage)
    known = state.stages.get(stage.name, {})
    goes_on = stage.keeps and "outputs" not in known and known.get("parts") == parts
    if not goes_on:
        for path in stage.outputs:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
    begun = [str(path.relative_to(state.out)) for path in stage.outputs]
    state.stages[stage.name] = {"begun": begun, "parts": parts}
    state.save()
    clock = time.perf_counter()
    with _peak_memory() as peak:
        facts = dict(stage.work(progress))
        peak_mb = peak()
    seconds = time.perf_counter() - clock
    made = {str(p.relative_to(state.out)): digest(p) for p in stage.outputs if p.exists()}
    lost = [name for name in begun if name not in made]
    if lost:
        raise HanspanError(f"{stage.name}: ended without writing {', '.join(lost)}")
    state.stages[stage.name] = {
        **parts,
        "outputs": made,
        "seconds": round(seconds, 2),
        "peak_mb": round(peak_mb),
        "facts": json.loads(json.dumps(facts, default=str)),
    }
    state.save()
    log.info("%s: done in %.1f s, peak memory %.0f MB, %s", stage.name, seconds, peak_mb, facts)
    return Done(stage.name, True, why, seconds, peak_mb, facts)


def commit_of(folder: Path) -> str:
    """Commit of the git tree that holds ``folder``, with ``+`` when it has changes, or ``none``."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
    with suppress(OSError):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return "none"


def versions() -> dict[str, str]:
    """Python and the libraries that change results, as installed."""
    names = ("hanspan", "numpy", "torch", "transformers", "tokenizers", "onnxruntime", "datasets")
    found = {"python": sys.version.split()[0]}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@contextmanager
def log_to(path: Path, **facts: Any) -> Iterator[None]:
    """Append everything hanspan logs to one file, after a line with versions and ``facts``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("hanspan")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        head = {"pid": os.getpid(), "commit": commit_of(Path.cwd()), **versions(), **facts}
        log.info("run begins: %s", json.dumps(head, ensure_ascii=False, default=str))
        yield
    except KeyboardInterrupt:
        log.warning("stopped by the user")
        raise
    except Exception as err:
        log.info("failed: %s", err)
        raise
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
