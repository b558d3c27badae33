"""Builds the stack and deploys it, to the emulator or to an account: the real template, by the real SAM CLI.

Build and deployment get the same parameters: the layer's wheels must be of the machine that the functions run on. A
deployment says which code and parameters it is of (`Revision`), so that a change of either publishes new versions.

For the emulator both steps are skipped where nothing changed. The build keeps the hash of its inputs in the build
directory, which every other `sam build` empties; a deployment is remembered under `.local/` with the id of the stack it
made, which an emulator that lost its state no longer has.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "tollgate-artifacts"
CONSOLE = ("console/src", "console/package-lock.json", "tollgate_cli/console.py")
PAGES = ("docs", "zensical.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "tollgate_cli/site.py")
"""What the reference's function serves to agents is made of."""
INPUTS = ("template.yaml", "samconfig.toml", "pyproject.toml", "functions", "layers", *PAGES, *CONSOLE)
_ELSEWHERE = ("--parameter-overrides", "--guided", "-g", "--stack-name", "--region", "--profile")


class SamError(RuntimeError):
    """A command of the SAM CLI failed; the message holds all that it printed."""


def local_parameters() -> dict[str, str]:
    """What the template must be told so that its functions run on this machine's own Python."""
    return {
        "PythonRuntime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Architecture": "arm64" if _is_arm() else "x86_64",
        "SnapStart": "false",
        "BrowserOrigins": "http://localhost:3000,http://localhost:5173",  # where development servers listen
        "LoopbackWebhooks": "true",
        "ArchiveDays": "0",  # the emulator's CloudFormation knows no archives; its EventBridge does
        "GuardEvents": "false",  # nor does it know a bus's policy
    }


def account_parameters(given: Mapping[str, str], kept: Mapping[str, str], root: Path = ROOT) -> dict[str, str]:
    """The parameters of a stack in an account: those `given`, else those that it has (`kept`), but for the Python, which
    is this interpreter's.

    Raises SamError where the template has no parameter of a given name: SAM would leave it out.
    """
    known = template_parameters(root)
    if unknown := sorted(set(given) - known):
        raise SamError(f"{', '.join(unknown)}: no parameter to set; there are {', '.join(sorted(known))}")
    own = {"PythonRuntime": local_parameters()["PythonRuntime"]}
    still = {name: value for name, value in kept.items() if name in known}
    return {"Architecture": "arm64"} | still | own | dict(given)


def template_parameters(root: Path = ROOT) -> set[str]:
    """The parameters of the template that may be set: all but the revision, which is computed."""
    section = (root / "template.yaml").read_text().partition("\nParameters:\n")[2].partition("\n\n")[0]
    return set(re.findall(r"^  (\w+):$", section, re.MULTILINE)) - {"Revision"}


def layer_settings(parameters: Mapping[str, str], system: str = "manylinux2014") -> dict[str, str]:
    """The same for layers/tollgate/Makefile, which SAM hands no parameters."""
    machine = parameters["Architecture"].replace("arm64", "aarch64")
    return {"TOLLGATE_RUNTIME": parameters["PythonRuntime"], "TOLLGATE_PLATFORM": f"{machine}-{system}"}


def base_url(endpoint_url: str, outputs: Mapping[str, str]) -> str:
    """Where the emulator serves the API: at the root of 127.0.0.1, as clients resolve absolute paths against it.

    In API Gateway's words, 127.0.0.1 is a custom domain of the API. So the emulator's own API answers at `localhost`
    alone, which is `endpoint_url`.
    """
    client = _client("apigatewayv2", endpoint_url)
    try:
        client.create_domain_name(DomainName=HOST)
    except client.exceptions.ConflictException:  # of an earlier deployment
        for mapping in client.get_api_mappings(DomainName=HOST)["Items"]:
            if mapping["ApiId"] == outputs["ApiId"]:
                return endpoint_url.replace("localhost", HOST)
            client.delete_api_mapping(DomainName=HOST, ApiMappingId=mapping["ApiMappingId"])
    client.create_api_mapping(DomainName=HOST, ApiId=outputs["ApiId"], Stage="$default")
    return endpoint_url.replace("localhost", HOST)


def build(root: Path = ROOT) -> bool:
    """Builds functions and layer for this machine, into `.aws-sam/build`. False where that build is already there. Who comes
    while another process builds waits for it."""
    (root / ".local").mkdir(exist_ok=True)
    with (root / ".local" / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(root)


def _build(root: Path) -> bool:
    parameters = local_parameters()
    # `sam local` reads the parameters of the build from here, and takes any revision.
    told = parameters | {"Revision": "0" * 64}
    _write(root / ".local" / "parameters.yaml", "".join(f'{key}: "{value}"\n' for key, value in told.items()))
    stamp = root / ".aws-sam" / "build" / ".inputs"
    inputs = revision(parameters, root)
    if stamp.is_file() and stamp.read_text() == inputs:
        return False
    system = "apple-darwin" if platform.system() == "Darwin" else "manylinux2014"
    build_for(parameters, layer_settings(parameters, system), root)
    _write(stamp, inputs)
    return True


def build_for(parameters: Mapping[str, str], layer: Mapping[str, str], root: Path = ROOT) -> None:
    """Builds functions and layer for these parameters; `layer` says the same to the layer's makefile."""
    overrides = _overrides({**parameters, "Revision": revision(parameters, root)})
    _sam(root, dict(layer), "build", "--parameter-overrides", *overrides)
    if parameters["PythonRuntime"] == local_parameters()["PythonRuntime"]:
        for folder in (root / ".aws-sam" / "build").glob("*Function"):
            _compile(folder)


def _compile(folder: Path) -> None:
    """Puts the bytecode beside a function's handler, as the layer's makefile does for the layer: /var/task is read-only,
    so that each cold start would compile it anew."""
    options = ("-s", str(folder), "-p", "/var/task", "--invalidation-mode", "unchecked-hash")
    subprocess.run([sys.executable, "-m", "compileall", "-q", *options, str(folder)], check=True)


def revision(parameters: Mapping[str, str], root: Path = ROOT) -> str:
    """What names a deployment: the hash of the code, the template and these parameters."""
    return _hash(_contents(root), dict(parameters))


def deploy(
    endpoint_url: str, stack_name: str, parameters: Mapping[str, str] | None = None, root: Path = ROOT
) -> dict[str, str]:
    """Deploys what `build` built, unless the emulator already holds it; returns the outputs of the stack.

    A parameter that is not given keeps the value of the last deployment.
    """
    all_parameters = local_parameters() | dict(parameters or {})
    record = root / ".local" / f"deployed-{stack_name}.json"
    inputs = revision(all_parameters, root)
    deployed = _stack(endpoint_url, stack_name)
    if deployed and record.is_file() and json.loads(record.read_text()) == {"stack": deployed[0], "inputs": inputs}:
        return deployed[1]
    _client("s3", endpoint_url).create_bucket(Bucket=BUCKET)
    options = ("--config-env", "local", "--stack-name", stack_name, "--s3-bucket", BUCKET, "--s3-prefix", stack_name)
    _deploy(root, _environment(endpoint_url), options, {**all_parameters, "Revision": inputs})
    deployed = _stack(endpoint_url, stack_name)
    if not deployed:
        raise SamError(f"sam deploy succeeded, but stack {stack_name} is not complete")
    _write(record, json.dumps({"stack": deployed[0], "inputs": inputs}))
    return deployed[1]


def deploy_to_account(
    stack_name: str, given: Mapping[str, str], arguments: Sequence[str] = (), root: Path = ROOT
) -> None:
    """Builds and deploys to the account and region of the credentials in the environment; SAM shows what it does and
    asks. `arguments` are more of `sam deploy`'s.

    A parameter that is not given keeps its value. Raises SamError for arguments that would set parameters, the stack or
    the region apart from this.
    """
    if refused := [text for text in arguments if text.partition("=")[0] in _ELSEWHERE]:
        raise SamError(
            f'{", ".join(refused)}: say it by PARAMETERS="Name=value", STACK=name, AWS_REGION and AWS_PROFILE'
        )
    session = boto3.Session()
    if not session.region_name:
        raise SamError("no region: set AWS_REGION")
    parameters = account_parameters(given, _kept(session.client("cloudformation"), stack_name), root)
    build_for(parameters, layer_settings(parameters), root)
    options = ("--stack-name", stack_name, "--region", session.region_name, *arguments)
    named = {**parameters, "Revision": revision(parameters, root)}
    _deploy(root, dict(os.environ), options, named, shown=True)


def _deploy(
    root: Path,
    environment: Mapping[str, str],
    options: Sequence[str],
    parameters: Mapping[str, str],
    *,
    shown: bool = False,
) -> None:
    """Deploys the build. Its template has the revision as a default too: the emulator's SAM transform knows no others."""
    template = root / ".aws-sam" / "build" / "template.yaml"
    kept = re.sub(r"(?m)^    Default: [0-9a-f]{64}\n", "", template.read_text())
    named = re.sub(r"(?m)^(  Revision:\n)", rf"\1    Default: {parameters['Revision']}\n", kept)
    _write(template.with_suffix(".tmp"), named)
    template.with_suffix(".tmp").replace(template)
    _sam(root, environment, "deploy", *options, "--parameter-overrides", *_overrides(parameters), shown=shown)


def _kept(client: Any, stack_name: str) -> dict[str, str]:
    """The parameters of a stack, where it exists."""
    try:
        stack = client.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":  # there is no such stack
            return {}
        raise
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])}


def _is_arm() -> bool:
    return platform.machine().lower() in ("arm64", "aarch64")


def _environment(endpoint_url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        # Nothing of the user's own profiles, so that no mistake here can reach an account.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAM_CLI_POLL_DELAY": "0.5",
    }


def _sam(root: Path, environment: Mapping[str, str], *arguments: str, shown: bool = False) -> None:
    """Runs the SAM CLI, quietly unless it is to be `shown`, with this interpreter first on the path: it is the one that
    the build looks for."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(root / ".venv-sam" / "bin" / "sam"), *arguments]
    result = subprocess.run(
        command,
        cwd=root,
        env=inherited | dict(environment) | {"PATH": path, "SAM_CLI_TELEMETRY": "0"},
        stdin=None if shown else subprocess.DEVNULL,
        stdout=None if shown else subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SamError(f"{' '.join(command)} failed with status {result.returncode}:\n{result.stdout or ''}")


def _stack(endpoint_url: str, stack_name: str) -> tuple[str, dict[str, str]] | None:
    """The id and outputs of the stack, where it is there and complete."""
    client = _client("cloudformation", endpoint_url)
    try:
        stack = client.describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":  # there is no such stack
            return None
        raise
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return None
    return stack["StackId"], {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _client(service: str, endpoint_url: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # the service is a variable
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 2}),
    )


def _overrides(parameters: Mapping[str, str]) -> Iterator[str]:
    return (f'{key}="{value}"' for key, value in parameters.items())


def _contents(root: Path) -> dict[str, str]:
    """The hash of every file that the build and the deployment read."""
    files = (file for name in INPUTS for file in (root / name, *(root / name).rglob("*")) if file.is_file())
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix != ".pyc"
    }


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
