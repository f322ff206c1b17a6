"""Square roots that are correctly rounded, in the place of torch's own."""

import math
from fractions import Fraction

import pytest
import torch

from gxpo.host.square_root import install


@pytest.fixture(autouse=True)
def installed():
    return install()


def roots(values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).sqrt()


def test_every_root_is_the_nearest_float():
    """By the definition, in exact fractions: no other float is nearer to the root."""
    numbers = (
        torch.randint(1, 2**24, (500,), generator=torch.Generator().manual_seed(0)).float() / 977
    )
    for x, root in zip(numbers, numbers.sqrt(), strict=True):
        for direction in (-math.inf, math.inf):
            neighbour = torch.nextafter(root, torch.tensor(direction))
            # the middle between the two lies beyond the root of x
            middle = (Fraction(root.item()) + Fraction(neighbour.item())) / 2
            beyond = middle**2 - Fraction(x.item())
            assert beyond * (1 if direction > 0 else -1) >= 0


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.complex64],
)
def test_kinds_and_shapes_are_torchs(dtype):
    squares = torch.tensor([[4, 9, 16], [25, 36, 0]]).to(dtype)
    root = squares.sqrt()
    assert root.dtype == (torch.float32 if dtype == torch.int64 else dtype)
    assert root.tolist() == [[2, 3, 4], [5, 6, 0]]
    assert squares.T.sqrt().stride() == squares.T.stride()  # the layout is kept
    assert squares[:, 1].sqrt().tolist() == [3, 6]
    assert squares[0, 0].sqrt().item() == 2


def test_in_place_and_into_another():
    x = torch.tensor([4.0, 9.0])
    assert x.sqrt_() is x
    assert x.tolist() == [2.0, 3.0]
    out = torch.empty(0)
    assert torch.sqrt(torch.tensor([16.0]), out=out) is out
    assert out.tolist() == [4.0]
    assert torch._foreach_sqrt([torch.tensor([4.0]), torch.tensor([9.0])])[1].item() == 3.0


def test_gradients_and_bad_arguments_are_torchs():
    x = torch.tensor([4.0, 16.0], requires_grad=True)
    x.sqrt().sum().backward()
    assert x.grad.tolist() == [0.25, 0.125]
    assert math.isnan(roots([-1.0]).item())
    assert roots([0.0, -0.0, math.inf]).tolist() == [0.0, -0.0, math.inf]
    assert torch.empty(0, 3).sqrt().shape == (0, 3)
    assert torch.autograd.gradcheck(
        torch.sqrt, torch.rand(5, dtype=torch.float64).add(1).requires_grad_()
    )
