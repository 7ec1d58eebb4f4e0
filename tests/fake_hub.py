"""A Hub on loopback for the tests: the part of the protocol that push and pull need, over HTTP.

``with FakeHub() as hub:`` gives ``hub.url``; ``hub.script(pattern, *steps)`` makes the next
requests that match answer with a status, break the connection or wait.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_" + "loopbackTestToken"
OWNER = "tester"
LFS = (".safetensors", ".onnx", ".bin")


@dataclass
class Repo:
    """Branches, and every commit with its whole tree."""

    kind: str
    name: str
    private: bool
    sdk: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: int = 0

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)

    def add(self, branch: str, tree: dict[str, bytes], title: str) -> str:
        parent = self.branches.get(branch, "")
        seed = repr((parent, title, sorted((k, hashlib.sha1(v).digest()) for k, v in tree.items())))
        sha = hashlib.sha1(f"{len(self.commits)}{seed}".encode()).hexdigest()
        self.commits[sha], self.parents[sha], self.titles[sha] = tree, parent, title
        self.branches[branch] = sha
        return sha

    @property
    def tree(self) -> dict[str, bytes]:
        return self.commits[self.branches["main"]]


@dataclass
class Step:
    """What happens to one matching request; ``after`` acts once the request was carried out."""

    pattern: str
    status: int = 0
    cut: bool = False
    wait: float = 0.0
    after: bool = False
    call: Callable[[], None] | None = None


class FakeHub:
    """The server, its repositories and a log of requests."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[str] = []
        self.steps: list[Step] = []
        self.users = {TOKEN: OWNER}
        self.lock = threading.RLock()
        self.open: set[socket.socket] = set()
        hub = self

        class Bound(_Handler):
            pass

        Bound.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> FakeHub:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.open):  # kept alive by the client, and still served otherwise
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def script(self, pattern: str, **what: Any) -> None:
        """Let the next request matching ``METHOD /path`` meet a :class:`Step`."""
        self.steps.append(Step(pattern, **what))

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    def count(self, pattern: str) -> int:
        return sum(re.search(pattern, line) is not None for line in self.log)


class _Refused(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        self.status, self.message, self.code = status, message, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def setup(self) -> None:
        super().setup()
        self.hub.open.add(self.connection)

    def finish(self) -> None:
        self.hub.open.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: Any, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        if self.step and self.step.after and self.step.cut:
            return self.cut()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return None

    def cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        url = urlsplit(self.path)
        self.route, self.query = unquote(url.path), parse_qs(url.query)
        self.raw_route = url.path
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = f"{self.command} {self.route}"
        with self.hub.lock:
            self.hub.log.append(line)
            self.step = next((s for s in self.hub.steps if re.search(s.pattern, line)), None)
            if self.step:
                self.hub.steps.remove(self.step)
        if self.step:
            time.sleep(self.step.wait)
            if self.step.call:
                self.step.call()
            if self.step.cut and not self.step.after:
                return self.cut()
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.user = self.hub.users.get(bearer)
        try:
            if self.step and self.step.status:
                # Real servers echo odd things; the client must not show a token that is in them.
                raise _Refused(self.step.status, f"scripted refusal for Bearer {bearer}")
            with self.hub.lock:
                self.dispatch()
        except _Refused as no:
            self.reply(
                {"error": no.message}, no.status, X_Error_Message=no.message, X_Error_Code=no.code
            )
        return None

    do_GET = do_HEAD = do_POST = do_PUT = serve

    def signed_in(self) -> str:
        if not self.user:
            raise _Refused(401, "Invalid username or password.")
        return self.user

    def dispatch(self) -> None:
        for pattern, method in _ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {self.raw_route}"):
                return method(self, *(part and unquote(part) for part in match.groups()))
        raise _Refused(404, "no such page")

    def find(self, kind: str | None, name: str) -> Repo:
        repo = self.hub.repos.get((kind or "model", name))
        if repo is None or (repo.private and not self.user):
            raise _Refused(404 if self.user else 401, "Repository not found", "RepoNotFound")
        return repo

    def at(self, repo: Repo, revision: str) -> str:
        sha = repo.resolve(revision)
        if sha is None:
            raise _Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    def whoami(self) -> None:
        self.reply({"type": "user", "name": self.signed_in(), "orgs": []})

    def yaml(self) -> None:
        bad = "license: none-such" in json.loads(self.body)["content"]
        self.reply({"errors": [{"message": "bad license"}] if bad else [], "warnings": []})

    def create(self) -> None:
        user, ask = self.signed_in(), json.loads(self.body)
        name, kind = f"{ask.get('organization') or user}/{ask['name']}", ask.get("type", "model")
        if name.split("/")[0] != user:
            raise _Refused(403, "You don't have the rights to create a repository here")
        there = (kind, name) in self.hub.repos
        if not there:
            private = ask.get("private") or ask.get("visibility") == "private"
            repo = Repo(kind, name, bool(private), ask.get("sdk"))
            repo.add("main", {".gitattributes": b"*.onnx filter=lfs\n"}, "initial commit")
            self.hub.repos[kind, name] = repo
        prefix = "" if kind == "model" else f"{kind}s/"
        self.reply({"url": f"{self.hub.url}/{prefix}{name}"}, 409 if there else 200)

    def info(self, kind: str, name: str, revision: str | None) -> None:
        repo = self.find(kind, name)
        sha = self.at(repo, revision or "main")
        files = [{"rfilename": path} for path in sorted(repo.commits[sha])]
        row = {"id": name, "sha": sha, "private": repo.private, "tags": [], "siblings": files}
        self.reply(row)

    def tree(self, kind: str, name: str, revision: str, inside: str | None) -> None:
        repo = self.find(kind, name)
        rows = []
        for path, data in sorted(repo.commits[self.at(repo, revision)].items()):
            if inside and not path.startswith(inside.strip("/") + "/"):
                continue
            row: dict[str, Any] = {"type": "file", "path": path, "size": len(data)}
            row["oid"] = _git(data)
            if path.endswith(LFS):
                row["lfs"] = {"oid": _sha(data), "size": len(data), "pointerSize": 130}
            rows.append(row)
        self.reply(rows)

    def branch(self, kind: str, name: str, branch: str) -> None:
        self.signed_in()
        repo = self.find(kind, name)
        if branch in repo.branches:
            raise _Refused(409, "Reference already exists")
        asked = json.loads(self.body or b"{}").get("startingPoint") or "main"
        repo.branches[branch] = self.at(repo, asked)
        self.reply({})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        self.signed_in()
        repo = self.find(kind, name)
        files = repo.commits[self.at(repo, revision)]
        rows = []
        for item in json.loads(self.body)["files"]:
            path, lfs = item["path"], item["path"].endswith(LFS)
            oid = (_sha if lfs else _git)(files[path]) if path in files else None
            mode = "lfs" if lfs else "regular"
            rows.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.reply({"files": rows})

    def batch(self, _kind: str | None, _name: str) -> None:
        self.signed_in()
        rows = []
        for item in json.loads(self.body)["objects"]:
            row = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self.hub.blobs:
                row["actions"] = {"upload": {"href": f"{self.hub.url}/blob/{item['oid']}"}}
            rows.append(row)
        self.reply({"transfer": "basic", "objects": rows})

    def blob(self, oid: str) -> None:
        if _sha(self.body) != oid:
            raise _Refused(400, "the content is not what its name says")
        self.hub.blobs[oid] = self.body
        self.reply(b"")

    def commit(self, kind: str, name: str, revision: str) -> None:
        self.signed_in()
        repo = self.find(kind, name)
        head = self.at(repo, revision)
        tree, title = dict(repo.commits[head]), ""
        for line in self.body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "header":
                title = value["summary"]
                if value.get("parentCommit", head) != head:
                    raise _Refused(412, "A commit has happened since. Please refresh.")
            elif row["key"] == "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                tree[value["path"]] = self.hub.blobs[value["oid"]]
            elif row["key"] == "deletedFile":
                del tree[value["path"]]
        branch, answer = revision, {}
        if self.query.get("create_pr"):
            repo.pulls += 1
            branch = f"refs/pr/{repo.pulls}"
            repo.branches[branch] = head
            answer["pullRequestUrl"] = f"{self.hub.url}/{name}/discussions/{repo.pulls}"
        sha = repo.add(branch, tree, title)
        prefix = "" if kind == "model" else f"{kind}s/"
        url = f"{self.hub.url}/{prefix}{name}/commit/{sha}"
        self.reply({"success": True, "commitOid": sha, "commitUrl": url, **answer})

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repo = self.find(kind, name)
        sha = self.at(repo, revision)
        data = repo.commits[sha].get(path)
        if data is None:
            self.reply(
                {"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound", X_Repo_Commit=sha
            )
            return
        self.reply(data, ETag=f'"{_sha(data)}"', X_Repo_Commit=sha)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


_API = r"/api/(model|dataset|space)s/([^/]+/[^/]+)"
_ROUTES: list[tuple[str, Callable[..., None]]] = [
    ("GET /api/whoami-v2", _Handler.whoami),
    ("POST /api/validate-yaml", _Handler.yaml),
    ("POST /api/repos/create", _Handler.create),
    ("PUT /blob/(.+)", _Handler.blob),
    (r"POST /(?:(dataset|space)s/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.batch),
    (rf"GET {_API}(?:/revision/([^/]+))?", _Handler.info),
    (rf"GET {_API}/tree/([^/]+)(?:/(.+))?", _Handler.tree),
    (rf"POST {_API}/branch/([^/]+)", _Handler.branch),
    (rf"POST {_API}/preupload/([^/]+)", _Handler.preupload),
    (rf"POST {_API}/commit/([^/]+)", _Handler.commit),
    (r"(?:GET|HEAD) /(?:(dataset|space)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler.resolve),
]
