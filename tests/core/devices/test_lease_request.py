import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.devices.lease_request import DeviceRequest
from badc_core.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("devices", "vram_mib", "expected", "said"),
    [
        ("", "", DeviceRequest(1, 1), "1 GPU"),
        ("1", "", DeviceRequest(1, 1), "1 GPU"),
        ("2", "", DeviceRequest(2, 2), "2 GPUs"),
        ("1-4", "", DeviceRequest(1, 4), "1-4 GPUs"),
        ("3-3", "", DeviceRequest(3, 3), "3 GPUs"),
        ("1+", "", DeviceRequest(1, None), "1+ GPUs"),
        ("2+", "6000", DeviceRequest(2, None, 6000), "2+ GPUs with 6000 MiB free"),
        ("", "6000", DeviceRequest(1, 1, 6000), "1 GPU with 6000 MiB free"),
        ("", "0", DeviceRequest(1, 1), "1 GPU"),
        ("cpu", "", DeviceRequest(on_cpu=True), "the CPU"),
        ("cpu", "6000", DeviceRequest(on_cpu=True), "the CPU"),
    ],
)
def test_a_request_is_read_and_said(devices, vram_mib, expected, said) -> None:
    request = DeviceRequest.parse(devices, vram_mib)
    assert request == expected
    assert str(request) == said


@pytest.mark.parametrize(
    "devices",
    ["0", "-1", "01", "2-1", "1-0", "1-", "+", "1++", "gpu", " 1", "1.5", "9" * 5000, "٣"],
)
def test_other_numbers_of_devices_are_refused(devices) -> None:
    with pytest.raises(ConfigInvalid, match=r"invalid device count .*\. Use 2, 1-4, 1"):
        DeviceRequest.parse(devices)


@pytest.mark.parametrize("vram_mib", ["-1", "6 GB", "6000.5", "1e4", " 1", "9" * 5000, "²"])
def test_other_amounts_of_memory_are_refused(vram_mib) -> None:
    with pytest.raises(ConfigInvalid, match=r"invalid GPU memory .* such as 6000"):
        DeviceRequest.parse("cpu", vram_mib)


@pytest.mark.parametrize("devices", ["1", "2", "1-4", "2+", "cpu"])
def test_what_is_written_is_read_again(devices) -> None:
    request = DeviceRequest.parse(devices, "6000")
    assert DeviceRequest.read(vars(request)) == request


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_KEYS = ("least", "most", "vram_mib", "on_cpu", "new")


@given(st.one_of(_JSON, st.dictionaries(st.sampled_from(_KEYS), _JSON)))
def test_whatever_stands_in_a_file_a_request_that_makes_sense_is_read(content) -> None:
    request = DeviceRequest.read(content)
    assert request.least >= 1
    assert request.most is None or request.most >= request.least
    assert 0 <= request.vram_mib < 2**31
    assert str(request)
