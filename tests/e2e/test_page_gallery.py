"""The page: the gallery of tasks."""

import time

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.browser import Page, needs_browser
from tests.e2e.client import Client, fetch

pytestmark = [needs_browser, pytest.mark.exhaustive]


def test_gallery_loads_more_tasks_when_it_is_scrolled(page: Page, gallery: list[str]) -> None:
    def prompts() -> list[str]:
        return [str(prompt.get_property("textContent")) for prompt in page.all("#gallery .prompt")]

    page.open("gallery-key")
    page.wait(lambda: len(prompts()) >= 20)
    time.sleep(1)  # nothing more is loaded
    assert prompts() == gallery[:20]
    while len(prompts()) < 45:
        before = len(prompts())
        page.run("window.scrollTo(0, document.body.scrollHeight)")
        page.wait(lambda before=before: len(prompts()) > before)  # type: ignore[misc]
    assert prompts() == gallery
    assert not page["more"].is_displayed()


def test_download_link_gets_a_new_url_when_it_may_have_expired(page: Page, page_client: Client) -> None:
    prompt = "A lighthouse for later"
    task_id = page_client.outcome(page_client.generate(prompt=prompt).json()["task_id"])["task_id"]
    page.open("page-key")
    link = page.card(prompt).find_element(By.CSS_SELECTOR, ".links a")
    old = link.get_attribute("href")
    # URLs differ by the second in which they were signed.
    page.wait(lambda: page_client.get(f"/v1/tasks/{task_id}").json()["images"][0]["url"] != old)
    page.run("""
        const now = Date.now;
        Date.now = () => now() + 3600_000;
        window.open = (url) => { window.opened = url; };
    """)
    link.click()
    new = page.wait(lambda: page.run("return window.opened"))
    assert new != old
    assert fetch(new).headers["Content-Type"] == "image/png"


def test_earlier_request_can_be_loaded_into_the_form(page: Page, page_client: Client) -> None:
    prompt = "Three apples on a blue table"
    response = page_client.generate(prompt=prompt, model="flux-pro", size="640x320", count=3)
    page_client.outcome(response.json()["task_id"])
    page.open("page-key")
    page.card(prompt).find_element(By.CLASS_NAME, "again").click()
    assert page.focused == "prompt"
    assert page["prompt"].get_property("value") == prompt
    assert page["model"].get_property("value") == "flux-pro"
    assert (page["size"].get_property("value"), page["pixels"].get_property("value")) == ("", "640x320")
    assert page.all("#counts :checked")[0].get_property("value") == "3"
