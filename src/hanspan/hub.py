"""Push a bundle to the Hugging Face Hub in one commit, and pull one from it.

The only module that imports ``huggingface_hub``. The token comes from the Hub's own login or
``HF_TOKEN``; it is never an argument of the command line and never part of a message.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanspan.errors import HanspanError
from hanspan.guard import check_folder, files

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_TOKEN = re.compile(r"hf_\w{6,}|Bearer\s+\S+")
_WHAT = {
    400: "the Hub does not accept the commit; look at the card's first lines in README.md",
    401: "the Hub does not know your token; type 'hf auth login', or set HF_TOKEN",
    403: "your token may not write there; use a token with write access to {name}",
    404: "no such repository or revision; look at its name, or log in if it is private",
    409: "the repository is busy or is there already; try again in a minute",
    412: "somebody committed meanwhile; look at their change, then type 'hanspan push' again",
    413: "the Hub refuses files of this size",
    429: "the Hub asks for fewer requests; try again in some minutes",
}

_HEADS = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
          "added_tokens.json", "vocab.txt", "model.safetensors")  # fmt: skip
INT8_FILES = ("hanspan.json", "config.json", "tokenizer.json", "onnx/model_int8.onnx")
"""What the ONNX backend needs where the int8 graph is packed."""
FP32_FILES = (*INT8_FILES[:-1], "onnx/model.onnx")
BUNDLE_FILES = ("hanspan.json", "README.md", "report.json", *INT8_FILES[-1:], *FP32_FILES[-1:],
                *_HEADS, *(f"topic/{name}" for name in _HEADS))  # fmt: skip
"""All files of a bundle that are fetched; whatever else lies in the repository is left there."""


def is_id(name: str) -> bool:
    """Whether ``name`` has the shape of a Hub repository, ``owner/name``."""
    return _ID.fullmatch(name) is not None


def scrub(message: str) -> str:
    """``message`` on one line, with everything that looks like a token struck out."""
    secrets = [os.environ.get("HF_TOKEN", ""), os.environ.get("HUGGING_FACE_HUB_TOKEN", "")]
    for secret in filter(None, secrets):
        message = message.replace(secret, "[token]")
    return " ".join(_TOKEN.sub("[token]", message).split())


@contextmanager
def _named_errors(doing: str, name: str) -> Iterator[None]:
    """Turn what the Hub's client raises into one line without a token."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except LocalTokenNotFoundError:
        text = "no token found; type 'hf auth login', or set HF_TOKEN"
    except (OfflineModeIsEnabled, LocalEntryNotFoundError):
        text = "the Hub cannot be reached and there is no copy on this machine; connect, or give "
        text += "a folder instead of a name"
    except HFValidationError as err:
        text = f"the name is not accepted ({err})"
    except HfHubHTTPError as err:
        status = err.response.status_code if err.response is not None else 0
        said = err.server_message or ""
        text = _WHAT.get(status, "try again later").format(name=name)
        text = f"{status} from the Hub: {text}" + (f" (it said: {said:.200})" if said else "")
    except (OSError, _transport_error()) as err:
        text = f"the connection broke ({type(err).__name__}: {err}); nothing was committed, "
        text += "type the command again: files already sent are not sent twice"
    else:
        return
    raise HanspanError(scrub(f"{doing} {name}: {text}")) from None


def _transport_error() -> type[Exception]:
    try:
        import httpx2
    except ImportError:  # huggingface_hub 1.x speaks through httpx
        import httpx as httpx2  # type: ignore[no-redef]
    return httpx2.HTTPError


def _api(endpoint: str | None, token: str | None) -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise HanspanError(
            "found no huggingface_hub, which is needed to reach the Hub; "
            "type: pip install 'hanspan[hub]'"
        ) from None
    return HfApi(endpoint=endpoint, token=token, library_name="hanspan")


def _check_id(name: str) -> None:
    if not is_id(name):
        raise HanspanError(f"{name!r}: expected the name of a Hub repository, as in owner/name")


def file_names(name: str) -> list[str]:
    """Paths of all files in a model repository.

    Raises:
        HanspanError: if it does not exist or cannot be reached.
    """
    with _named_errors("look at", name):
        return list(_api(None, None).list_repo_files(name))


def push(
    bundle_dir: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    pr: bool = False,
    message: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Put a bundle on the Hub in one commit that makes the repository equal to the folder.

    The commit names the head it was made for: if somebody commits meanwhile, the Hub refuses
    it and nothing is overwritten. Large files that were already sent are not sent again.

    Args:
        bundle_dir: what ``hanspan bundle`` wrote; checked before anything is sent.
        repo_id: ``owner/name``; made if it is not there.
        private: whether a repository made here is private.
        revision: branch to commit to; made from the head of main if it is not there.
        pr: open a pull request instead of committing to the branch.
        message: of the commit.
        endpoint: another server than the Hub (``HF_ENDPOINT`` does the same).
        token: only for tests; else the Hub's own login is used.

    Returns:
        The address of the commit, or of the head if there was nothing to change.

    Raises:
        HanspanError: in one line, never with the token in it; nothing was then committed.
    """
    folder = Path(bundle_dir)
    check_folder(folder)
    _check_id(repo_id)
    content: dict[str, Path | bytes] = {name: folder / name for name in files(folder)}
    if "README.md" in content:
        card = (folder / "README.md").read_text("utf-8")
        content["README.md"] = card.replace("OWNER/NAME", repo_id).encode()
    return commit(
        content, repo_id, kind="model", private=private, revision=revision, pr=pr,
        message=message or "Bundle made by hanspan", endpoint=endpoint, token=token,
    )  # fmt: skip


def commit(
    content: Mapping[str, Path | bytes],
    repo_id: str,
    *,
    kind: str,
    message: str,
    private: bool = False,
    revision: str | None = None,
    pr: bool = False,
    sdk: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Make a repository hold exactly ``content``, in one commit; arguments as in :func:`push`.

    Args:
        content: name in the repository -> file or bytes.
        kind: ``model``, ``dataset`` or ``space``.
        sdk: of a Space made here.
    """
    api = _api(endpoint, token)
    _quiet()
    with _named_errors("push to", repo_id):
        api.create_repo(
            repo_id, private=private, repo_type=kind, exist_ok=True,
            space_sdk=sdk if kind == "space" else None,
        )  # fmt: skip
        branch = revision or "main"
        main = api.repo_info(repo_id, repo_type=kind).sha
        if revision and revision != "main":
            api.create_branch(repo_id, branch=revision, repo_type=kind, exist_ok=True)
            main = api.repo_info(repo_id, repo_type=kind, revision=revision).sha
        try:
            return _commit_once(api, content, repo_id, kind, branch, main, message, pr)
        except (OSError, _transport_error()) as err:
            # A cut after the Hub took the commit looks like a cut before it: look, then speak.
            if getattr(err, "response", None) is None and _head_is(
                api, content, repo_id, kind, branch, main
            ):
                head = api.repo_info(repo_id, repo_type=kind, revision=branch).sha
                return _url(api, repo_id, kind, str(head))
            raise


def _url(api: HfApi, repo_id: str, kind: str, sha: str) -> str:
    return f"{api.endpoint}/{'' if kind == 'model' else kind + 's/'}{repo_id}/commit/{sha}"


def _commit_once(
    api: HfApi,
    content: Mapping[str, Path | bytes],
    repo_id: str,
    kind: str,
    branch: str,
    parent: str | None,
    message: str,
    pr: bool,
) -> str:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = set(api.list_repo_files(repo_id, repo_type=kind, revision=branch))
    gone = sorted(there - set(content) - {".gitattributes"})
    operations: list[Any] = [CommitOperationDelete(name) for name in gone]
    operations += [
        CommitOperationAdd(name, source if isinstance(source, bytes) else str(source))
        for name, source in sorted(content.items())
    ]
    # Not upload_folder: with xet it splits one upload over several commits.
    done = api.create_commit(
        repo_id, operations, commit_message=message, repo_type=kind, revision=branch,
        parent_commit=parent, create_pr=pr,
    )  # fmt: skip
    return str(done.pr_url or done.commit_url)


def _head_is(
    api: HfApi,
    content: Mapping[str, Path | bytes],
    repo_id: str,
    kind: str,
    branch: str,
    before: str | None,
) -> bool:
    """Whether the branch has moved from ``before`` and now holds exactly ``content``."""
    try:
        head = api.repo_info(repo_id, repo_type=kind, revision=branch).sha
        if head == before:
            return False
        tree = api.list_repo_tree(repo_id, recursive=True, repo_type=kind, revision=head)
        seen = {}
        for item in tree:
            lfs = getattr(item, "lfs", None)
            if (oid := getattr(item, "blob_id", None)) is not None:
                seen[item.path] = lfs.sha256 if lfs else oid
    except (OSError, _transport_error()):
        return False
    seen.pop(".gitattributes", None)
    return seen.keys() == content.keys() and all(
        oid in _oids(content[name]) for name, oid in seen.items()
    )


def _oids(source: Path | bytes) -> tuple[str, str]:
    """Git and LFS names of a file's content."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), hashlib.sha256(
        data
    ).hexdigest()


def _quiet() -> None:
    from huggingface_hub.utils import disable_progress_bars, logging

    disable_progress_bars()
    logging.set_verbosity_error()


def pull(
    repo_id: str,
    revision: str | None = None,
    *,
    only: Sequence[str] = BUNDLE_FILES,
    cache_dir: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    token: str | None = None,
) -> Path:
    """Fetch a bundle from the Hub into its cache, or find it there when the Hub is away.

    Args:
        repo_id: ``owner/name``.
        revision: branch, tag or commit; a commit pins the bundle for good.
        only: names of the files that are needed, such as :data:`INT8_FILES`.
        cache_dir: another cache than the Hub's own.

    Returns:
        The folder of that revision, checked by ``guard.check_folder``.

    Raises:
        HanspanError: in one line; also if what came is no bundle.
    """
    _check_id(repo_id)
    api = _api(endpoint, token)
    _quiet()
    with _named_errors("fetch", repo_id):
        folder = Path(
            api.snapshot_download(
                repo_id,
                revision=revision,
                cache_dir=None if cache_dir is None else Path(cache_dir),
                allow_patterns=list(only),
            )
        )
    check_folder(folder, links_into=folder.parent.parent / "blobs")
    return folder
