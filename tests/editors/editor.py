"""A document that is open in an editor: what is underlined, offered and shown in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from language_server import LanguageServer, extent, server_command


@contextmanager
def running_server(folder: Path) -> Iterator[LanguageServer]:
    """A server with a folder open; where there is none to run, the test is skipped."""
    try:
        command = server_command()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    with LanguageServer(command, folder) as running:
        yield running


class Editor:
    """A document in the server; `|` in its text is the cursor."""

    def __init__(self, server: LanguageServer, path: Path, text: str) -> None:
        before = text.partition("|")[0]
        self.line, self.column = before.count("\n"), len(before) - before.rfind("\n") - 1
        self.text = text.replace("|", "", 1)
        self._server, self._path = server, path
        self.diagnostics = server.open(path, self.text)

    def marked(self) -> list[tuple[str, str]]:
        """The text under each squiggle, which must stay on one line, and its message."""
        found = []
        for diagnostic in self.diagnostics:
            line, column, last, end = extent(diagnostic)
            assert line == last, diagnostic
            found.append((self.text.split("\n")[line][column:end], diagnostic["message"]))
        return sorted(found)

    def completions(self) -> dict[str, dict[str, Any]]:
        items = self._server.complete(self._path, self.line, self.column)
        return {item["label"]: item for item in items}

    def hover(self) -> str:
        return self._server.hover(self._path, self.line, self.column)
