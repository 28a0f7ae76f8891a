import pynvml
import pytest

from badc_core.devices import nvml as codes
from badc_core.devices.inventory import Gpu, find_gpus
from badc_core.devices.nvml import Nvml, NvmlFailed

A, B, C = "GPU-aaaa1111-00", "GPU-aabb2222-00", "GPU-cccc3333-00"
M1, M2 = "MIG-1111-00", "MIG-2222-00"


@pytest.fixture
def three(library, device):
    return library(device(A), device(B), device(C))


@pytest.fixture
def cut_up(library, device):
    slices = [device(M1, total_mib=10_000), None, device(M2, total_mib=20_000)]
    return library(device(A, slices=slices), device(B))


def found(fake, visible: str | None) -> list[str]:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    inventory = find_gpus(environment, Nvml(fake))
    assert fake.n_open == 0
    assert bool(inventory.gpus) != bool(inventory.diagnosis)
    return [gpu.uuid for gpu in inventory.gpus]


def test_a_gpu_has_its_physical_index_uuid_name_and_memory(three) -> None:
    inventory = find_gpus({"CUDA_VISIBLE_DEVICES": "2"}, Nvml(three))
    assert inventory.gpus == (Gpu(2, C, "NVIDIA Test 80GB", 81_559),)
    assert inventory.diagnosis == ""


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [A, B, C]),
        ("0,1,2", [A, B, C]),
        ("2,0", [C, A]),
        (" 1 , 2 ", [B, C]),
        (C, [C]),
        (f"{B},0", [B, A]),
        ("GPU-cc", [C]),
        ("GPU-aab", [B]),
        ("GPU-aa,2", []),  # means two of them
        ("0,0,1", [A, B]),
        ("0,7,1", [A]),
        ("0,-1,1", [A]),
        ("0,GPU-dead,1", [A]),
        ("0,,1", [A]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("none", []),
    ],
)
def test_cuda_visible_devices_is_heeded_as_cuda_does(three, visible, expected) -> None:
    assert found(three, visible) == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [M1, M2, B]),
        (M2, [M2]),
        ("MIG-2", [M2]),
        (f"{M2},{M1}", [M2, M1]),
        ("MIG-9", []),
        ("0", [M1]),
        (A, [M1]),
        ("1", [B]),
        ("0,1", [M1, B]),
    ],
)
def test_slices_stand_for_a_gpu_that_is_cut_up(cut_up, visible, expected) -> None:
    assert found(cut_up, visible) == expected


def test_a_slice_has_its_gpus_index_and_its_own_memory(cut_up) -> None:
    first, second, whole = find_gpus({}, Nvml(cut_up)).gpus
    assert [gpu.index for gpu in (first, second, whole)] == [0, 0, 1]
    assert [gpu.memory_mib for gpu in (first, second, whole)] == [10_000, 20_000, 81_559]


def test_forbidden_gpus_are_left_out_and_indices_count_the_others(library, device) -> None:
    fake = library(device(A, is_forbidden=True), device(B), device(C))
    assert found(fake, None) == [B, C]
    assert found(fake, "0") == [B]
    assert find_gpus({"CUDA_VISIBLE_DEVICES": "0"}, Nvml(fake)).gpus[0].index == 1


def test_a_lost_gpu_is_left_out_and_named(library, device, caplog) -> None:
    fake = library(device(A, failure=pynvml.NVML_ERROR_GPU_IS_LOST), device(B))
    assert found(fake, None) == [B]
    assert "GPU 0 is left out" in caplog.text


def test_a_gpu_without_memory_of_its_own_counts(library, device) -> None:
    (gpu,) = find_gpus({}, Nvml(library(device(A, total_mib=0)))).gpus
    assert gpu.memory_mib == 0


def test_a_hidden_gpu_is_diagnosed(three) -> None:
    inventory = find_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, Nvml(three))
    assert inventory.diagnosis == "CUDA_VISIBLE_DEVICES='-1' hides the 3 GPU(s) that are here"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "No NVIDIA driver is installed"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "Insufficient Permissions"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart"),
        (pynvml.NVML_ERROR_UNKNOWN, "NVML cannot be used: nvmlInit: Unknown Error"),
    ],
)
def test_trouble_with_the_driver_is_diagnosed(library, code, said) -> None:
    inventory = find_gpus({}, Nvml(library(init_failure=code)))
    assert inventory.gpus == ()
    assert said in inventory.diagnosis


def test_no_gpu_and_only_forbidden_ones_are_told_apart(library, device) -> None:
    assert "sees no GPU" in find_gpus({}, Nvml(library())).diagnosis
    forbidden = library(device(A, is_forbidden=True))
    assert "Insufficient Permissions" in find_gpus({}, Nvml(forbidden)).diagnosis


def test_the_real_driver_or_its_absence_is_understood() -> None:
    inventory = find_gpus({})
    assert bool(inventory.gpus) != bool(inventory.diagnosis)
    assert all(gpu.uuid.startswith(("GPU-", "MIG-")) for gpu in inventory.gpus)


def test_codes_and_selectors_are_those_of_nvml() -> None:
    for name in (
        "NOT_SUPPORTED",
        "NO_PERMISSION",
        "NOT_FOUND",
        "DRIVER_NOT_LOADED",
        "LIBRARY_NOT_FOUND",
        "FUNCTION_NOT_FOUND",
    ):
        assert getattr(codes, name) == getattr(pynvml, f"NVML_ERROR_{name}")
    assert codes.VERSION_MISMATCH == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH


def test_an_error_names_the_call(library) -> None:
    with pytest.raises(NvmlFailed, match="nvmlDeviceGetHandleByUUID: Not Found"):
        Nvml(library()).find("GPU-x")


@pytest.mark.parametrize("is_old", [False, True])
def test_units_are_converted(library, device, is_old) -> None:
    one = device(A, used_mib=512, power_mw=250_500, energy_mj=7_000, held_mib={7: 300, 8: None})
    nvml = Nvml(library(one, is_old=is_old))
    assert nvml.memory(one).used_mib == 512
    assert nvml.power_w(one) == 250.5
    assert nvml.energy_j(one) == 7
    assert nvml.processes(one) == {7: 300, 8: None}
