"""BatchNorm over the images of all ranks: the same statistics as one process has of the whole batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reference.training.distributed import all_gather, total, world


def synchronise(model: nn.Module) -> nn.Module:
    """Return ``model`` with BatchNorm layers that take their statistics over the batches of all ranks.

    On CUDA torch's SyncBatchNorm, which has no form for the CPU; there ``GlobalBatchNorm``. Names and
    content of the state dict stay as they were.
    """
    if world().size == 1:
        return model
    if next(model.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-any-return, no-untyped-call]
    return _with_global_statistics(model)


def _with_global_statistics(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return GlobalBatchNorm.of(module)
    for name, child in module.named_children():
        setattr(module, name, _with_global_statistics(child))
    return module


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose mean and variance in training are those of all ranks' batches together.

    A rank may hold no image at all.
    """

    @classmethod
    def of(cls, layer: nn.modules.batchnorm._BatchNorm) -> GlobalBatchNorm:
        """The same layer: its parameters and buffers themselves, its momentum and its mode."""
        made = cls(layer.num_features, layer.eps, layer.momentum, affine=False)
        made.affine, made.track_running_stats = layer.affine, layer.track_running_stats
        made.weight, made.bias = layer.weight, layer.bias
        made._buffers = layer._buffers
        return made.train(layer.training)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any (N, C, …)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) → (N, C, …)."""
        if not self.training:
            return super().forward(input)
        half = input.dtype in (torch.bfloat16, torch.float16)
        x = input.float() if half else input
        output, mean, variance, count = _Normalised.apply(x, self.weight, self.bias, self.eps)
        self._follow(mean, variance, float(count))
        return output.to(input.dtype)  # type: ignore[no-any-return]

    def _follow(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """Move the running statistics, the variance with Bessel's correction as torch does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        rate = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), rate)


class _Normalised(torch.autograd.Function):
    """w (x − mean) / √(variance + ε) + b over all ranks' x, with that mean, variance and number of values.

    Each rank says its number, mean and squares about it, in one message; they combine without the loss of
    digits that a sum of squares has (Chan et al. 1979). Backward sends one message too. What torch has as one
    pass over the images is left to it.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
        own = x.numel() // x.shape[1]
        own_mean = x.sum(dims) / max(own, 1)
        own_squares = (x - own_mean.view(shape)).square_().sum(dims)  # var_mean takes four times as long
        sent = torch.cat([x.new_tensor([own], dtype=torch.float64), own_mean, own_squares])
        every = torch.stack(all_gather(sent)) if world().size > 1 else sent[None]
        counts, (means, squares) = every[:, :1], every[:, 1:].chunk(2, dim=1)  # (R, 1), (R, C) each
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (squares.sum(0) + (counts * (means - mean).square()).sum(0)) / count
        output = _affine(x, mean, variance, weight, bias, eps)
        ctx.save_for_backward(x, mean, variance, count, weight)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        x, mean, variance, count, weight = ctx.saved_tensors
        scale = (variance + ctx.eps).rsqrt().to(x.dtype)
        if len(x):
            _, along, constant = torch.ops.aten.native_batch_norm_backward(
                gradient, x, None, None, None, mean.to(x.dtype), scale, True, ctx.eps, [False, True, True]
            )
        else:
            along = constant = torch.zeros_like(scale)
        factor = scale if weight is None else scale * weight
        of_all = total(torch.stack([constant, along])) / count
        constant_part, along_part = (-factor * each.to(x.dtype) for each in of_all)
        result = _affine(x, mean, variance, along_part, constant_part, ctx.eps)
        result.addcmul_(gradient, factor.view([1, -1] + [1] * (x.ndim - 2)))
        return result, None if weight is None else along, None if weight is None else constant, None


def _affine(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    if not len(x):
        return torch.empty_like(x)
    return nn.functional.batch_norm(x, mean.to(x.dtype), variance.to(x.dtype), weight, bias, eps=eps)
