"""Blind spots: where they lie, what they hide, and that nothing of the hidden pixel gets through."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_dncnn.blind_spot import CELL, REACH, Shape, cell_size, hidden_by, replaced, stratified
from pwm_dncnn.small_unet import SmallUNet

SHAPES: list[Shape] = ["pixel", "rows", "columns"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 1000), st.sampled_from(SHAPES))
@settings(max_examples=20, deadline=None)
def test_every_cell_has_one_blind_spot(seed: int, shape: Shape) -> None:
    high, wide = cell_size(shape)
    spots = stratified(3, (4 * high, 5 * wide), (high, wide), generator(seed))
    cells = spots.reshape(3, 4, high, 5, wide).sum((2, 4))
    assert (cells == 1).all()


def test_every_pixel_is_a_blind_spot_equally_often() -> None:
    share = stratified(4000, (8, 8), (CELL, CELL), generator()).float().mean((0, 1))
    assert ((share - 1 / CELL**2).abs() < 5 * (1 / CELL**2 / 4000) ** 0.5).all()


def test_at_the_edge_cells_are_cut_off() -> None:
    spots = stratified(4000, (6, 9), (CELL, CELL), generator())
    assert spots.shape == (4000, 1, 6, 9)
    assert float(spots.float().mean()) == pytest.approx(1 / CELL**2, rel=0.05)


@pytest.mark.parametrize("shape", ["rows", "columns"])
def test_a_line_hides_its_neighbours_and_nothing_else(shape: Shape) -> None:
    spots = torch.zeros(1, 1, 30, 30, dtype=torch.bool)
    spots[0, 0, 15, 3] = True
    hidden = hidden_by(spots, shape)[0, 0]
    expected = torch.zeros(30, 30, dtype=torch.bool)
    if shape == "rows":
        expected[15, : 3 + REACH + 1] = True
    else:
        expected[15 - REACH : 15 + REACH + 1, 3] = True
    assert torch.equal(hidden, expected)


@given(st.integers(0, 1000), st.sampled_from(SHAPES), st.integers(2, 20), st.integers(2, 20))
@settings(max_examples=40, deadline=None)
def test_a_replacement_comes_from_nearby_but_not_from_what_is_hidden(
    seed: int, shape: Shape, height: int, width: int
) -> None:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    images = torch.stack([rows, columns]).float()[None]
    everything = torch.ones(1, 1, height, width, dtype=torch.bool)
    row, column = replaced(images, everything, shape, generator(seed))[0]
    assert ((row - rows).abs() <= REACH).all()
    assert ((column - columns).abs() <= REACH).all()
    same_row, same_column = row == rows, column == columns
    assert not {"pixel": same_row & same_column, "rows": same_row, "columns": same_column}[shape].any()


def test_every_neighbour_is_drawn_equally_often() -> None:
    images = torch.arange(15.0 * 15).reshape(1, 1, 15, 15).expand(20000, 1, 15, 15)
    hidden = torch.zeros(20000, 1, 15, 15, dtype=torch.bool)
    hidden[..., 7, 7] = True
    drawn = replaced(images, hidden, "pixel", generator())[:, 0, 7, 7].long().bincount(minlength=225)
    expected = torch.zeros(15, 15)
    expected[2:13, 2:13] = 20000 / 120
    expected[7, 7] = 0
    assert ((drawn.reshape(15, 15) - expected).abs() <= 5 * expected.sqrt()).all()


def test_what_is_not_hidden_stays() -> None:
    images = torch.randn(2, 3, 12, 12, generator=generator())
    hidden = stratified(2, (12, 12), (CELL, CELL), generator())
    out = replaced(images, hidden, "pixel", generator())
    assert torch.equal(out[(~hidden).expand_as(out)], images[(~hidden).expand_as(out)])
    assert (out[hidden.expand_as(out)] != images[hidden.expand_as(out)]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_prediction_of_a_blind_spot_does_not_depend_on_what_was_measured_there(shape: Shape) -> None:
    network = SmallUNet(2, 1, 4, generator()).requires_grad_(False)
    torch.nn.init.normal_(network.last.weight, generator=generator())
    images = torch.randn(1, 2, 24, 24, generator=generator(1))
    spots = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    spots[0, 0, 11, 13] = True
    hidden = hidden_by(spots, shape)
    changed = torch.where(hidden, images + 100, images)
    before, after = (
        network(replaced(i, hidden, shape, generator(2)))[0, 0, 11, 13] for i in (images, changed)
    )
    if shape == "pixel":
        assert before == after
        return
    assert not torch.equal(images, changed)
    assert before == after
