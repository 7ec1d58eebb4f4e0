"""A page to try a model on: one static page and one way to ask, nothing else.

The server knows three files by name and never reads one that a request names. It listens on
loopback unless told otherwise, and then answers only to loopback's own names, so that no page
from elsewhere can reach it by a name of its own (DNS rebinding). Requests are JSON with a limit
on their size; a form of another site cannot send that without being asked first.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from hanspan.data import Document, to_json
from hanspan.errors import HanspanError
from hanspan.extractor import Extractor

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BYTES = 1 << 20
"""Largest request."""
MOST_TEXTS = 500
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_FILES = {"/": ("index.html", "text/html"), "/page.js": ("page.js", "text/javascript"),
          "/page.css": ("page.css", "text/css")}  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def build_app(extract: Extractor, *, name: str = "", any_host: bool = False) -> Starlette:
    """The web application.

    Args:
        extract: answers the questions; one at a time.
        name: of the model, shown on the page.
        any_host: answer under any host name (when bound to more than loopback).

    Raises:
        HanspanError: if Starlette is not installed.
    """
    try:
        import anyio
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse, Response
        from starlette.routing import Route
    except ImportError as err:
        raise HanspanError(f"found no {err.name}; type: pip install 'hanspan[serve]'") from None
    pages = {
        path: (resources.files("hanspan").joinpath("assets", "serve", file).read_bytes(), kind)
        for path, (file, kind) in _FILES.items()
    }
    one = anyio.CapacityLimiter(1)

    def static(request: Request) -> Response:
        body, kind = pages[request.url.path]
        return Response(body, media_type=kind, headers=_HEADERS)

    def info(request: Request) -> Response:
        row = {
            "name": name, "labels": extract.labels, "topics": extract.topics,
            "rules": extract.rules is not None, "backend": extract.backend,
            "most_bytes": MOST_BYTES, "most_texts": MOST_TEXTS,
        }  # fmt: skip
        return JSONResponse(row, headers=_HEADERS)

    async def ask(request: Request) -> Response:
        try:
            question = await _question(request)
            documents = await anyio.to_thread.run_sync(_answer, extract, question, limiter=one)
        except _Refused as no:
            return JSONResponse({"error": str(no)}, no.status, headers=_HEADERS)
        except HanspanError as err:
            return JSONResponse({"error": str(err)}, 400, headers=_HEADERS)
        return JSONResponse({"documents": documents}, headers=_HEADERS)

    routes = [Route(path, static) for path in _FILES]
    routes += [Route("/info", info), Route("/extract", ask, methods=["POST"])]
    app = Starlette(routes=routes)
    if not any_host:
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK), www_redirect=False)
    return app


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def _question(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise _Refused(415, "expected the content type application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise _Refused(413, f"more than {MOST_BYTES} bytes; send fewer texts at once")
    try:
        row = json.loads(body)
    except (ValueError, RecursionError):
        raise _Refused(400, "no JSON") from None
    texts = row.get("texts") if isinstance(row, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _Refused(400, "expected a list of strings under 'texts'")
    if len(texts) > MOST_TEXTS:
        raise _Refused(413, f"more than {MOST_TEXTS} texts; send fewer at once")
    threshold, rules = row.get("threshold", 0), row.get("rules")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
        raise _Refused(400, "expected a number under 'threshold'")
    if rules is not None and not isinstance(rules, str):
        raise _Refused(400, "expected on, off or only under 'rules'")
    return {"texts": texts, "threshold": threshold, "rules": rules}


def _answer(extract: Extractor, question: dict[str, Any]) -> list[dict[str, Any]]:
    documents = [Document(f"{n}", text) for n, text in enumerate(question["texts"], 1)]
    limits = question["threshold"] or None
    found = extract.pipe(
        documents, thresholds=limits, rules=question["rules"], topic_scores=True, values=True
    )
    return [to_json(document) for document in found]


def serve(extract: Extractor, *, name: str = "", host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve the page until it is interrupted.

    Args:
        extract: answers the questions.
        name: of the model, shown on the page.
        host: address to listen on; anything but loopback is open to the network.
        port: 0 takes a free one.

    Raises:
        HanspanError: if the port is taken or uvicorn is not installed.
    """
    import socket

    app = build_app(extract, name=name, any_host=host not in LOOPBACK)
    try:
        import uvicorn
    except ImportError:
        raise HanspanError("found no uvicorn; type: pip install 'hanspan[serve]'") from None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        listener.listen(128)
    except OSError as err:
        listener.close()
        raise HanspanError(
            f"{host}:{port}: cannot listen there ({err.strerror}); try another --port"
        ) from None
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    print(f"http://{shown}:{listener.getsockname()[1]}/  (Ctrl-C stops it)", flush=True)
    settings = uvicorn.Config(app, log_level="warning", server_header=False, access_log=False)
    uvicorn.Server(settings).run(sockets=[listener])
