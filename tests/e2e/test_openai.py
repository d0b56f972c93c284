"""The OpenAI client generates images with only a base URL and default headers."""

from openai import OpenAI

from local.stack import Stack
from tests.e2e.client import fetch


def test_openai_client_generates_images(stack: Stack) -> None:
    headers = {"x-api-key": "local-key", "Prefer": "wait=25"}
    with OpenAI(api_key="unused", base_url=f"{stack.url}/v1", default_headers=headers) as client:
        response = client.images.generate(prompt="A red fox", model="flux-dev", n=2, size="256x256")
    assert response.created > 1_700_000_000
    assert response.data
    assert len(response.data) == 2
    for image in response.data:
        assert image.url
        download = fetch(image.url)
        assert download.status_code == 200
        assert download.headers["Content-Type"] == "image/png"
