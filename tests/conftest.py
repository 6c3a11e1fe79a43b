"""Fixtures: every test has its own files, its own database and its own processes, and leaves none behind."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from support import shop
from support.cli import Cli
from support.pair import Pair, wipe
from support.postgres import Database, Server, Servers, installations
from support.processes import Processes
from support.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.processes import Running


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`, the same tests with the sizes and counts of the acceptance bars, `--histories` and `--values`."""
    parser.addoption("--full", action="store_true", help="large databases and many repetitions (a few hours)")
    histories = "random histories that the capture oracle plays, half of them in each of its two files"
    parser.addoption("--histories", type=int, default=50_000, metavar="N", help=histories)
    parser.addoption("--values", type=int, default=100_000, metavar="N", help="random values sent under all mappings")


def pytest_configure() -> None:
    """Let SIGINT interrupt this process and those it starts: a shell's background job has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether large numbers are asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def histories(request: pytest.FixtureRequest) -> int:
    """How many histories the capture oracle plays."""
    return int(request.config.getoption("--histories"))


@pytest.fixture(scope="session")
def values(request: pytest.FixtureRequest) -> int:
    """How many values are sent under all mappings together."""
    return int(request.config.getoption("--values"))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL servers of this test process, started when first asked for."""
    found = Servers()
    yield found
    found.close()


@pytest.fixture
def database(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Database]:
    """A new, empty database; its server is of the kind the test names by an indirect parameter."""
    kind = getattr(request, "param", "wheel")
    if kind not in installations():
        pytest.skip(f"no PostgreSQL of kind {kind!r} is installed")
    made = servers.get(kind).create_database()
    yield made
    made.drop()


@pytest.fixture
def private_server() -> Iterator[Server]:
    """A durable server of the test's own, to be killed."""
    with Server("wheel", durable=True) as server:
        yield server


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    """A proxy in front of the test's server."""
    with Proxy(database.server.port) as made:
        yield made


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Processes that end with the test."""
    with Processes(tmp_path / "processes") as made:
        yield made


@pytest.fixture
def cli(processes: Processes, tmp_path: Path, database: Database) -> Cli:
    """The console command, run from a directory of the test's own against its database."""
    return _cli(processes, tmp_path, database)


@pytest.fixture
def proxied_cli(processes: Processes, tmp_path: Path, database: Database, proxy: Proxy) -> Cli:
    """The console command with the proxy between it and PostgreSQL."""
    return _cli(processes, tmp_path, database, proxy.port)


@pytest.fixture(scope="module")
def shared_database(servers: Servers) -> Iterator[Database]:
    """A database for the short tests of one module, which empty it: making one costs more than many of them."""
    made = servers.get("wheel").create_database()
    yield made
    made.drop()


@pytest.fixture
def make_pair(tmp_path: Path, shared_database: Database) -> Iterator[Callable[..., Pair]]:
    """Make a source with the given schema and settings, which is synced in this process; once a test."""
    with ExitStack() as stack:
        yield lambda schema, **settings: stack.enter_context(Pair(tmp_path, shared_database, schema, **settings))
    wipe(shared_database)


@pytest.fixture
def postgres(shared_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty schema `app`, in a session whose time zone is not UTC."""
    with psycopg.connect(shared_database.conninfo(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS app CASCADE")
        connection.execute("CREATE SCHEMA app")
        connection.execute("SET timezone TO 'America/New_York'")
        connection.execute("SET search_path TO app")
        yield connection


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source database with history, in WAL mode, named by the settings file the commands find."""
    (tmp_path / "cwd").mkdir(exist_ok=True)
    (tmp_path / "cwd" / "cdcsync.toml").write_text('source = "../app.db"\n')
    return shop.create(tmp_path / "app.db")


@pytest.fixture
def start_writer(processes: Processes, source: Path) -> Callable[..., Running]:
    """Start an application that writes to the source at `rate` commits a second until SIGTERM."""

    def start(rate: float = 200.0, seed: int = 7) -> Running:
        script = Path(shop.__file__)
        writer = processes.start(sys.executable, script, source, "--rate", str(rate), "--seed", str(seed))
        writer.wait_for_line("writing")
        return writer

    return start


def _cli(processes: Processes, folder: Path, database: Database, port: int | None = None) -> Cli:
    cwd = folder / "cwd"
    cwd.mkdir(exist_ok=True)
    return Cli(processes, cwd, database, port)
