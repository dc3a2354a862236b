"""One stage of the miniature's training: its steps, its learning rate, and its state on disk."""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


class Stage:
    """The state of one stage. It is saved completely, so that an interrupted training gives the same result."""

    def __init__(
        self,
        folder: Path,
        name: str,
        steps: int,
        modules: dict[str, nn.Module],
        optimizer: torch.optim.Optimizer,
        peak_rate: float,
        restarts: tuple[int, ...] = (),
    ) -> None:
        self.ends = (*restarts, steps)
        self.file, self.name, self.steps, self.modules, self.optimizer, self.peak_rate = (
            folder / f"{name}.pt",
            name,
            steps,
            modules,
            optimizer,
            peak_rate,
        )
        self.numpy, self.python = np.random.default_rng(0), random.Random(0)
        self.step, self.loss, self.started = 0, 0.0, time.monotonic()
        if self.file.exists():
            kept = torch.load(self.file, weights_only=False)
            for key, module in modules.items():
                module.load_state_dict(kept["modules"][key])
            optimizer.load_state_dict(kept["optimizer"])
            self.step, self.numpy, self.python, self.loss = kept["step"], kept["numpy"], kept["python"], kept["loss"]
            torch.set_rng_state(kept["torch"])
        self.first = self.step

    def save(self) -> None:
        kept = {
            "modules": {k: m.state_dict() for k, m in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "numpy": self.numpy,
            "python": self.python,
            "torch": torch.get_rng_state(),
            "loss": self.loss,
        }
        temporary = self.file.with_suffix(".tmp")
        torch.save(kept, temporary)
        temporary.replace(self.file)

    def learning_rate(self) -> float:
        """Linear warm-up over 50 steps, then a cosine down to a hundredth of the peak. Each restart repeats this with 0.6 of the peak."""
        end = next(end for end in self.ends if self.step < end)
        first = max((e for e in self.ends if e < end), default=0)
        step, peak = self.step - first, self.peak_rate if first == 0 else 0.6 * self.peak_rate
        return peak * max(0.01, min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / (end - first))))

    def run(self, loss_of: Callable[[], Tensor], after: Callable[[], None] = lambda: None) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        while self.step < self.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            loss = loss_of()
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step()
            after()
            self.loss = 0.98 * self.loss + 0.02 * loss.item() if self.step else loss.item()
            self.step += 1
            if self.step % 200 == 0 or self.step == self.steps:
                self.save()
                spent = time.monotonic() - self.started
                left = spent / (self.step - self.first) * (self.steps - self.step)
                print(
                    f"{self.name}: step {self.step}/{self.steps}, loss {self.loss:.4f}, {spent:.0f} s spent, {left:.0f} s left",
                    flush=True,
                )
