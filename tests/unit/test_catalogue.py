"""Models, and the sizes that each accepts or suggests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxgate.catalogue import DEFAULT_MODEL, FLUX_1_PIXELS, FLUX_2_PIXELS, MODELS, RATIOS, SizeRule

FIRST_MODELS = ["flux-dev", "flux-pro", "flux-pro-1.1", "flux-pro-1.1-ultra", "flux-kontext-pro", "flux-kontext-max"]


def test_catalogue_lists_all_models_and_a_default_for_each_action() -> None:
    assert list(MODELS) == [*FIRST_MODELS, "flux-2-flex", "flux-2-pro", "flux-2-max", "flux-2-klein"]
    assert DEFAULT_MODEL == {"generate": "flux-dev", "edit": "flux-kontext-pro"}


@pytest.mark.parametrize("rule", [FLUX_1_PIXELS, FLUX_2_PIXELS, RATIOS])
def test_choices_are_valid_and_include_the_default(rule: SizeRule) -> None:
    assert all(rule.accepts(size) for size in rule.choices)
    assert len(set(rule.choices)) == len(rule.choices) > 5
    assert rule.default in rule.choices


@pytest.mark.parametrize(
    ("rule", "smallest", "largest"), [(FLUX_1_PIXELS, 256, 1440), (FLUX_2_PIXELS, 64, 2048)], ids=["flux-1", "flux-2"]
)
def test_pixel_sizes_are_multiples_of_32_within_the_limits(rule: SizeRule, smallest: int, largest: int) -> None:
    accepted = {side for side in range(2200) if rule.accepts(f"{side}x1024")}
    assert accepted == set(range(smallest, largest + 1, 32))
    assert accepted == {side for side in range(2200) if rule.accepts(f"1024x{side}")}


@pytest.mark.parametrize(
    "size",
    ["", "1024", "1024x", "x1024", "1024X1024", "1024 x 1024", " 1024x1024", "01024x1024", "1024x1024x1024", "1:1",
     "-256x256", "1024.0x1024", "\u0661\u0660\u0662\u0664x1024"],
)  # fmt: skip
def test_pixel_rule_rejects_other_formats(size: str) -> None:
    assert not FLUX_1_PIXELS.accepts(size)
    assert not FLUX_2_PIXELS.accepts(size)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ("1000x1000", "992x992"),
        ("100x100", "256x256"),
        ("4000x512", "1440x512"),
        ("1024X768", "1024x768"),
        ("1024*768", "1024x768"),
        ("1920 x 1080", "1440x1088"),
        ("16:9", "1376x768"),
        ("1:1", "1024x1024"),
        ("large", "1024x1024"),
        ("0x0", "1024x1024"),
    ],
)
def test_nearest_pixel_size(size: str, nearest: str) -> None:
    assert FLUX_1_PIXELS.nearest(size) == nearest


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ("1024x1024", "1:1"),
        ("1920x1080", "16:9"),
        ("1080x1920", "9:16"),
        ("2:1", "16:9"),
        ("100:1", "21:9"),
        ("16/9", "16:9"),
        ("wide", "1:1"),
    ],
)
def test_nearest_ratio(size: str, nearest: str) -> None:
    assert RATIOS.nearest(size) == nearest


@given(st.one_of(st.text(max_size=20), st.from_regex(r"[0-9]{1,6}[x:][0-9]{1,6}", fullmatch=True)))
def test_nearest_size_is_always_valid(size: str) -> None:
    for model in MODELS.values():
        assert model.sizes.accepts(model.sizes.nearest(size))
