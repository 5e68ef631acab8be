"""Cross-entropy of the softmax."""

from torch import Tensor

from atml_exp.data import suits
from atml_exp.fields import Fraction

__all__ = ["cross_entropy"]


@suits("classification")
def cross_entropy(outputs: Tensor, y: Tensor, *, label_smoothing: Fraction = 0.0) -> Tensor:
    """(1/N) Σᵢ −log softmax(oᵢ)[yᵢ]: outputs (N, C), classes y (N,) in 0 … C−1; a mean over examples, in nats.

    Its gradient in oᵢ is (softmax(oᵢ) − e_{yᵢ})/N. label_smoothing ε: the target is (1 − ε)e_{yᵢ} + ε/C instead of
    e_{yᵢ} (Szegedy et al. 2016, Rethinking the Inception architecture, §7); the loss of the test set is smoothed as
    well. ValueError where shapes or the type of y don't fit.

    >>> import torch
    >>> round(cross_entropy(torch.zeros(5, 10), torch.arange(5)).exp().item(), 4)
    10.0
    """
    if outputs.dim() != 2 or y.shape != outputs.shape[:1] or y.is_floating_point():
        raise ValueError(
            f"cross_entropy needs outputs (N, C) and integer classes y (N,), not {tuple(outputs.shape)} "
            f"and {tuple(y.shape)} of {y.dtype}"
        )
    # the same as torch's, whose version under vmap imports a compiler's algebra, half a second
    log_p = outputs.log_softmax(-1)
    own = log_p.gather(-1, y.long()[:, None]).mean()
    if label_smoothing == 0:
        return -own
    return -(1 - label_smoothing) * own - label_smoothing * log_p.mean()
