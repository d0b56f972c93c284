"""The page: accessibility and layout. Leaves screenshots in .reports/screenshots."""

import math
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from local.providers.acedata import Behaviour, Refusal
from local.stack import Stack
from tests.e2e.browser import DESKTOP, PHONE, Page, behave, needs_browser, submissions
from tests.e2e.client import Client

pytestmark = [needs_browser, pytest.mark.exhaustive]


def test_images_can_be_generated_with_the_keyboard_alone(stack: Stack, page: Page) -> None:
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
    page.images(card, 2)
    expected = {"model": "flux-kontext-max", "size": "3:4", "count": 2}
    assert expected.items() <= submissions(stack, prompt)[0].items()
    page.press(Keys.TAB)  # the new task is the gallery's first
    assert page.driver.switch_to.active_element == card.find_element(By.CSS_SELECTOR, ".links a")


def test_every_control_and_image_has_an_accessible_name(page: Page, page_client: Client) -> None:
    page_client.outcome(page_client.generate(prompt="A harbour in fog", count=2).json()["task_id"])
    page.open("page-key")
    page.images(page.card("A harbour in fog"), 2)
    page.choose("size", "")
    page["change-key"].click()
    controls = [it for it in page.all("a, button, input, select, textarea, fieldset") if it.is_displayed()]
    assert len(controls) > 15
    assert [it.get_attribute("outerHTML") for it in controls if not it.accessible_name] == []
    assert all(image.get_attribute("alt") for image in page.all("#gallery img"))
    assert page.run("return document.documentElement.lang") == "en"
    assert len(page.all("h1")) == len(page.all("main")) == 1
    ids = page.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(set(ids)) == len(ids)


# Each text with its contrast to the first background that is not transparent, by WCAG's formula.
CONTRASTS = """
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
      const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      const [red, green, blue] = channels(colour).map((channel) => linear(channel / 255));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const background = (element) => {
      const colour = getComputedStyle(element).backgroundColor;
      return (channels(colour)[3] ?? 1) > 0 ? colour : background(element.parentElement);
    };
    const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    return [...document.body.querySelectorAll("*")]
      .filter((element) => element.checkVisibility() && hasText(element) && element.tagName !== "OPTION")
      .map((element) => {
        const [a, b] = [luminance(getComputedStyle(element).color), luminance(background(element))];
        return [element.textContent.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
      });
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_sufficient_contrast(page: Page, gallery: list[str], scheme: str) -> None:
    page.scheme(scheme)
    page.open("gallery-key")
    page.card(gallery[0])
    page["generate"].click()
    page.wait(lambda: page["prompt-error"].text)
    page["change-key"].click()
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 40
    assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


def test_page_redirects_to_the_stage_with_a_slash(page: Page) -> None:
    page.open()
    page.driver.get(f"{page.url}/prod")
    assert page.driver.current_url == f"{page.url}/prod/"
    page.enter("page-key")
    page.wait(page["composer"].is_displayed)


REQUESTS: list[dict[str, Any]] = [
    {"prompt": "An old greenhouse overgrown with vines, dust in the light", "size": "768x1376"},
    {"prompt": "Rowing boats on a still lake at dawn", "size": "1376x768"},
    {"prompt": "A red fox under the northern lights", "count": 4},
    {"prompt": "Cutaway of a lighthouse, technical drawing, fine lines on warm paper", "size": "1248x832"},
    {"prompt": "A ripe pomegranate on blue linen", "count": 2, "model": "flux-pro-1.1-ultra", "size": "3:4"},
    {"prompt": "Fog over a harbour, two cranes", "size": "1184x896"},
]


def test_page_fits_desktop_and_phone_in_light_and_dark(stack: Stack, page: Page) -> None:
    refused, running = "Somebody famous, doing something bad", "A lighthouse on a cliff at golden hour"
    behave(stack, refused, Behaviour(refusal=Refusal.of("forbidden")))
    behave(stack, running, Behaviour(latency=math.inf))
    with Client(stack.url, "screenshots-key") as client:
        for request in (*REQUESTS[:2], {"prompt": refused}, *REQUESTS[2:]):
            client.outcome(client.generate(**request).json()["task_id"])
    page.open()
    page.screenshot("key")
    page.enter("screenshots-key")
    page.wait(page["composer"].is_displayed)
    page.generate(running)
    page.card(running)
    page.images(page.card(REQUESTS[0]["prompt"]), 1)
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
