"""OpenAI's own client makes pictures with a base URL and default headers alone."""

from openai import OpenAI

from local.stack import Stack
from tests.e2e.client import fetch


def test_the_openai_client_generates(stack: Stack) -> None:
    headers = {"x-api-key": "local-key", "Prefer": "wait=25"}
    with OpenAI(api_key="unused", base_url=f"{stack.url}/v1", default_headers=headers) as client:
        answer = client.images.generate(prompt="A red fox", model="flux-dev", n=2, size="256x256")
    assert answer.created > 1_700_000_000
    assert answer.data
    assert len(answer.data) == 2
    for image in answer.data:
        assert image.url
        picture = fetch(image.url)
        assert picture.status_code == 200
        assert picture.headers["Content-Type"] == "image/png"
