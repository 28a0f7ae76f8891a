import pytest

from badc_core.devices import nvml as codes
from badc_core.devices.inventory import Gpu, GpuInventory, find_gpus
from badc_core.devices.leasable import (
    Declaration,
    LeasableDevice,
    leasable_devices,
    read_declaration,
)
from badc_core.devices.nvml import Nvml
from badc_core.errors import ConfigInvalid

A, B = "GPU-aaaa1111-00", "GPU-bbbb2222-00"
CPU = LeasableDevice("cpu", "cpu")
NONE = GpuInventory((), "No NVIDIA driver is installed here")
TWO = GpuInventory((Gpu(0, A, "X", 80_000), Gpu(1, B, "X", 40_000)), "")


def declared(folder, text: str) -> Declaration:
    (folder / "devices.toml").write_text(text, encoding="utf-8")
    return read_declaration(folder)


def test_gpus_are_leased_once_and_the_cpu_besides() -> None:
    assert leasable_devices(TWO, Declaration()) == (
        LeasableDevice(A, "gpu-0", 80_000),
        LeasableDevice(B, "gpu-1", 40_000),
        CPU,
    )


def test_without_gpus_the_cpu_is_leased_once_however_many_slots_gpus_have() -> None:
    assert leasable_devices(NONE, Declaration(), slots=4) == (CPU,)


def test_the_cpu_has_more_slots_if_it_is_declared(tmp_path) -> None:
    declaration = declared(tmp_path, '[[device]]\nuuid = "cpu"\nslots = 3\n')
    assert leasable_devices(NONE, declaration) == (LeasableDevice("cpu", "cpu", 0, 3),)


def test_slices_of_one_gpu_are_told_apart_by_their_uuids() -> None:
    old = "MIG-GPU-aaaa/1/0"  # as drivers before 470 write it
    slices = GpuInventory((Gpu(0, "MIG-1", "X", 10), Gpu(0, old, "X", 10), Gpu(1, B, "X", 20)), "")
    labels = [device.label for device in leasable_devices(slices, Declaration())]
    assert labels == ["MIG-1", old, "gpu-1", "cpu"]


def test_no_file_declares_nothing(tmp_path) -> None:
    assert read_declaration(tmp_path) == Declaration()


def test_slots_come_from_the_command_then_the_file_then_one(tmp_path) -> None:
    declaration = declared(tmp_path, "slots_per_device = 2\n")
    slots = [one.slots for one in leasable_devices(TWO, declaration)]
    assert slots == [2, 2, 1]
    assert leasable_devices(TWO, declaration, slots=3)[0].slots == 3


def test_declared_devices_stand_in_for_those_of_nvml(tmp_path) -> None:
    text = '[[device]]\nuuid = "odd:0"\nmemory_mib = 8000\nslots = 2\n[[device]]\nuuid = "odd:1"\n'
    assert leasable_devices(NONE, declared(tmp_path, text)) == (
        LeasableDevice("odd:0", "odd:0", 8000, 2),
        LeasableDevice("odd:1", "odd:1"),
        CPU,
    )


@pytest.mark.parametrize("name", [A, "GPU-aaaa", "0", "gpu-0"])
def test_a_gpu_by_another_name_is_the_same_gpu(tmp_path, name) -> None:
    expected = LeasableDevice(A, "gpu-0", 80_000, 2)
    assert leasable_devices(TWO, Declaration(), [name], 2)[0] == expected
    declaration = declared(tmp_path, f'[[device]]\nuuid = "{name}"\nslots = 2\n')
    assert leasable_devices(TWO, declaration) == (expected, CPU)


def test_two_names_of_one_gpu_are_an_error() -> None:
    with pytest.raises(ConfigInvalid, match="declared twice"):
        leasable_devices(TWO, Declaration(), [A, "0"])


def test_declared_gpus_that_this_process_may_not_use_are_not_leased_to_it(
    tmp_path, library, device
) -> None:
    declaration = declared(tmp_path, f'[[device]]\nuuid = "{A}"\n[[device]]\nuuid = "{B}"\n')
    for visible, expected in (("1", [B, "cpu"]), ("", ["cpu"]), (A, [A, "cpu"])):
        fake = library(device(A), device(B))
        inventory = find_gpus({"CUDA_VISIBLE_DEVICES": visible}, Nvml(fake))
        assert [one.uuid for one in leasable_devices(inventory, declaration)] == expected


@pytest.mark.parametrize("name", ["0", "gpu-0", "00", "7", "gpu-7", "GPU-none", "MIG-none"])
@pytest.mark.parametrize("visible", ["1", ""])
def test_a_hidden_gpu_is_no_device_of_its_own_whatever_it_is_called(
    tmp_path, library, device, name, visible, caplog
) -> None:
    inventory = find_gpus({"CUDA_VISIBLE_DEVICES": visible}, Nvml(library(device(A), device(B))))
    expected = [*([B] if visible else []), "cpu"]
    declaration = declared(tmp_path, f'[[device]]\nuuid = "{name}"\n[[device]]\nuuid = "1"\n')
    assert [one.uuid for one in leasable_devices(inventory, declaration)] == expected
    assert not caplog.messages  # one file serves all, so that is as it should be
    leased = leasable_devices(inventory, Declaration(), [name, "gpu-1"])
    assert [one.uuid for one in leased] == expected
    assert name in caplog.text


@pytest.mark.parametrize("code", [codes.NO_PERMISSION, codes.DRIVER_NOT_LOADED, 999])
def test_where_a_driver_does_not_answer_its_gpus_are_not_lent(library, code) -> None:
    inventory = find_gpus({}, Nvml(library(init_failure=code)))
    leased = leasable_devices(inventory, Declaration(), ["0", "gpu-1", A, "odd"])
    assert [one.uuid for one in leased] == ["odd", "cpu"]


def test_where_there_is_no_driver_declared_names_are_taken_as_they_are(library) -> None:
    inventory = find_gpus({}, Nvml(library(init_failure=codes.LIBRARY_NOT_FOUND)))
    names = ["0", "gpu-1", A, "odd"]
    leased = leasable_devices(inventory, Declaration(), names)
    assert [one.uuid for one in leased] == [*names, "cpu"]


@pytest.mark.parametrize("name", ["0", "gpu-0", "MIG-"])
def test_a_name_of_several_slices_is_an_error(tmp_path, name) -> None:
    slices = GpuInventory((Gpu(0, "MIG-1", "X", 10), Gpu(0, "MIG-12", "X", 10)), "")
    declaration = declared(tmp_path, f'[[device]]\nuuid = "{name}"\n')
    for given in ((declaration,), (Declaration(), [name])):
        with pytest.raises(ConfigInvalid, match="is ambiguous: MIG-1, MIG-12") as caught:
            leasable_devices(slices, *given)
        assert "Use UUIDs" in str(caught.value)
    assert leasable_devices(slices, Declaration(), ["MIG-1"])[0].uuid == "MIG-1"


@pytest.mark.parametrize("slots", [0, -1])
def test_fewer_slots_than_one_are_an_error(slots) -> None:
    with pytest.raises(ConfigInvalid, match=r"invalid slots_per_device .* Use 1 or more"):
        leasable_devices(TWO, Declaration(), slots=slots)


@pytest.mark.parametrize("name", ["", "a b", "../x", "-1", "a\nb", "ä", "x" * 300])
def test_names_that_cannot_be_a_devices_are_an_error(name) -> None:
    with pytest.raises(ConfigInvalid, match="invalid device name"):
        leasable_devices(NONE, Declaration(), [name])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slots_per_device = 0", "slots_per_device: "),
        ('slots_per_device = "two"', "slots_per_device: "),
        ("slots = 2", "unknown key slots"),
        ('[[device]]\nname = "x"', "device[0].uuid"),
        ('[[device]]\nuuid = "a b"', "device[0].uuid"),
        ('[[device]]\nuuid = "a"\nmemory_mib = -1', "device[0].memory_mib"),
        ("not toml", "not valid TOML"),
    ],
)
def test_a_file_that_says_something_else_is_named(tmp_path, text, said) -> None:
    with pytest.raises(ConfigInvalid, match=r"devices\.toml") as caught:
        declared(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path) -> None:
    (tmp_path / "devices.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigInvalid, match=r"devices.toml: not valid TOML"):
        read_declaration(tmp_path)
