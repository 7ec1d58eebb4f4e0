"""Patterns for Python's ``re`` in shipped sets: re2's notation, long alternations as tries.

``re`` goes back and forth, which a user's pattern must never do (time may grow beyond all
bounds); patterns that ship are known, and in the short windows of the gate ``re`` is several
times faster than re2 on patterns with hundreds of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HAN = "\u2e80-\u2fdf々〇\u3021-\u3029\u3038-\u303b\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_NOT_HAN = (
    "\x00-\u2e7f\u2fe0-\u3004\u3006\u3008-\u3020\u302a-\u3037\u303c-\u33ff\ua000-\uf8ff"
    "\ufb00-\U0001ffff\U00040000-\U0010ffff"
)
_PLAIN = re.compile(r"[^\\\[\]^]+")
_WORDS = re.compile(r"\(\?:([^()\[\]{}|?*+.^$\\]{2,}(?:\|[^()\[\]{}|?*+.^$\\]+){19,})\)")


def for_re(pattern: str) -> str:
    """A pattern in re2's notation as ``re`` understands it; groups keep their names.

    ``\\p{Han}``, ``\\P{Han}`` and ``\\x{4e2d}`` are translated, ``\\d`` stays ASCII only when the
    result is compiled with ``re.ASCII``; a list of 20 words or more becomes a trie, in which the
    longest word is tried first.
    """
    out, inside, i = [], False, 0
    while i < len(pattern):
        two, char = pattern[i : i + 2], pattern[i]
        if pattern.startswith(("\\p{Han}", "\\P{Han}"), i):
            chars = _HAN if pattern[i + 1] == "p" else _NOT_HAN
            out.append(chars if inside else f"[{chars}]")
            i += 7
        elif two == "\\x" and pattern[i + 2 : i + 3] == "{":
            end = pattern.index("}", i)
            out.append(re.escape(chr(int(pattern[i + 3 : end], 16))))
            i = end + 1
        elif char == "\\":
            out.append(two)
            i += 2
        elif (plain := _PLAIN.match(pattern, i)) is not None:
            out.append(plain[0])
            i = plain.end()
        else:
            if char == "[" and not inside:
                inside = True
            elif char == "]" and inside and out[-1] != "[" and not out[-1].endswith("[^"):
                inside = False
            out.append(char if not (char == "^" and out and out[-1] == "[") else "^")
            i += 1
    return _WORDS.sub(lambda match: trie(match[1].split("|")), "".join(out))


def trie(words: Iterable[str]) -> str:
    """Literal words as one expression that looks at each character once."""
    root: dict[str, dict] = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    heads = "".join(re.escape(char) for char in root)
    return f"(?:(?=[{heads}]){_branches(root)})"


def _branches(node: dict[str, dict]) -> str:
    ends = "" in node
    single = [char for char, rest in node.items() if char and list(rest) == [""]]
    parts = [
        re.escape(char) + _branches(rest)
        for char, rest in node.items()
        if char and char not in single
    ]
    if single:
        parts.append(
            re.escape(single[0]) if len(single) == 1 else f"[{''.join(map(re.escape, single))}]"
        )
    if not parts:
        return ""
    body = parts[0] if len(parts) == 1 and not ends else f"(?:{'|'.join(parts)})"
    return f"{body}?" if ends else body
