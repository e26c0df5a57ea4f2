"""The running average of the weights is torch's, with a slow start."""

from __future__ import annotations

import torch
from filmroom.indexer.training.split_tower import running_average
from torch import nn


def test_it_follows_little_at_first_copies_and_ends_at_its_share() -> None:
    net = nn.Linear(2, 1)
    net.register_buffer("batches", torch.tensor(0))
    average = running_average(net, 0.9, buffers=True)
    expected = net.weight.detach().clone()
    assert torch.equal(average.module.weight, net.weight)
    for step in range(1, 200):
        with torch.no_grad():
            net.weight.add_(1.0)
        net.batches.fill_(step)
        average.update_parameters(net)
        share = 1 - min(0.9, (1 + step) / (10 + step))
        expected = expected + (net.weight.detach() - expected) * share
    assert torch.allclose(average.module.weight, expected, atol=1e-3)
    assert int(average.module.batches) == 199
