"""Builds the stack and deploys it to the emulator: the real template, by the real SAM CLI.

Both steps are skipped where nothing changed. The build keeps the hash of its inputs in the build directory, which every
other `sam build` empties; a deployment is remembered under `.local/` with the id of the stack it made, which an
emulator that lost its state no longer has.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
REGION = "us-east-1"
BUCKET = "tollgate-artifacts"
INPUTS = ("template.yaml", "samconfig.toml", "pyproject.toml", "functions", "layers", "docs/openapi")


class SamError(RuntimeError):
    """A command of the SAM CLI failed; the message holds all that it printed."""


def local_parameters() -> dict[str, str]:
    """What the template must be told so that its functions run on this machine's own Python."""
    return {
        "PythonRuntime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "Architecture": "arm64" if _is_arm() else "x86_64",
        "SnapStart": "false",
        "ArchiveDays": "0",  # the emulator's CloudFormation knows no archives; its EventBridge does
    }


def layer_settings() -> dict[str, str]:
    """The same for layers/tollgate/Makefile, which SAM hands no parameters."""
    system = "apple-darwin" if platform.system() == "Darwin" else "manylinux2014"
    return {
        "TOLLGATE_RUNTIME": local_parameters()["PythonRuntime"],
        "TOLLGATE_PLATFORM": f"{'aarch64' if _is_arm() else 'x86_64'}-{system}",
    }


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
    """Builds functions and layer into `.aws-sam/build`. False where that build is already there."""
    parameters = local_parameters()
    # `sam local` reads the parameters of the build from here.
    _write(root / ".local" / "parameters.yaml", "".join(f'{key}: "{value}"\n' for key, value in parameters.items()))
    stamp = root / ".aws-sam" / "build" / ".inputs"
    inputs = _hash(_contents(root), parameters)
    if stamp.is_file() and stamp.read_text() == inputs:
        return False
    _sam(root, layer_settings(), "build", "--config-env", "local", "--parameter-overrides", *_overrides(parameters))
    _write(stamp, inputs)
    return True


def deploy(
    endpoint_url: str, stack_name: str, parameters: Mapping[str, str] | None = None, root: Path = ROOT
) -> dict[str, str]:
    """Deploys what `build` built, unless the emulator already holds it; returns the outputs of the stack.

    A parameter that is not given keeps the value of the last deployment.
    """
    all_parameters = local_parameters() | dict(parameters or {})
    record = root / ".local" / f"deployed-{stack_name}.json"
    inputs = _hash((root / ".aws-sam" / "build" / ".inputs").read_text(), all_parameters)
    deployed = _stack(endpoint_url, stack_name)
    if deployed and record.is_file() and json.loads(record.read_text()) == {"stack": deployed[0], "inputs": inputs}:
        return deployed[1]
    # A function's alias moves only when its code or template changes, and a parameter is neither; a place of its own
    # for the code of each set of parameters makes it both.
    prefix = f"{stack_name}/{_hash(all_parameters)[:8]}"
    _client("s3", endpoint_url).create_bucket(Bucket=BUCKET)
    options = ("--config-env", "local", "--stack-name", stack_name, "--s3-bucket", BUCKET, "--s3-prefix", prefix)
    _sam(root, _environment(endpoint_url), "deploy", *options, "--parameter-overrides", *_overrides(all_parameters))
    deployed = _stack(endpoint_url, stack_name)
    if not deployed:
        raise SamError(f"sam deploy succeeded, but stack {stack_name} is not complete")
    _write(record, json.dumps({"stack": deployed[0], "inputs": inputs}))
    return deployed[1]


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


def _sam(root: Path, environment: Mapping[str, str], *arguments: str) -> None:
    """Runs the SAM CLI quietly, with this interpreter first on the path: it is the one that the build looks for."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SAM_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [str(root / ".venv-sam" / "bin" / "sam"), *arguments]
    result = subprocess.run(
        command,
        cwd=root,
        env=inherited | {"PATH": path, "SAM_CLI_TELEMETRY": "0"} | dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SamError(f"{' '.join(command)} failed with status {result.returncode}:\n{result.stdout}")


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
    return (f"{key}={value}" for key, value in parameters.items())


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
