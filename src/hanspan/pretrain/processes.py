"""One process or the several of a torchrun: device, averaged gradients, common decisions."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from hanspan.errors import HanspanError


@dataclass(frozen=True)
class Processes:
    """This process among `world`; number `rank` 0 writes, the others only compute."""

    rank: int
    world: int
    device: torch.device

    def any(self, flag: bool) -> bool:
        """Whether any process says yes; all get the same answer and so stop at the same step."""
        if self.world == 1:
            return flag
        found = torch.tensor([int(flag)])
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return bool(found)

    def wait(self) -> None:
        """Let all processes meet here."""
        self.any(False)

    def agree(self, value: int, what: str) -> None:
        """Raise unless all processes hold the same value."""
        if self.world == 1:
            return
        ends = torch.tensor([value, -value])
        torch.distributed.all_reduce(ends, torch.distributed.ReduceOp.MAX)
        if ends[0] != -ends[1]:
            raise HanspanError(
                f"pretrain: process {self.rank} has {what} {value}, another one {int(ends[0])} or "
                f"{int(-ends[1])}; all machines must see the same run folder"
            )

    def average(self, parameters: Iterable[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Replace every gradient by its mean over the processes; the mean loss is returned.

        One call for all of them: the network is small, so a single flat row costs less than
        overlapping many small ones with the backward pass.
        """
        if self.world == 1:
            return loss
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([loss.reshape(1), *(g.reshape(-1) for g in grads)])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        for g, part in zip(grads, flat[1:].split([g.numel() for g in grads]), strict=True):
            g.copy_(part.view_as(g))
        return flat[0]

    def leave(self) -> None:
        """Close the connections; the object is not used afterwards."""
        if self.world > 1:
            torch.distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """Read torchrun's variables, check and choose the device, and connect the processes.

    Raises:
        HanspanError: for a device that is neither "cpu" nor "cuda", or a GPU that is not there.
    """
    rank, world = (int(os.environ.get(n, d)) for n, d in (("RANK", "0"), ("WORLD_SIZE", "1")))
    if device not in ("cpu", "cuda"):
        raise HanspanError(
            f"pretrain: run.device={device!r} found; expected cpu or cuda (one GPU: choose it by "
            "CUDA_VISIBLE_DEVICES; several: torchrun --nproc_per_node N)"
        )
    place = torch.device(device)
    if device == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if not torch.cuda.is_available():
            raise HanspanError(
                f"pretrain: run.device=cuda, but torch {torch.__version__} sees no GPU; install a "
                "torch with CUDA and look at nvidia-smi, or type run.device=cpu"
            )
        if local >= torch.cuda.device_count():
            raise HanspanError(
                f"pretrain: process {local} of this machine needs a GPU of its own, "
                f"{torch.cuda.device_count()} found; type torchrun --nproc_per_node "
                f"{torch.cuda.device_count()}"
            )
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise HanspanError(
                f"pretrain: {torch.cuda.get_device_name(local)} has no bf16, which training on a "
                "GPU needs (Ampere or newer has it); type run.device=cpu"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    if world > 1 and not torch.distributed.is_initialized():
        # Decisions of the host go through gloo, so that they never wait for the GPU's queue.
        torch.distributed.init_process_group(
            "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        )
    return Processes(rank, world, place)
