"""The web page in a headless browser."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from local.providers.acedata import Behaviour
from local.stack import ROOT, Stack
from tests.waiting import wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SCREENSHOTS = ROOT / ".reports/screenshots"
DESKTOP, PHONE = (1360, 960), (390, 844)

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="install chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)

# Whether every finite animation has ended and every image in view is loaded.
IS_STILL = """
    const inView = ({ top, bottom }) => bottom > 0 && top < window.innerHeight;
    const ends = (animation) => animation.effect.getComputedTiming().endTime !== Infinity;
    return document.getAnimations().every((animation) => animation.playState !== "running" || !ends(animation))
      && [...document.images].every((image) => image.complete || !inView(image.getBoundingClientRect()));
"""

T = TypeVar("T")


class Page:
    """Elements are found by id: `page["prompt"]`."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, key: str | None = None) -> None:
        """With empty storage. Signs in if there is a key."""
        self.driver.get(f"{self.url}/icon.svg")  # the same origin, without the script that stores keys
        self.run("localStorage.clear(); sessionStorage.clear()")
        self.driver.get(f"{self.url}/")
        if key:
            self.enter(key)
            self.wait(self["composer"].is_displayed)

    def enter(self, key: str) -> None:
        self["key"].clear()
        self["key"].send_keys(key, Keys.ENTER)

    def generate(self, prompt: str) -> None:
        self["prompt"].clear()
        self["prompt"].send_keys(prompt)
        self["generate"].click()

    def choose(self, control: str, value: str) -> None:
        Select(self[control]).select_by_value(value)

    def choices(self, control: str) -> list[str | None]:
        return [option.get_attribute("value") for option in Select(self[control]).options]

    def card(self, prompt: str) -> WebElement:
        """The newest task with a prompt."""

        def find() -> WebElement | None:
            found = (card for card in self.all("#gallery > li") if self.text(card, ".prompt") == prompt)
            return next(found, None)

        card = self.wait(find)
        assert card is not None
        return card

    def images(self, card: WebElement, count: int) -> list[WebElement]:
        """The images of a task, once loaded."""

        def find() -> list[WebElement] | None:
            found = card.find_elements(By.CSS_SELECTOR, "img")
            self.run("arguments[0].scrollIntoView({block: 'center'})", card)
            widths = [self.run("return arguments[0].naturalWidth", image) for image in found]
            return found if len(found) == count and all(widths) else None

        return self.wait(find) or []

    def text(self, within: WebElement, selector: str) -> str:
        """In one step, because the page may replace the element at any time."""
        return str(self.run("return arguments[0].querySelector(arguments[1])?.textContent ?? ''", within, selector))

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def __getitem__(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    @property
    def focused(self) -> str | None:
        return self.driver.switch_to.active_element.get_attribute("id")

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], T]) -> T:
        try:
            return wait_for(condition)
        except AssertionError as error:
            status = self["status"].get_property("textContent")
            raise AssertionError(f"{error}; the page's status is {status!r}") from None

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.wait(lambda: self.run(IS_STILL))
        assert self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def start(profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en-GB", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(120)
    return driver


def behave(stack: Stack, prompt: str, *behaviours: Behaviour) -> None:
    """One behaviour per submission with the prompt, in order."""
    assert stack.simulator
    for behaviour in behaviours:
        stack.simulator.behave(behaviour, when=lambda body: body["prompt"] == prompt)


def submissions(stack: Stack, prompt: str) -> list[dict[str, Any]]:
    """The bodies of the provider's submissions with a prompt."""
    assert stack.simulator
    return [submission.body for submission in stack.simulator.submissions if submission.body["prompt"] == prompt]
