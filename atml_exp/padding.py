"""Models of several widths in one population: each in the layout of the widest, its other weights masked.

A narrower model's tensors are the leading corners of the wider one's. The units beyond have no weights in and none
out, so that they neither say nor learn anything; what every replica shows of itself is its own corner.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atml_exp.layout import Layout

__all__ = ["Padding", "corner", "pad"]


@dataclass(frozen=True)
class Padding:
    """models: of each replica, in its own width. places: of each, where its weights (P_r,) lie in a row (P,).

    mask: (R, P), True there.
    """

    models: tuple[nn.Module, ...]
    layouts: tuple[Layout, ...]
    places: tuple[Tensor, ...]
    mask: Tensor

    def own(self, r: int, row: Tensor) -> Tensor:
        """The corner (P_r,) of replica r in a row (P,); what isn't shaped like a row as it is."""
        return row[self.places[r]] if row.shape == self.mask.shape[1:] else row

    def widened(self, r: int, own: Tensor) -> Tensor:
        """A row (P,) with 0 beyond the corner (P_r,) of replica r; what isn't shaped like one as it is."""
        if own.shape != self.places[r].shape:
            return own
        return own.new_zeros(self.mask.shape[1]).scatter_(0, self.places[r].to(own.device), own)


def pad(models: Sequence[nn.Module], widest: Layout) -> Padding | None:
    """None where one of the models has other parameters than the widest, wider ones, or any that isn't trained."""
    layouts = [Layout.of(m) for m in models]
    places = [corner(layout, widest) for layout in layouts]
    if any(p is None for p in places) or any(_is_partly_fixed(m) for m in models):
        return None
    device = next(models[0].parameters()).device
    found = tuple(p.to(device) for p in places if p is not None)
    mask = torch.zeros(len(models), widest.size, dtype=torch.bool, device=device)
    for row, place in zip(mask, found, strict=True):
        row[place] = True
    return Padding(tuple(models), tuple(layouts), found, mask)


def corner(narrow: Layout, wide: Layout) -> Tensor | None:
    """Where the entries of a narrow model's vector (P_narrow,) lie in a wide one's; None where they don't fit.

    >>> corner(Layout(("w",), (torch.Size([2, 2]),)), Layout(("w",), (torch.Size([3, 4]),)))
    tensor([0, 1, 4, 5])
    """
    if narrow.names != wide.names:
        return None
    found = []
    for small, large, all_places in zip(narrow.shapes, wide.shapes, _numbered(wide), strict=True):
        if len(small) != len(large) or any(a > b for a, b in zip(small, large, strict=True)):
            return None
        found.append(all_places[tuple(slice(n) for n in small)].reshape(-1))
    return torch.cat(found)


def _numbered(layout: Layout) -> list[Tensor]:
    return layout.pieces(torch.arange(layout.size))


def _is_partly_fixed(model: nn.Module) -> bool:
    """Buffers and frozen parameters, as of a batch norm, have no mask."""
    return any(True for _ in model.buffers()) or any(not p.requires_grad for p in model.parameters())
