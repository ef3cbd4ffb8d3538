"""The text of a model: the name of a relation or one query, as it stands behind FROM.

Executes nothing. The server has the last word; what is told here is told in plainer words.
"""

from __future__ import annotations

import re

from connector.push.planning.asked import Asked

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_NAME = re.compile(rf"\s*{_IDENTIFIER}(?:\s*\.\s*{_IDENTIFIER}){{0,2}}\s*")
_FILE = re.compile(r"\s*[\w.~/-]*(?:/[\w.~-]+|\.sql)\s*")
_BEGINS = re.compile(r"(?:SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)
_TOKENS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*)|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"
    |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|(?P<end>;)|(?P<space>\s+)|[\w$]+|.""",
    re.DOTALL | re.VERBOSE,
)
_NESTED = re.compile(r"/\*|\*/")


def text_of(asked: Asked) -> str:
    """The query that gives the model's rows, without a semicolon.

    Raises SettingsError where the text is neither a name nor one query.
    """
    if _NAME.fullmatch(asked.model) and not _BEGINS.fullmatch(asked.model.strip()):
        return f"SELECT * FROM {asked.model.strip()}"
    query = _one_statement(asked)
    if not _BEGINS.match(_without_comments(query)):
        file = f'; of a file give what is in it: --from "$(cat {query.strip()})"'
        raise asked.wrong(
            "it is neither the name of a table or view nor a query; a query begins with SELECT,"
            f" WITH, TABLE or VALUES{file if _FILE.fullmatch(query) else ''}"
        )
    return query


def is_name(asked: Asked) -> bool:
    """Whether the model is a name, so that positions in its query say nothing."""
    return bool(_NAME.fullmatch(asked.model)) and not _BEGINS.fullmatch(asked.model.strip())


def _one_statement(asked: Asked) -> str:
    """The text up to its semicolon; SettingsError if more than comments follows."""
    if "\0" in asked.model:
        raise asked.wrong("it holds a NUL character")
    query, ended = "", False
    for token, kind in _tokens(asked.model):
        if kind == "end":
            ended = True
        elif ended and kind not in ("comment", "space"):
            raise asked.wrong("it is more than one statement; give one query")
        elif not ended:
            query += token
    return query


def _without_comments(query: str) -> str:
    """The query from its first word on; parentheses before it are left out."""
    kept = (token for token, kind in _tokens(query) if kind not in ("comment", "space"))
    return " ".join(kept).lstrip("( ")


def _tokens(text: str) -> list[tuple[str, str]]:
    """The text in pieces that cannot be taken apart, each with what it is: "" for most."""
    pieces, at = [], 0
    while at < len(text):
        found = _TOKENS.match(text, at)
        assert found  # any character is a token
        end = _end_of_comment(text, at) if found[0] == "/*" else found.end()
        kind = found.lastgroup if found.lastgroup in ("comment", "end", "space") else ""
        pieces.append((text[at:end], kind or ""))
        at = end
    return pieces


def _end_of_comment(text: str, at: int) -> int:
    """Where a comment ends that may hold others."""
    depth = 0
    for found in _NESTED.finditer(text, at):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)
