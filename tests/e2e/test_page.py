"""The page: generating images, and what it shows of each request."""

import math

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from local.providers.acedata import Behaviour, Refusal
from local.stack import Stack
from tests.e2e.browser import Page, behave, needs_browser, submissions
from tests.e2e.client import fetch

pytestmark = [needs_browser, pytest.mark.exhaustive]


def test_task_is_shown_in_every_state_until_its_images_can_be_downloaded(stack: Stack, page: Page) -> None:
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
        window.announcements = [];
        const status = document.getElementById("status");
        new MutationObserver(() => announcements.push(status.textContent)).observe(status, {childList: true});
    """)
    page.generate(prompt)

    card = page.card(prompt)
    page.wait(lambda: page.text(card, ".state strong") == "Processing")
    assert page.text(card, ".model") == "flux-pro-1.1-ultra"
    assert page.text(card, ".size") == "16:9"
    page.wait(lambda: len(submissions(stack, prompt)) == 2)
    assert stack.simulator
    stack.simulator.release()
    first, second = page.images(card, 2)
    assert (first.get_attribute("alt"), second.get_attribute("alt")) == (f"Image 1: {prompt}", f"Image 2: {prompt}")
    states = ("queued", "processing", "2 images are ready")
    assert page.run("return announcements") == [f"{prompt}: {state}" for state in states]

    links = card.find_elements(By.CSS_SELECTOR, ".links a")
    assert [link.accessible_name for link in links] == ["Download 1", "Download 2"]
    for link in links:
        assert fetch(link.get_attribute("href") or "").headers["Content-Type"] == "image/png"
        assert link.get_attribute("target") == "_blank"
        assert "noopener" in (link.get_attribute("rel") or "")
    assert card.find_element(By.TAG_NAME, "time").get_attribute("datetime")
    expected = {"prompt": prompt, "model": "flux-pro-1.1-ultra", "size": "16:9", "count": 2}
    assert expected.items() <= submissions(stack, prompt)[-1].items()


def test_invalid_size_is_explained_beside_its_field_and_can_be_corrected(stack: Stack, page: Page) -> None:
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
    page.images(page.card(prompt), 1)
    assert page["size-error"].text == ""
    assert page["pixels"].get_attribute("aria-invalid") is None
    assert [body["size"] for body in submissions(stack, prompt)] == ["992x992"]


def test_missing_prompt_is_explained_and_focused(page: Page) -> None:
    page.open("page-key")
    page["generate"].click()
    page.wait(lambda: page["prompt-error"].text == "This field must not be empty.")
    assert page.focused == "prompt"


@pytest.mark.parametrize(
    ("when", "behaviour"),
    [
        ("at submission", Behaviour(refusal=Refusal.of("forbidden"))),
        ("during generation", Behaviour(failure=Refusal.of("forbidden"))),
    ],
)
def test_failed_task_shows_the_reason(stack: Stack, page: Page, when: str, behaviour: Behaviour) -> None:
    prompt = f"Something that is refused {when}"
    behave(stack, prompt, behaviour)
    page.open("page-key")
    page.generate(prompt)
    card = page.card(prompt)
    page.wait(lambda: "blocked by moderation" in page.text(card, ".state"))
    assert page.text(card, ".state strong") == "Failed"
    assert "blocked by moderation" in str(page["status"].get_property("textContent"))
    assert card.find_elements(By.CSS_SELECTOR, ".links a") == []


def test_repeating_a_request_after_a_lost_response_creates_one_task(stack: Stack, page: Page) -> None:
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
    page.images(page.card(prompt), 1)
    assert page["form-error"].text == ""
    assert len(submissions(stack, prompt)) == 1
    page["generate"].click()  # a new request, because the last one has a response
    page.wait(lambda: len(submissions(stack, prompt)) == 2)
