from __future__ import annotations

import pytest
import torch

from perception.callbacks.averaging import EMA, ema_update


def test_average_forgets_the_start_then_decays_at_its_rate() -> None:
    average = torch.tensor([100.0])
    for count in range(1, 30):
        average = ema_update(average, torch.tensor([1.0]), count, 0.99)
    assert float(average) < 1.01  # a fixed decay of 0.99 would leave 75 of the 100
    late = ema_update(torch.tensor([0.0]), torch.tensor([1.0]), 10_000, 0.99)
    assert float(late) == pytest.approx(0.01)


def test_counters_are_copied() -> None:
    assert int(ema_update(torch.tensor(3), torch.tensor(8), 5, 0.9)) == 8


def test_updates_come_every_n_steps() -> None:
    callback = EMA(0.9, every_n_steps=3)
    assert [step for step in range(9) if callback.should_update(step_idx=step)] == [0, 3, 6]
    assert not callback.should_update(epoch_idx=1)
    with pytest.raises(ValueError, match="decay must lie"):
        EMA(1.5)
