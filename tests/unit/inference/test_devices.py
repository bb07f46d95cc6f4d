"""What `auto` means on which hardware."""

from __future__ import annotations

import pytest
import torch

from gluetune.core.errors import ConfigurationError
from gluetune.inference.devices import (
    device,
    multiplies_bf16,
    resolve_precision,
    visible_devices,
)

_CPU, _CUDA, _MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


def _cpu_able(monkeypatch: pytest.MonkeyPatch, **able: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)


def _gpu_able(monkeypatch: pytest.MonkeyPatch, *, native: bool) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_takes_bf16_where_a_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _cpu_able(monkeypatch, **{name: True})
    assert resolve_precision("auto", _CPU) == "bf16"


def test_auto_takes_fp32_where_bf16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    _cpu_able(monkeypatch, avx512_f=True, avx512_bf16=False)
    _gpu_able(monkeypatch, native=False)
    for chosen in (_CPU, _CUDA, _MPS):
        assert not multiplies_bf16(chosen)
        assert resolve_precision("auto", chosen) == "fp32"


def test_auto_takes_bf16_on_a_gpu_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _gpu_able(monkeypatch, native=True)
    assert resolve_precision("auto", _CUDA) == "bf16"


def test_an_older_torch_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for able in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda able=able: able)
        assert multiplies_bf16(_CPU) is able


def test_a_stated_precision_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    _cpu_able(monkeypatch)
    assert resolve_precision("bf16", _CPU) == "bf16"
    assert resolve_precision("fp32", _CUDA) == "fp32"
    assert resolve_precision("fp16", _CUDA) == "fp16"
    with pytest.raises(ConfigurationError, match="needs a GPU"):
        resolve_precision("fp16", _CPU)


def test_the_first_accelerator_is_taken_unless_the_cpu_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: _CUDA)
    assert device() == torch.device("cuda", 0)
    assert device(use_cpu=True) == _CPU
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert device() == _CPU


def test_several_gpus_are_named_as_the_user_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert visible_devices() == ()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert visible_devices() == ("0", "1", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6,7")
    assert visible_devices() == ("4", "6", "7")
