"""The networks themselves."""

from __future__ import annotations

import pytest
import torch
from pwm_dncnn.dncnn import DnCNNetwork
from pwm_dncnn.red_cnn import REDCNNetwork
from pwm_dncnn.unet import UNetwork
from torch.nn.functional import conv2d, conv_transpose2d

NETWORKS = [
    lambda channels: DnCNNetwork(channels=channels, width=8, depth=5),
    lambda channels: REDCNNetwork(channels=channels, width=6),
    lambda channels: UNetwork(channels=channels, width=8),
]
IDS = ["dncnn", "red-cnn", "unet"]


def loud(network):
    """The network with a last layer that says something."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("make", NETWORKS, ids=IDS)
@pytest.mark.parametrize(("count", "channels", "height", "width"), [(1, 3, 32, 48), (3, 11, 24, 24)])
def test_a_new_network_answers_zero_for_every_image(make, count, channels, height, width):
    answer = make(channels)(torch.randn(count, channels, height, width), [1] * count)
    assert answer.shape == (count, 1, height, width)
    assert not answer.any()


@pytest.mark.parametrize("make", NETWORKS, ids=IDS)
def test_every_parameter_is_trained(make):
    network = loud(make(3))
    network(torch.randn(2, 3, 32, 32), [1, 1]).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@pytest.mark.parametrize("make", NETWORKS, ids=IDS)
def test_images_do_not_touch_each_other(make):
    network, x = loud(make(3)), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(x, [1, 1])[:1], network(x[:1], [1]), rtol=1e-4, atol=1e-5)


def test_dncnn_sees_as_far_as_its_depth():
    network = loud(DnCNNetwork(channels=1, width=8, depth=5))
    x = torch.zeros(1, 1, 31, 31)
    y = x.clone()
    y[..., 15, 15] = 1
    changed = (network(x, [1]) != network(y, [1]))[0, 0]
    rows = changed.any(1).nonzero()
    assert (int(rows.min()), int(rows.max())) == (10, 20)  # five 3x3 convolutions: 5 pixels to each side


def test_red_cnn_is_the_published_graph():
    """Written out: conv1..5, then deconv with what came out of conv4, conv2 and the input added."""
    network, x = loud(REDCNNetwork(channels=2, width=4)), torch.randn(1, 2, 28, 28)
    outs = [x]
    for layer in network.encoder:
        outs.append(conv2d(outs[-1], layer.weight, layer.bias).relu())
    d = network.decoder
    t1 = (conv_transpose2d(outs[5], d[0].weight, d[0].bias) + outs[4]).relu()
    t2 = conv_transpose2d(t1, d[1].weight, d[1].bias).relu()
    t3 = (conv_transpose2d(t2, d[2].weight, d[2].bias) + outs[2]).relu()
    t4 = conv_transpose2d(t3, d[3].weight, d[3].bias).relu()
    expected = conv_transpose2d(t4, network.last.weight, network.last.bias)
    torch.testing.assert_close(network(x, [1]), expected)
