"""A device of the tests' own that computes on the CPU, refuses to mix devices and counts waits.

torch's backend for private devices lends the name. `PrivateDevice` is a dispatch mode: while it is
entered, tensors can be made on `DEVICE` or sent there. An operation on tensors of both devices
raises RuntimeError, as on an accelerator, and what would make the host wait for the device (reading
a number, a copy to the CPU, a result whose shape depends on values) is noted in `waits`.
"""

from __future__ import annotations

import traceback
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _DummyPrivateUse1Hook,
    _setup_privateuseone_for_python_backend,
)


class _Hook(_DummyPrivateUse1Hook):  # type: ignore[misc]  # torch is not followed
    """Other tests in the process must not find an accelerator."""

    def is_available(self) -> bool:
        return False


class _Module(_DummyBackendModule):  # type: ignore[misc]  # torch is not followed
    def is_available(self) -> bool:
        return False

    def device_count(self) -> int:
        return 0

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend("testdevice", backend_module=_Module(), hook=_Hook())

DEVICE = torch.device("testdevice:0")

_WAITING = frozenset(
    {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal"}
)
"""Operations whose result, or its shape, the host has to read."""


class OnDevice(torch.Tensor):  # type: ignore[misc]  # torch is not followed
    """A tensor that says it is on `DEVICE`; its values are in `inner`, on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Any:
        """Wrap a CPU tensor."""
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
        )
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        """Show the values."""
        return f"OnDevice({self.inner})"

    @property
    def data(self) -> Any:
        """The tensor without its history."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self.inner = value.inner
        torch.Tensor.data.__set__(self, value)

    def tolist(self) -> Any:
        """Copy to the CPU."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Compute on the CPU."""
        return _compute(func, args, kwargs or {})


class PrivateDevice(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        """The operations that made the host wait, with the line of the package that asked."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Check the devices of an operation, note a wait, compute on the CPU."""
        kwargs = kwargs or {}
        name = func.__name__.split(".")[0]
        tensors = [each for each in pytree.tree_leaves((args, kwargs)) if _is_tensor(each)]
        ours = [each for each in tensors if isinstance(each, OnDevice)]
        target = kwargs.get("device")
        if not ours and (target is None or torch.device(target).type != DEVICE.type):
            return func(*args, **kwargs)
        leaves = target is not None and torch.device(target).type == "cpu"
        if name == "copy_":
            leaves = not isinstance(args[0], OnDevice)
        elif name != "_to_copy" and any(_is_on_cpu(each) for each in tensors):
            raise RuntimeError(f"Expected all tensors to be on the same device: {name}.")
        if ours and (leaves or name in _WAITING or _is_selection(name, args)):
            self.waits.append(f"{name} {_asker()}")
        if leaves:
            return func(*_unwrapped(args), **_unwrapped(kwargs))
        return _compute(func, args, kwargs)


class NewTensors(TorchFunctionMode):  # type: ignore[misc]  # torch is not followed
    """Lets `torch.tensor`, which no dispatch mode sees, make tensors on `DEVICE`."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Make the tensor on the CPU, and wrap it."""
        kwargs = dict(kwargs or {})
        if func is not torch.tensor or torch.device(kwargs.get("device") or "cpu") != DEVICE:
            return func(*args, **kwargs)
        return OnDevice(func(*args, **{**kwargs, "device": "cpu"}))


def to_device(module: torch.nn.Module) -> None:
    """Move the parameters and buffers of a module, with its gradients gone."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                moved = OnDevice(weight.detach().clone())
                part._parameters[name] = torch.nn.Parameter(moved, weight.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = OnDevice(buffer.clone())


def values(tensor: torch.Tensor) -> torch.Tensor:
    """Return the values of a tensor on either device, without a wait."""
    return tensor.inner if isinstance(tensor, OnDevice) else tensor


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _is_on_cpu(tensor: torch.Tensor) -> bool:
    """Return whether a tensor may not meet one on the device; a single number may."""
    return not isinstance(tensor, OnDevice) and tensor.dim() > 0


def _is_selection(name: str, args: tuple[Any, ...]) -> bool:
    """Return whether values decide the shape of an indexing result."""
    if name not in {"index", "index_put", "index_put_"}:
        return False
    return any(each is not None and each.dtype == torch.bool for each in args[1])


def _asker() -> str:
    """Return the line that asked, of this package or of transformers."""
    for frame in reversed(traceback.extract_stack()):
        path = frame.filename.replace("\\", "/")
        if "/gluetune/" in path or "/transformers/" in path:
            return f"{'/'.join(path.split('/')[-3:])}:{frame.lineno} {frame.line}"
    return ""


def _unwrapped(value: Any) -> Any:
    def unwrap(each: Any) -> Any:
        if isinstance(each, OnDevice):
            return each.inner
        is_ours = isinstance(each, torch.device) and each.type == DEVICE.type
        return torch.device("cpu") if is_ours else each

    return pytree.tree_map(unwrap, value)


def _compute(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    found = func(*_unwrapped(args), **_unwrapped(kwargs))
    wrapped = pytree.tree_map(lambda each: OnDevice(each) if _is_tensor(each) else each, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)
