"""The networks: what holds at every size, and what each architecture promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_learned.network import Network
from pwm_transformer.restormer import Restormer, TransposedAttention
from pwm_transformer.spectraformer import EnergyAttention, SpectraFormer
from pwm_transformer.swin_video import SwinVideo
from pwm_transformer.swinir import SwinIR
from pwm_transformer.windows import WindowAttention, border_mask, merge, partition
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

NETWORKS: dict[str, Callable[[], Network]] = {
    "swinir": lambda: SwinIR(3, width=16, stages=1, blocks=2, heads=2),
    "restormer": lambda: Restormer(3, width=8),
    "spectraformer": lambda: SpectraFormer(3, width=8),
    "swin-video": lambda: SwinVideo(7, frames=3, width=8, blocks=1),
}
M = TypeVar("M", bound=nn.Module)
CHANNELS = {"swinir": 3, "restormer": 3, "spectraformer": 3, "swin-video": 7}


def _network(name: str) -> Network:
    torch.manual_seed(0)
    return NETWORKS[name]()


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _awake(module: M) -> M:
    """The module with all that starts at zero drawn at random instead, so that its answer is not zero."""
    generator = torch.Generator().manual_seed(1)
    for weight in module.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1, generator=generator)
    return module


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("rows", "columns", "groups"), [(1, 1, (1,)), (1, 3, (1, 1)), (2, 1, (3, 2, 2, 1))])
def test_the_answer_is_one_image_for_each_and_zero_before_training(name, rows, columns, groups) -> None:
    network = _network(name)
    height, width = rows * network.multiple, columns * network.multiple
    with torch.no_grad():
        correction = network(_random(sum(groups), CHANNELS[name], height, width), groups)
    assert correction.shape == (sum(groups), 1, height, width)
    assert not correction.any()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_trained(name: str) -> None:
    network = _awake(_network(name))
    network(_random(3, CHANNELS[name], 64, 64), (2, 1)).square().mean().backward()
    idle = [key for key, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


@pytest.mark.parametrize("name", NETWORKS)
def test_brain_floats_and_channels_last_change_little(name: str) -> None:
    network = _awake(_network(name))
    features = _random(2, CHANNELS[name], 64, 64)
    with torch.no_grad():
        exact = network(features, (2,))
        last = network(features.contiguous(memory_format=torch.channels_last), (2,))
        with torch.autocast("cpu", torch.bfloat16):
            coarse = network(features, (2,)).float()
    torch.testing.assert_close(last, exact, rtol=1e-4, atol=1e-5)
    assert (coarse - exact).std() < 0.05 * exact.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_other_groups_have_no_say(name: str) -> None:
    network = _awake(_network(name))
    features = _random(5, CHANNELS[name], 64, 64)
    with torch.no_grad():
        together = network(features, (2, 2, 1))
        apart = torch.cat([network(part, (len(part),)) for part in features.split([2, 2, 1])])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_thirty_steps_learn_to_denoise(name: str) -> None:
    network = _network(name)
    features, wanted = _noisy(4, CHANNELS[name], 32)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = (network(features, (1, 1, 1, 1)) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def _noisy(images: int, channels: int, size: int) -> tuple[Tensor, Tensor]:
    """Features of smooth images in white noise, and minus the noise of the (middle) one."""
    smooth = interpolate(_random(images, 1, 4, 4), size=(size, size), mode="bicubic")
    noise = 0.5 * _random(images, (channels - 1) // 2, size, size, seed=1)
    noisy = smooth + noise
    level = torch.full_like(smooth, 0.5)
    return torch.cat([noisy, torch.zeros_like(noisy), level], 1), -noise[:, noise.shape[1] // 2, None]


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4]))
@settings(max_examples=20, deadline=None)
def test_windows_go_back_where_they_came_from(images: int, frames: int, rows: int, columns: int, window: int):
    tokens = _random(images, frames, rows * window, columns * window, 3)
    windows = partition(tokens, window)
    assert windows.shape == (images * rows * columns, frames * window**2, 3)
    first = windows[:, : window**2]
    assert torch.equal(merge(first, window, rows * window, columns * window), tokens[:, 0])


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_window_attention_is_attention_among_the_tokens_of_a_window(shifted: bool, frames: int) -> None:
    """Against a reference that goes from token to token, gathers its window and looks up each bias."""
    torch.manual_seed(0)
    window, size = 4, 8
    attention = WindowAttention(6, 2, window, frames, shifted).double()
    nn.init.normal_(attention.table)
    seen = _random(1, frames, size, size, 6).double()
    with torch.no_grad():
        torch.testing.assert_close(attention(seen), _one_by_one(attention, seen, shifted))


def _one_by_one(attention: WindowAttention, seen: Tensor, shifted: bool) -> Tensor:
    window, frames, size = attention.window, seen.shape[1], seen.shape[2]
    move = window // 2 if shifted else 0
    # with the borders where they are, a window moved by half ends at the border of the image
    places = [(y, x) for y in range(size) for x in range(size)]
    home = [((y + window - move) // window, (x + window - move) // window) for y, x in places]
    queries = attention.query(seen[0, 0].reshape(-1, 6)).reshape(-1, 2, 3)
    keys, values = attention.key_value(seen[0].reshape(frames, -1, 6)).reshape(frames, -1, 2, 2, 3).unbind(2)
    out = torch.zeros(len(places), 2, 3, dtype=seen.dtype)
    for i, (y, x) in enumerate(places):
        inside = [j for j in range(len(places)) if home[j] == home[i]]
        offset = [(places[j][0] - y + window - 1, places[j][1] - x + window - 1) for j in inside]
        rows, columns = (list(part) for part in zip(*offset, strict=True))
        scores = torch.einsum("hc,tjhc->htj", queries[i], keys[:, inside]) / 3**0.5
        weights = (scores + attention.table[:, :, rows, columns]).flatten(1).softmax(-1)
        out[i] = torch.einsum("hk,khc->hc", weights, values[:, inside].flatten(0, 1))
    return attention.project(out.flatten(1)).reshape(1, size, size, 6)


def test_moved_windows_do_not_reach_around_the_border() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(6, 2, 4, 1, shifted=True)
    seen = _random(1, 1, 16, 16, 6)
    other = seen.clone()
    other[:, :, -2:] += 1  # the last two rows share a window with the first two, after the cyclic move
    with torch.no_grad():
        changed = (attention(seen) - attention(other)).abs().amax((0, 2, 3)) > 1e-6
    assert changed.tolist() == [False] * 14 + [True] * 2


def test_the_mask_of_an_inner_window_is_empty() -> None:
    mask = border_mask(16, 16, 4, torch.zeros(1)).reshape(4, 4, 16, 16)
    assert not mask[:3, :3].any()
    assert all(mask[row, 3].any() and mask[3, row].any() for row in range(4))
    assert torch.equal(mask, mask.transpose(-1, -2))


def test_bias_depends_on_relative_position_alone() -> None:
    attention = WindowAttention(4, 1, 4, 2, shifted=False)
    bias = attention.bias().reshape(4, 4, 2, 4, 4)  # query's row and column; key's frame, row and column
    assert torch.equal(bias[1:, 1:, :, 1:, 1:], bias[:-1, :-1, :, :-1, :-1])
    assert bias.unique().numel() == attention.table.numel()


def test_swinir_sees_windows_and_no_further() -> None:
    """One block of windows 16 pixels wide and convolutions of 2 + 2 + 2 tokens about it."""
    torch.manual_seed(0)
    network = _awake(SwinIR(1, width=8, stages=1, blocks=1, heads=2))
    features = _random(1, 1, 64, 64)
    other = features.clone()
    other[..., 0, 0] += 10
    with torch.no_grad():
        changed = (network(features, (1,)) - network(other, (1,))).abs()[0, 0] > 1e-6
    reach = changed.any(1).nonzero().max().item()
    assert 16 <= reach < 2 * (8 + 8 + 3)


def test_transposed_attention_is_attention_between_channels() -> None:
    torch.manual_seed(0)
    attention = TransposedAttention(8, 2).double()
    nn.init.uniform_(attention.temperature, 1, 5)
    image = _random(2, 8, 6, 10).double()
    with torch.no_grad():
        torch.testing.assert_close(attention(image), _transposed(attention, image))


def _transposed(attention: TransposedAttention, image: Tensor) -> Tensor:
    """The paper's formula, head by head."""
    q, k, v = attention.local(attention.mix(image)).unflatten(1, (3, 2, 4)).flatten(-2).unbind(1)
    scores = torch.einsum("nhip,nhjp->nhij", normalize(q, dim=-1), normalize(k, dim=-1))
    weights = (scores * attention.temperature[:, None, None]).softmax(-1)
    return attention.project(torch.einsum("nhij,nhjp->nhip", weights, v).reshape(image.shape))


def test_transposed_attention_stands_an_empty_image() -> None:
    attention = TransposedAttention(8, 2)
    image = torch.zeros(1, 8, 4, 4, requires_grad=True)
    attention(image).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_permuting_the_maps_of_a_group_permutes_what_spectraformer_answers(groups: list[int], random) -> None:
    network = _awake(_network("spectraformer"))
    features = _random(sum(groups), 3, 16, 16)
    order, start = [], 0
    for maps in groups:
        order += random.sample(range(start, start + maps), maps)
        start += maps
    with torch.no_grad():
        permuted = network(features[order], groups)
        torch.testing.assert_close(permuted, network(features, groups)[order], rtol=1e-4, atol=1e-5)


def test_energy_attention_is_attention_between_the_maps_of_a_pixel() -> None:
    torch.manual_seed(0)
    attention = EnergyAttention(8, 2).double()
    image = _random(5, 8, 3, 4).double()
    q, k, v = attention.mix(image).unflatten(1, (3, 2, 4)).unbind(1)
    parts = []
    for a, b in ((0, 3), (3, 5)):
        weights = (torch.einsum("ahcyx,bhcyx->abhyx", q[a:b], k[a:b]) / 2).softmax(1)
        parts.append(torch.einsum("abhyx,bhcyx->ahcyx", weights, v[a:b]).flatten(1, 2))
    torch.testing.assert_close(attention(image, (3, 2)), attention.project(torch.cat(parts)))


def test_a_map_of_a_spectrum_image_helps_the_others() -> None:
    network = _awake(_network("spectraformer"))
    features = _random(3, 3, 16, 16)
    other = features.clone()
    other[2] += 1
    with torch.no_grad():
        change = network(features, (3,))[0] - network(other, (3,))[0]
    assert change.abs().max() > 1e-4


@pytest.mark.parametrize("frame", range(3))
def test_every_frame_has_a_say_on_the_middle_one(frame: int) -> None:
    network = _awake(_network("swin-video"))
    nn.init.zeros_(network.shallow.weight)  # leaves attention as the only way from frame to frame
    features = _random(1, 7, 32, 32)
    other = features.clone()
    other[:, frame] += _random(1, 32, 32, seed=2)
    with torch.no_grad():
        change = (network(features, (1,)) - network(other, (1,))).abs().max()
    assert (change > 1e-5) == (frame != 1)


def test_swin_video_wants_an_odd_number_of_frames_and_their_channels() -> None:
    for channels, frames in ((9, 4), (10, 5)):
        with pytest.raises(ValueError, match="channels"):
            SwinVideo(channels, frames=frames)
