"""Square roots of tensors on a CPU that are the same on every processor.

torch hands ``aten::sqrt`` to MKL's vector library, whose code for one processor rounds otherwise
than that for another. numpy's is the processor's own instruction, which IEEE 754 wants correctly
rounded.

``x ** 0.5`` on a tensor is not covered: torch hands that to MKL as well. Write ``x.sqrt()``.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor
    from torch.library import Library


@functools.cache
def install() -> Library:
    """Have this process take its square roots from numpy, from now on. Once; what is returned keeps
    them in place."""
    import torch

    def rooted(x: Tensor) -> Tensor:
        if not x.is_floating_point():
            x = x.to(torch.get_default_dtype()) if not x.is_complex() else x
        if x.dtype in (torch.bfloat16, torch.float16):  # as torch does; numpy knows one of the two
            return rooted(x.float()).to(x.dtype)
        root = torch.empty_like(x)
        with np.errstate(invalid="ignore"):  # of a negative number: NaN, without a word, as torch
            np.sqrt(x.detach().resolve_neg().resolve_conj().numpy(), out=root.numpy())
        return root

    def rooted_in_place(x: Tensor) -> Tensor:
        return x.copy_(rooted(x))

    def rooted_into(x: Tensor, *, out: Tensor) -> Tensor:
        root = rooted(x)
        if out.shape != root.shape:
            out.resize_(root.shape)
        return out.copy_(root)

    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():  # torch warns that it is replaced, which is what is meant
        warnings.simplefilter("ignore", UserWarning)
        library.impl("sqrt", rooted, "CPU")
        library.impl("sqrt_", rooted_in_place, "CPU")
        library.impl("sqrt.out", rooted_into, "CPU")
    return library
