"""The server under test, as `scripts/demo --keep --json` describes it, and plain requests to it.

`scripts/clients` writes the description to the file that the environment variable MUSTER_SERVER names, and makes every
client trust the authority of the server.
"""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import httpx

# The tenant that scripts/demo creates.
TENANT = "demo"

DEVICES = "/deviceManagement/managedDevices"
POLICIES = "/deviceManagement/deviceCompliancePolicies"


@cache
def server():
    """What the demo has printed."""
    return json.loads(Path(os.environ["MUSTER_SERVER"]).read_text())


def base():
    """The address of the API, which ends in /v1.0."""
    return server()["api"]


def origin():
    """The address of the console."""
    return base().removesuffix("/v1.0")


@cache
def token():
    """The token of an administrator."""
    return Path(server()["token_file"]).read_text().strip()


@cache
def _plain():
    return httpx.Client(timeout=60)


def request(method, path, *, token=token, **options):
    """A request without a Graph client. Returns the response; the caller decides what is a failure."""
    url = path if path.startswith("https:") else base() + path
    secret = token() if callable(token) else token
    headers = {"Authorization": f"Bearer {secret}", **options.pop("headers", {})}
    return _plain().request(method, url, headers=headers, **options)


def get(path):
    """The document at a path."""
    response = request("GET", path)
    assert response.status_code == 200, f"GET {path}: {response.status_code} {response.text}"
    return response.json()


def change(method, path, document=None, *, status):
    """Changes an object and returns the document of the response, if there is one."""
    response = request(method, path, json=document)
    assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
    return response.json() if response.content else None


def rows(path):
    """The rows of all pages of a list."""
    found = []
    while path:
        page = get(path)
        found += page["value"]
        path = page.get("@odata.nextLink")
    return found


def new_token(name, role):
    """A token with a built-in role: its document, with id and secret."""
    document = {"displayName": name, "role": role, "validDays": 1}
    return change("POST", "/muster/tokens", document, status=201)


def sign_in_link():
    """A link that signs a person in to the console once."""
    return change("POST", "/muster/signInCodes", status=201)["url"]


def send_check_ins(seed, devices):
    """A fleet with another seed checks in: devices that the server has not known, with names and models."""
    known = server()
    folder = Path(known["ca_file"]).parent.parent
    subprocess.run(
        [os.environ["MUSTER_LOADGEN"], "run", "--no-verify", "--target", known["quic"], "--ca", known["ca_file"]]
        + ["--identities", folder / "identities", "--tenant", TENANT, "--inventory", "1", "--seed", str(seed)]
        + ["--devices", str(devices), "--check-ins", str(devices)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
