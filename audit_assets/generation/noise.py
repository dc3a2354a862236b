"""The noise of a call comes from the seeds of its images, also if the pipeline hands its generators to no step of a scheduler.

This module imports torch: import it only to make images.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from diffusers import SchedulerMixin

from audit_assets.models.devices import is_cuda


@contextmanager
def from_seeds(pipeline: Any, generators: Sequence[torch.Generator], device: str) -> Iterator[None]:
    """Hand these generators, one per image, to each step of a scheduler to which the pipeline hands none.

    What is drawn from torch's global generator all the same depends on the first seed, and its state is put back afterwards.
    """
    with ExitStack() as stack, torch.random.fork_rng([device] if is_cuda(device) else []):
        torch.manual_seed(generators[0].initial_seed())
        for part in pipeline.components.values():
            if isinstance(part, SchedulerMixin):
                stack.enter_context(_handed(part, list(generators)))
        yield


@contextmanager
def _handed(scheduler: Any, generators: list[torch.Generator]) -> Iterator[None]:
    own: Callable[..., Any] = scheduler.step
    signature = inspect.signature(own)
    if "generator" not in signature.parameters:
        yield
        return

    @wraps(own)  # pipelines read the names of the parameters
    def step(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        if bound.arguments.get("generator") is None:
            bound.arguments["generator"] = generators
        return own(*bound.args, **bound.kwargs)

    scheduler.step = step
    try:
        yield
    finally:
        del scheduler.step
