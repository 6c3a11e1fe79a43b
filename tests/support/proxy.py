"""A TCP proxy in front of PostgreSQL that can do to connections what networks do."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
CHUNK = 65536
# What psycopg sends for COMMIT: a simple query message ends with NUL.
COMMIT = b"COMMIT\0"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a server until told otherwise; every method may be called at any time."""

    def __init__(self, port: int) -> None:
        """Listen on a free port for clients of the server at `port`."""
        self._server_port = port
        self._lock = threading.Lock()
        self._pairs: set[_Pair] = set()
        self._flow = threading.Event()
        self._flow.set()
        self._delay = 0.0
        self._cuts_before: int = 0
        self._cuts_after: int = 0
        self.commits_cut = 0
        self.linger = 0.0
        """Seconds that the server does not learn of a client's end, as behind a dead network."""
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        if self._listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, self.port))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            self._listener = listener
            threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections and cut all there are: the server is gone."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> int:
        """Reset every connection; return how many there were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.close()
        return len(pairs)

    def stall(self) -> None:
        """Pass nothing on, in neither direction, and keep connections open."""
        self._flow.clear()

    def resume(self) -> None:
        """Pass everything on again."""
        self._flow.set()

    def delay(self, seconds: float) -> None:
        """Hold every chunk back this long."""
        self._delay = seconds

    def cut_at_commits(self, *, before: int = 0, after: int = 0) -> None:
        """Cut the next connections that send COMMIT: so many before it gets through, so many before its answer."""
        with self._lock:
            self._cuts_before, self._cuts_after = before, after

    def close(self) -> None:
        """End everything."""
        self.resume()
        self.refuse()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._server_port))
            except OSError:
                _reset(client)
                continue
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            for ends, watched in (((client, server), True), ((server, client), False)):
                threading.Thread(target=self._pump, args=(pair, *ends, watched), daemon=True).start()

    def _pump(self, pair: _Pair, source: socket.socket, sink: socket.socket, watched: bool) -> None:  # noqa: FBT001
        tail = b""
        try:
            while data := source.recv(CHUNK):
                if self._delay:
                    time.sleep(self._delay)
                self._flow.wait()
                seen, tail = tail + data, data[-len(COMMIT) :]
                if watched and COMMIT in seen and self._cuts(pair, sink, data):
                    break
                if not watched and pair.is_mute:
                    # The answer to a COMMIT that is to be lost has come, so the COMMIT is done.
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            if watched and self.linger and not pair.is_mute:
                time.sleep(self.linger)
            if not (watched and pair.is_mute):
                pair.close()
                with self._lock:
                    self._pairs.discard(pair)

    def _cuts(self, pair: _Pair, server: socket.socket, data: bytes) -> bool:
        """Decide what happens to a connection that sends COMMIT; tell whether it ends here."""
        with self._lock:
            before, after = self._cuts_before > 0, self._cuts_after > 0
            if before:
                self._cuts_before -= 1
            elif after:
                self._cuts_after -= 1
            self.commits_cut += before or after
        if after and not before:
            pair.is_mute = True
            server.sendall(data)
        return before or after


class _Pair:
    """The two sockets of one connection. `is_mute`: the server's next words are swallowed, and it is cut then."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._ends = (client, server)
        self.is_mute = False

    def close(self) -> None:
        for end in self._ends:
            _reset(end)


def _reset(end: socket.socket) -> None:
    """Close with RST, and wake whoever reads from it."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
