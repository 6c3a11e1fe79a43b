"""The interview service: `python service.py --port N`, settings by environment."""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Final

from api import Answer, RefusedError, answer
from gate import WriteGate
from records import ConfigError, StorageError
from storage import Storage, open_storage

HOST: Final = "127.0.0.1"
MAX_BODY_BYTES: Final = 1 << 20
STOP_SIGNALS: Final = {signal.SIGTERM, signal.SIGINT}

log = logging.getLogger("interview")


class OneLine(logging.Formatter):
    """Writes every record as one line, tracebacks and all."""

    def format(self, record: logging.LogRecord) -> str:
        """Join the lines of a record."""
        return " | ".join(super().format(record).splitlines())


class Server(ThreadingHTTPServer):
    """A thread for every client; stopping lets requests in flight finish."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, port: int, environ: Mapping[str, str]) -> None:
        """Listen on a port of the loopback interface."""
        self.gate = WriteGate()
        if environ.get("WRITES") == "paused":
            self.gate.pause()
        self.stopping = False
        self._environ = environ
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((HOST, port), Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse name lookup, which may be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def open_storage(self) -> Storage:
        """Make the storage of one client's thread."""
        return open_storage(self._environ)

    def join(self, client: socket.socket) -> None:
        """Note a client that has connected."""
        with self._lock:
            self._clients.add(client)
            if self.stopping:
                _end_of_input(client)

    def leave(self, client: socket.socket) -> None:
        """Forget a client."""
        with self._lock:
            self._clients.discard(client)

    def stop(self) -> None:
        """Accept no more clients, answer the requests in flight, close."""
        self.shutdown()
        with self._lock:
            self.stopping = True
            for client in self._clients:
                _end_of_input(client)
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what a client's thread died of, unless the client just left."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("client thread: %r", error)


class Handler(BaseHTTPRequestHandler):
    """Translates between HTTP and the endpoints, for one client."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "interview"
    timeout = 60
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Give the client's thread a storage of its own."""
        super().setup()
        self.storage = self.server.open_storage()
        self.server.join(self.connection)

    def finish(self) -> None:
        """Close the storage with the client."""
        self.server.leave(self.connection)
        self.storage.close()
        super().finish()

    def do_GET(self) -> None:
        """Answer a read."""
        self._handle()

    def do_POST(self) -> None:
        """Answer a write."""
        self._handle()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer as JSON what the HTTP layer refuses, and hang up."""
        del explain
        status = HTTPStatus(code)
        self.close_connection = True
        self._reply(Answer(status, {"error": message or status.phrase}))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the HTTP layer's own notes quiet; errors are logged elsewhere."""

    def _handle(self) -> None:
        try:
            body = self._body()
            found = answer(self.command, self.path, body, self.storage, self.server.gate)
        except RefusedError as error:
            # The body was not read, so the next request cannot be found.
            self.close_connection = True
            found = Answer(error.status, {"error": str(error)})
        except OSError:
            raise
        except Exception:
            log.exception("%s %s", self.command, self.path)
            failed = {"error": "internal error"}
            found = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, failed)
        self._reply(found)

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length")
        declared = self.headers.get("Content-Length", "0")
        if not (declared.isascii() and declared.isdecimal()):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "bad Content-Length")
        # Its length first: int() refuses numbers of thousands of digits.
        if len(declared) > len(str(MAX_BODY_BYTES)) or int(declared) > MAX_BODY_BYTES:
            message = "the body is too large"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        body = self.rfile.read(int(declared))
        if len(body) < int(declared):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the body was cut short")
        return body

    def _reply(self, found: Answer) -> None:
        text = json.dumps(found.payload, ensure_ascii=False, separators=(",", ":"))
        data = text.encode()
        self.close_connection = self.close_connection or self.server.stopping
        self.send_response(found.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _end_of_input(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)


def _set_up_logging() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="The interview service.")
    parser.add_argument("--port", type=int, default=8000, help="0: a free port")
    options = parser.parse_args()
    _set_up_logging()
    # Before there are threads, which inherit it: the signals wait for sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        # One thread creates the schema before there are several; a database
        # that is down is no reason not to start: /health tells.
        with closing(open_storage(os.environ)) as storage:
            storage.ping()
    except ConfigError as error:
        print(f"interview: {error}", file=sys.stderr)
        return 2
    except StorageError as error:
        log.warning("category=db start: %s", error)
    try:
        server = Server(options.port, os.environ)
    except (OSError, OverflowError) as error:
        print(f"interview: port {options.port}: {error}", file=sys.stderr)
        return 1
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    print(f"listening on http://{HOST}:{server.server_port}", flush=True)
    signal.sigwait(STOP_SIGNALS)
    server.stop()
    thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
