"""The page as a person sees it, in a real browser."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from local.stack import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SCREENSHOTS = ROOT / ".reports/screenshots"
PATIENCE = 20  # seconds

T = TypeVar("T")


class Page:
    """The page as a person sees it."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, key: str | None = None) -> None:
        """From scratch, with a key where one is given."""
        self.driver.get(f"{self.url}/icon.svg")  # of the same origin, and without a script that keeps keys
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

    def pictures(self, card: WebElement, count: int) -> list[WebElement]:
        """Those of a task, when they have been loaded."""

        def find() -> list[WebElement] | None:
            found = card.find_elements(By.CSS_SELECTOR, "img")
            self.run("arguments[0].scrollIntoView({block: 'center'})", card)
            widths = [self.run("return arguments[0].naturalWidth", picture) for picture in found]
            return found if len(found) == count and all(widths) else None

        return self.wait(find) or []

    def text(self, within: WebElement, selector: str) -> str:
        """In one step, for the page may put something else there at any time."""
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
        deadline = time.monotonic() + PATIENCE
        while not (met := condition()):
            assert time.monotonic() < deadline, self["status"].get_property("textContent")
            time.sleep(0.05)
        return met

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        time.sleep(0.7)  # until what fades in has done so
        assert self.driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))


def start(profile: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en-GB", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
