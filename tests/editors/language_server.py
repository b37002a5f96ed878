"""A small client of a language server: JSON-RPC over its standard input and output."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
VARIABLE = "AUGSPEC_YAML_LANGUAGE_SERVER"
INSTALL = f"install it with `cd tests/editors && npm install`, or name it in {VARIABLE}"

Range = tuple[int, int, int, int]
"""Line and column of the first character, line and column after the last one; all from 0."""


class ServerError(RuntimeError):
    """The server did not answer in time, answered with an error, or ended."""


def server_command() -> list[str]:
    """The command line of yaml-language-server.

    Raises:
        FileNotFoundError: node or the server is missing; the message says how to install it.
    """
    named = os.environ.get(VARIABLE)
    script = Path(named) if named else HERE / "node_modules" / ".bin" / "yaml-language-server"
    if not script.exists():
        raise FileNotFoundError(f"no yaml-language-server at {script}: {INSTALL}")
    node = shutil.which("node")
    if node is None:
        raise FileNotFoundError("no node on the PATH: install Node.js 18 or later")
    return [node, str(script.resolve()), "--stdio"]


class LanguageServer:
    """One running server, and the documents that are open in it.

    Args:
        command: the server's command line.
        folder: the folder that the editor would have open.
        timeout: how many seconds an answer may take.
    """

    def __init__(self, command: list[str], folder: Path, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors: list[bytes] = []
        self._ids = 0
        self._waiting: list[dict[str, Any]] = []
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        self._start(folder)

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server, by force where it does not end by itself."""
        try:
            self.request("shutdown", None)
            self._notify("exit", None)
            self._process.wait(5)
        except (ServerError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait(5)

    def open(self, path: Path, text: str) -> list[dict[str, Any]]:
        """Opens a document that need not exist on the disk.

        Returns:
            Its diagnostics.
        """
        uri = path.as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._notify("textDocument/didOpen", {"textDocument": document})
        return self._diagnostics(uri)

    def shut(self, path: Path) -> None:
        """Closes a document."""
        uri = path.as_uri()
        self._notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        self._waiting = [m for m in self._waiting if m.get("params", {}).get("uri") != uri]

    def complete(self, path: Path, line: int, column: int) -> list[dict[str, Any]]:
        """What may be written at a place (from 0)."""
        found = self.request("textDocument/completion", self._at(path, line, column))
        return found["items"] if isinstance(found, dict) else found or []

    def hover(self, path: Path, line: int, column: int) -> str:
        """What is shown over a place (from 0)."""
        found = self.request("textDocument/hover", self._at(path, line, column))
        contents = (found or {}).get("contents", "")
        return contents["value"] if isinstance(contents, dict) else str(contents)

    def request(self, method: str, params: Any) -> Any:
        """Asks, and waits for the answer.

        Raises:
            ServerError: there is none in time, or it is an error.
        """
        self._ids += 1
        number = self._ids
        self._send({"id": number, "method": method, "params": params})
        answer = self._wait(lambda m: m.get("id") == number and "method" not in m, method)
        if "error" in answer:
            raise ServerError(f"{method}: {answer['error']}")
        return answer.get("result")

    def _start(self, folder: Path) -> None:
        uri = folder.as_uri()
        capabilities = {
            "textDocument": {
                "completion": {"completionItem": {"documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
                "publishDiagnostics": {"relatedInformation": False},
            },
            "workspace": {"configuration": True},
        }
        self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": "specs"}],
                "capabilities": capabilities,
            },
        )
        self._notify("initialized", {})

    @staticmethod
    def _at(path: Path, line: int, column: int) -> dict[str, Any]:
        position = {"line": line, "character": column}
        return {"textDocument": {"uri": path.as_uri()}, "position": position}

    def _diagnostics(self, uri: str) -> list[dict[str, Any]]:
        def ours(message: dict[str, Any]) -> bool:
            method = message.get("method") == "textDocument/publishDiagnostics"
            return method and message["params"]["uri"] == uri

        message = self._wait(ours, f"diagnostics of {uri}")
        return message["params"]["diagnostics"]

    def _wait(self, fits: Any, what: str) -> dict[str, Any]:
        for index, message in enumerate(self._waiting):
            if fits(message):
                return self._waiting.pop(index)
        while True:
            try:
                message = self._inbox.get(timeout=self._timeout)
            except queue.Empty:
                raise ServerError(f"{what}: no answer in {self._timeout:g} s") from None
            if message is None:
                said = b"".join(self._errors).decode(errors="replace")
                raise ServerError(f"{what}: the server ended: {said[-2000:]}")
            if "method" in message and "id" in message:
                self._answer(message)
            elif fits(message):
                return message
            else:
                self._waiting.append(message)

    def _answer(self, message: dict[str, Any]) -> None:
        """Answers the server's own questions: of the settings, and the rest with nothing."""
        result: Any = None
        if message["method"] == "workspace/configuration":
            # no network: the catalogue of schemas is a download
            yaml = {"validate": True, "completion": True, "hover": True}
            yaml |= {"schemaStore": {"enable": False}}
            result = [
                yaml if item.get("section") == "yaml" else {} for item in message["params"]["items"]
            ]
        self._send({"id": message["id"], "result": result})

    def _notify(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ServerError("the server ended") from None

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while header := stream.readline().strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                break
            self._inbox.put(json.loads(stream.read(length)))
        self._inbox.put(None)

    def _read_errors(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        for line in stream:
            self._errors.append(line)


def extent(diagnostic: dict[str, Any]) -> Range:
    """The range of a diagnostic."""
    start, end = diagnostic["range"]["start"], diagnostic["range"]["end"]
    return start["line"], start["character"], end["line"], end["character"]
