"""Prefect's API and worker, tried from outside without the password and from inside with it: nothing foreign runs.

One plant with a yearly release stands through all of it; who has the password is an insider, or found it.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from factory.runtime import deployments, incidents, processes
from factory.runtime.deployments import POOL
from factory.runtime.plant import Plant
from factory.state.room import open_factory
from shared.state.workspace import open_workspace
from tests.listening import ports_of
from tests.makers import RELEASE, make_charter, make_package

pytestmark = [pytest.mark.check, pytest.mark.timeout(600)]
YEARLY = "0 0 1 1 *"
NEW_YEAR = "2026-01-01T00:00:00Z"
NOBODY = 65534
SHELL = "prefect.deployments.steps.run_shell_script"
ANSWERS_WAIT_S = 60


@pytest.fixture(scope="module")
def plant(loaded, tmp_path_factory):
    root = tmp_path_factory.mktemp("intruders") / "workspace"
    shutil.copytree(loaded.root, root)
    workspace = open_workspace(root)
    make_package(workspace, charter=make_charter(cron=YEARLY))
    with Plant(workspace, port=0).running() as running:
        first = running.reconcile()
        assert (first.foreign, first.edited, first.not_run) == ((), {}, ())
        yield running
    assert processes.marked(str(workspace.factory / "prefect")) == []
    assert not running.workspace.factory.joinpath("prefect", "password").exists()


def test_nothing_that_prefect_writes_is_open_to_other_accounts(plant):
    """Its pages too, which it copies from its package."""
    files = [path for path in (plant.workspace.factory / "prefect").rglob("*") if not path.is_symlink()]
    assert any(path.suffix == ".html" for path in files)
    assert [path for path in files if path.stat().st_mode & 0o077] == []


@pytest.fixture
def evil(tmp_path):
    """A script that leaves a trace where it is run."""
    return Evil(tmp_path / "trace")


class Evil:
    def __init__(self, trace):
        self.trace = trace
        self.command = f"touch {trace}"
        self.steps = [{SHELL: {"script": self.command}}]


# What anybody may try.


def ask(url, method="GET", body=None, **headers):
    """Status, headers and text of an answer, whatever it is."""
    with httpx.Client(trust_env=False, timeout=ANSWERS_WAIT_S) as client:
        answer = client.request(method, url, content=body, headers=headers)
    return answer.status_code, dict(answer.headers), answer.text


def password(plant):
    return plant.password_file.read_text().strip()


def with_password(plant):
    return {"Authorization": "Basic " + base64.b64encode(password(plant).encode()).decode()}


@pytest.mark.parametrize("path", ["flows/", "deployments/", "flow_runs/", "automations/", "deployments/filter"])
def test_an_unauthenticated_or_wrong_post_is_refused(plant, path):
    url = f"{plant.url}/api/{path}"
    wrong = {"Authorization": "Basic " + base64.b64encode(b"pilotplant:wrong").decode()}
    assert ask(url, "POST", b"{}")[0] == 401
    assert ask(url, "POST", b"{}", **wrong)[0] == 401


def test_health_and_readiness_answer_without_the_password(plant):
    assert ask(f"{plant.url}/api/health")[::2] == (200, "true")
    assert ask(f"{plant.url}/api/ready")[0] == 200
    assert ask(f"{plant.url}/api/version")[0] == 401


def test_the_password_alone_changes_nothing_without_a_csrf_token(plant):
    status, _, text = ask(f"{plant.url}/api/flows/filter", "POST", b"{}", **with_password(plant))
    assert (status, json.loads(text)) == (403, {"detail": "Missing CSRF token."})
    assert ask(f"{plant.url}/api/version", **with_password(plant))[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("headers", [{}, {"Prefect-Csrf-Token": "x", "Prefect-Csrf-Client": "y"}])
def test_a_page_of_another_origin_is_answered_without_a_word_that_lets_it_read(plant, method, headers):
    asked = {"Access-Control-Request-Method": "POST", **headers, **with_password(plant)}
    for origin in ({"Origin": "http://evil.example"}, {"Origin": plant.url}, {}):
        status, answered, text = ask(
            f"{plant.url}/api/flows/", method, b"{}" if method == "POST" else None, **asked, **origin
        )
        assert not [name for name in answered if name.lower().startswith("access-control-")]
        # For its origin: a POST is also turned away for its token.
        turned_away = (status, f"Pages of {plant.url} alone may ask this server." in text) == (403, True)
        assert turned_away == (origin.get("Origin") == "http://evil.example")


def test_a_socket_without_the_password_is_closed_and_one_of_another_origin_never_opened(plant):
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect

    for path in ("events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled"):
        url = f"{plant.url.replace('http', 'ws')}/api/{path}"
        with pytest.raises(InvalidStatus), connect(url, origin="http://evil.example", subprotocols=["prefect"]):
            pass
        with connect(url, subprotocols=["prefect"]) as socket:
            socket.send(json.dumps({"type": "auth", "token": "wrong"}))
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=ANSWERS_WAIT_S)


def test_the_password_is_the_owners_alone_and_in_no_argument_and_no_log(plant):
    assert plant.password_file.stat().st_mode & 0o777 == 0o600
    assert plant.password_file.parent.stat().st_mode & 0o777 == 0o700
    secret = password(plant).partition(":")[2].encode()
    numbers = [each.pid for each in processes.marked(str(plant.workspace.factory / "prefect"))]
    assert len(numbers) >= 2
    assert not any(secret in Path(f"/proc/{number}/cmdline").read_bytes() for number in numbers)
    logs = list((plant.workspace.factory / "prefect" / "logs").iterdir())
    assert {log.name for log in logs} == {"server.log", "worker.log"}
    assert not any(secret in log.read_bytes() for log in logs)


# What an insider may try, who has the password.


@contextmanager
def insider(plant):
    with plant._prefect(), deployments.held() as (client, present):
        yield client, {one.name: one for one in present}


def ended(plant, run):
    """The run once it has ended."""
    give_up = time.monotonic() + ANSWERS_WAIT_S
    while time.monotonic() < give_up:
        with insider(plant) as (client, _):
            now = client.read_flow_run(run.id)
        if now.state is not None and now.state.is_final():
            return now
        time.sleep(0.3)
    raise AssertionError(now)


def run_of(client, deployment, **parts):
    return client.create_flow_run_from_deployment(deployment.id, **parts)


def plant_foreign(client, name, steps, flow=None):
    from prefect.client.schemas.actions import DeploymentCreate, FlowCreate

    flow = client.request("POST", "/flows/", json=FlowCreate(name=flow or name).model_dump(mode="json")).json()["id"]
    wanted = DeploymentCreate(name=name, flow_id=flow, work_pool_name=POOL, entrypoint="evil.py:f", pull_steps=steps)
    body = wanted.model_dump(mode="json", exclude_unset=True)
    return client.read_deployment(client.request("POST", "/deployments/", json=body).json()["id"])


def test_a_foreign_deployment_does_not_run_and_is_gone_at_the_next_round(plant, evil):
    with insider(plant) as (client, _):
        run = run_of(client, plant_foreign(client, "evil", evil.steps))
    run = ended(plant, run)
    assert (run.state.type.value, run.state.name) == ("CANCELLED", "Refused")
    assert "its flow is 'evil', not 'campaign'" in run.state.message
    told = plant.reconcile()
    assert set(told.foreign) == {"deployment 'evil'", "flow 'evil'"}
    assert [one.flow_run for one in told.not_run] == [str(run.id)]
    assert any(line.startswith("not run: Prefect asked for a run of 'evil'") for line in told.lines())
    assert "not the Factory's, and removed from Prefect: deployment 'evil'" in told.lines()
    on_record = [one.what for one in incidents.since(open_factory(plant.workspace), 0)[0] if one.subject == "prefect"]
    assert "not the Factory's: deployment 'evil'" in on_record
    with insider(plant) as (_, present):
        assert set(present) == {RELEASE}
    assert plant.reconcile().foreign == ()
    assert not evil.trace.exists()


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("autumn-email-letter", lambda evil: evil.steps),
        (
            "nightly",
            lambda evil: [
                {"prefect.deployments.steps.run_shell_script": {"script": f"sh -c '{evil.command}'", "id": "build"}},
                {"prefect.deployments.steps.set_working_directory": {"directory": str(evil.trace.parent)}},
            ],
        ),
    ],
)
def test_nor_does_one_that_passes_for_a_campaign_of_ours(plant, evil, name, step):
    with insider(plant) as (client, _):
        run = run_of(client, plant_foreign(client, name, step(evil), flow="campaign"))
    run = ended(plant, run)
    assert (run.state.type.value, run.state.name) == ("CANCELLED", "Refused")
    told = plant.reconcile()
    assert told.foreign == (f"deployment '{name}'",)
    assert [one.flow_run for one in told.not_run] == [str(run.id)]
    with insider(plant) as (_, present):
        assert set(present) == {RELEASE}
    assert not evil.trace.exists()


def test_the_step_of_that_deployment_would_have_left_its_trace(plant, evil):
    """Prefect's own way to take such a step, which its worker takes before it loads a flow."""
    import asyncio

    from prefect.deployments.steps.core import run_steps

    with insider(plant):  # elsewhere Prefect would begin a server of its own to tell of it
        asyncio.run(run_steps(evil.steps))
    assert evil.trace.exists()


def edited(name):
    """What an insider changes of our deployment, and of a run of it, by name of the case."""
    return {
        "command": lambda evil: ({"job_variables": {"command": evil.command}}, {}),
        "steps": lambda evil: ({"pull_steps": evil.steps}, {}),
        "run's command": lambda evil: ({}, {"job_variables": {"command": evil.command}}),
        "begun by somebody": lambda evil: ({}, {"idempotency_key": f"mine-{evil.trace}"}),
    }[name]


@pytest.mark.parametrize("case", ["command", "steps", "run's command", "begun by somebody"])
def test_an_edit_of_our_own_deployment_or_run_does_not_run(plant, evil, case):
    from prefect.client.schemas.actions import DeploymentUpdate

    of_deployment, of_run = edited(case)(evil)
    with insider(plant) as (client, present):
        if of_deployment:
            client.update_deployment(present[RELEASE].id, DeploymentUpdate(**of_deployment))
        key = {"idempotency_key": f"again-{evil.trace}", "parameters": {"occurrence": NEW_YEAR}}
        run = run_of(client, present[RELEASE], **{**key, **of_run})
    run = ended(plant, run)
    assert run.state.name == "Refused", run.state.message
    assert run.infrastructure_pid is None
    told = plant.reconcile()
    assert [one.subject for one in told.not_run] == [RELEASE]
    assert set(told.edited) == ({RELEASE} if of_deployment else set())
    assert plant.reconcile().edited == {}
    assert not evil.trace.exists()


def test_everything_else_that_somebody_puts_into_prefect_is_removed_by_name(plant):
    with insider(plant) as (client, _):
        plant_everything(client)
    told = plant.reconcile()
    assert sorted(told.foreign) == [
        "automation 'evil-automation'",
        "block 'evil-block'",
        "limit 'evil-limit'",
        "saved search 'evil-search'",
        "variable 'evil_variable'",
        "work pool 'evil-pool'",
        "work queue 'evil-queue'",
    ]
    assert plant.reconcile().foreign == ()


def plant_everything(client):
    def post(path, **body):
        return client.request("POST", path, json=body).json()

    trigger = {"type": "event", "expect": ["prefect.flow-run.Completed"], "posture": "Reactive", "threshold": 1}
    post("/automations/", name="evil-automation", trigger=trigger, actions=[{"type": "do-nothing"}])
    kind = client.request("GET", "/block_types/slug/secret").json()["id"]
    schemas = client.request(
        "POST", "/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [kind]}}}
    )
    schema = schemas.json()[0]["id"]
    post("/block_documents/", name="evil-block", data={"value": "x"}, block_type_id=kind, block_schema_id=schema)
    post("/variables/", name="evil_variable", value="x")
    post("/v2/concurrency_limits/", name="evil-limit", limit=1)
    client.request("PUT", "/saved_searches/", json={"name": "evil-search"})
    post("/work_pools/", name="evil-pool", type="process")
    post(f"/work_pools/{POOL}/queues", name="evil-queue")


def test_an_edited_work_pool_is_put_right_and_named(plant, evil):
    from prefect.client.schemas.actions import WorkPoolUpdate

    template = deployments.pool_template()
    template["job_configuration"]["command"] = evil.command
    with insider(plant) as (client, _):
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template, is_paused=True))
    told = plant.reconcile()
    assert told.edited == {"work pool factory": ("the work pool's job template was another one",)}
    assert plant.reconcile().edited == {}


# What is left: the Factory's own runs, tried by another account of the machine while one is at work.


@pytest.fixture
def at_work(plant):
    """A run of ours that the plant itself starts, held where it waits for its release."""
    scratch = plant.workspace.factory / "scratch"
    scratch.mkdir(exist_ok=True)
    with (scratch / "runs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another attempt at the release holds it
        with insider(plant) as (client, present):
            parts = {"idempotency_key": "again-at-work", "parameters": {"occurrence": NEW_YEAR}}
            run = run_of(client, present[RELEASE], **parts)
        give_up = time.monotonic() + ANSWERS_WAIT_S
        while time.monotonic() < give_up:
            with insider(plant) as (client, _):
                state = client.read_flow_run(run.id).state
            if state.name == "Running":
                break
            assert not state.is_final(), state.message
            time.sleep(0.3)
        yield run
    assert ended(plant, run).state.name == "Skipped"


@pytest.mark.skipif(os.geteuid() != 0, reason="another account of the machine is tried by root alone")
def test_another_account_reads_nothing_and_no_open_port_answers_it_but_with_health_and_pages(plant, at_work, tmp_path):
    home = plant.workspace.factory / "prefect"
    numbers = [each.pid for each in processes.marked(str(home))]
    ports = ports_of(numbers)
    server = int(plant.url.rpartition(":")[2])
    assert server in ports
    with insider(plant) as (client, _):
        routes = client.request("GET", "/openapi.json").json()["paths"]
    asked = [(method.upper(), path.partition("/api")[2] or path) for path, how in routes.items() for method in how]
    assert len(asked) > 150  # every route of Prefect's API, by its own description
    files = [str(path) for path in (plant.password_file, home / "prefect.db", home / "logs" / "server.log")]
    files += [f"/proc/{number}/environ" for number in numbers]
    tried = as_nobody(plant, {"server": server, "ports": sorted(ports), "routes": asked, "files": files}, tmp_path)
    assert tried["uid"] == NOBODY
    assert tried["read"] == []
    open_to_all = {("GET", "/health"), ("GET", "/ready")}
    answered = {tuple(one[:2]): one[2] for one in tried["routes"]}
    assert {one for one, status in answered.items() if status == 200} == open_to_all
    assert {status for one, status in answered.items() if one not in open_to_all} == {401}
    assert tried["pages"] == {"/": 200, "/ui-settings": 200, "/docs": 401, "/openapi.json": 401}
    # Other ports are Prefect's own between a worker and its run, each with a token of its own: they say nothing.
    assert {port: said for port, said in tried["ports"].items() if said and int(port) != server} == {}


def as_nobody(plant, task, folder):
    """What the other account finds out; the folders above the workspace are open to it, so that modes alone protect."""
    for parent in plant.workspace.root.parents:
        if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    script = Path(__file__).parents[1].joinpath("stranger.py").read_text()
    command = [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        python_for_all(),
        "-I",
        "-c",
        script,
    ]
    done = subprocess.run(
        command, input=json.dumps(task), capture_output=True, text=True, cwd="/", check=True, timeout=300
    )
    return json.loads(done.stdout)


def python_for_all():
    """An interpreter that another account may start."""
    real = Path(sys.executable).resolve()
    for path in (str(real), shutil.which("python3", path="/usr/local/bin:/usr/bin") or str(real)):
        tried = subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", path, "-I", "-c", ""],
            cwd="/", capture_output=True, check=False,
        )  # fmt: skip
        if tried.returncode == 0:
            return path
    pytest.skip("no interpreter here that another account may start")
