"""A schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), as in `schedulefree`.

The weights that are trained, y, interpolate between a fast sequence, z, and its mean, x, which is
evaluated and saved. `eval` and `train` switch between x and y, to the precision of the weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class AdamWScheduleFree(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not followed
    """Takes and ignores whatever else transformers hands the real one."""

    def __init__(
        self,
        parameters: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: float = 0,
        **_: Any,
    ) -> None:
        fixed = {"betas": betas, "eps": eps, "weight_decay": weight_decay}
        state = {"train_mode": False, "steps": 0, "warmup_steps": warmup_steps}
        super().__init__(parameters, {"lr": lr, **fixed, **state})

    def eval(self) -> None:
        """Put x in place of y."""
        self._move(is_training=False)

    def train(self) -> None:
        """Put y in place of x."""
        self._move(is_training=True)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed
    def _move(self, *, is_training: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] is is_training:
                continue
            beta = group["betas"][0]
            for weight in group["params"]:
                if "z" in self.state[weight]:
                    towards = 1 - beta if is_training else 1 - 1 / beta
                    weight.lerp_(self.state[weight]["z"], towards)
            group["train_mode"] = is_training

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed
    def step(self, closure: Any = None) -> None:
        """Step from y; refused where x is in place."""
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("step() was called without train()")
            group["steps"] += 1
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(group, weight)

    def _update(self, group: dict[str, Any], weight: Any) -> None:
        beta, of_squares = group["betas"]
        state = self.state[weight]
        if "z" not in state:
            state["z"], state["squares"] = weight.clone(), torch.zeros_like(weight)
        state["squares"].lerp_(weight.grad.square(), 1 - of_squares)
        scale = (state["squares"] / (1 - of_squares ** group["steps"])).sqrt() + group["eps"]
        change = weight.grad / scale + group["weight_decay"] * weight
        share = 1 / group["steps"]
        weight.lerp_(state["z"], share).sub_(change, alpha=group["lr"] * (1 - beta * (1 - share)))
        state["z"].sub_(change, alpha=group["lr"])
