"""One local stack per test process: API, callbacks, queues, bus, stream and schedule, with each function in a process
of its own. One minute takes one second."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from selenium import webdriver

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.tasks.model import Status, TaskError
from fluxgate.tasks.store import TaskStore
from local.providers.acedata import Behaviour, Simulator
from local.stack import Stack
from local.template import Template
from tests.builders import a_task
from tests.e2e.browser import DESKTOP, Page, start
from tests.e2e.client import Client
from tests.e2e.receiver import Bus, Receiver

TIME_SCALE = 60
# By owner. The last four are used by tests of the page, which show all tasks of an owner.
API_KEYS = {f"{owner}-key": owner for owner in ("local", "other", "page", "gallery", "empty", "screenshots")}


def shorten_retries(template: Template) -> None:
    """AWS would take minutes to give up."""
    template["Resources"]["ArchiveQueue"]["Properties"]["VisibilityTimeout"] = 1
    changes = template["Resources"]["PublishChangesFunction"]["Properties"]["Events"]["Changes"]
    changes["Properties"]["MaximumRetryAttempts"] = 1


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    simulator = Simulator(behaviour=Behaviour(latency=0.1), listing=True)
    with Stack(simulator=simulator, api_keys=API_KEYS, change=shorten_retries, time_scale=TIME_SCALE) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.url, "local-key") as client:
        yield client


@pytest.fixture(scope="session")
def stranger(stack: Stack) -> Iterator[Client]:
    """A client of another owner."""
    with Client(stack.url, "other-key") as client:
        yield client


@pytest.fixture(scope="session")
def tasks(stack: Stack) -> TaskStore:
    """The table with the deployer's permissions."""
    return TaskStore(Table(stack.client("dynamodb"), stack.deployment.resources["TasksTable"]), Clock())


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def bus(stack: Stack) -> Bus:
    return Bus(stack)


# ---------------------------------------------------------------- the page


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def page(stack: Stack, driver: webdriver.Chrome) -> Iterator[Page]:
    """Fails if the browser logs a script error or a violation of the content security policy."""
    page = Page(driver, stack.url)
    page.resize(*DESKTOP)
    page.scheme("light")
    yield page
    driver.get("about:blank")
    errors = [entry for entry in driver.get_log("browser") if entry["source"] not in {"network"}]  # type: ignore[no-untyped-call]
    assert errors == []


@pytest.fixture(scope="session")
def page_client(stack: Stack) -> Iterator[Client]:
    """A client of the owner whose key most tests enter in the page."""
    with Client(stack.url, "page-key") as client:
        yield client


@pytest.fixture(scope="session")
def gallery(tasks: TaskStore) -> list[str]:
    """The prompts of 45 tasks of the owner `gallery`, newest first."""
    now = datetime.now(UTC)
    for n in range(45):
        created_at = now - timedelta(minutes=n)
        error = TaskError(code="forbidden", message="No.")
        tasks.create(
            a_task(owner="gallery", status=Status.FAILED, prompt=f"Number {n}", created_at=created_at, error=error)
        )
    return [f"Number {n}" for n in range(45)]
