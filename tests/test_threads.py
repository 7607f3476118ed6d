"""How torch uses the CPU in training."""

from __future__ import annotations

import pytest
import torch

from robolearn import threads


@pytest.fixture(autouse=True)
def _as_before():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    threads.choose_matmul_precision.cache_clear()
    yield
    torch.set_float32_matmul_precision(before)
    threads.choose_matmul_precision.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the mode is left alone")
@pytest.mark.parametrize(("error", "mode"), [(4e-7, "medium"), (3e-3, "highest")])
def test_the_faster_mode_is_taken_where_it_is_fp32_in_fact(error: float, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "matmul_error", lambda: error)
    assert threads.choose_matmul_precision() == torch.get_float32_matmul_precision() == mode


def test_products_are_accurate_in_the_mode_of_this_computer() -> None:
    threads.choose_matmul_precision()
    assert threads.matmul_error() <= threads.ACCURATE


def test_rounding_to_bf16_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    product = torch.Tensor.__matmul__

    def rounded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return product(a, b) if a.dtype == torch.float64 else product(a.bfloat16().float(), b.bfloat16().float())

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert threads.matmul_error() > 1e-3
