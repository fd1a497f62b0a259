"""Sums over all positions at a fixed object and probe: gradients, projections, position refinement."""

from __future__ import annotations

from typing import Any

import numpy as np

from pwm_core.errors import BadValue, Unsuitable
from pwm_core.stored import available

from .overlaps import make_overlap, make_products
from .pie import EMPTY, Sweeper
from .plan import PlanarObject, aligned
from .positions import per_position, same_modes, visits
from .sweeps import make_gather
from .threads import run_threads
from .threads import share as part_of


class Sums:
    """What `gather_all` returns.

    ``object``, ``probe``: sums over positions of conj(probe) chi and conj(patch) chi (complex64);
    ``object_weight``, ``probe_weight``: sums of |probe|^2 and |patch|^2 (float32, None if not asked for);
    ``misfit``: per position, float64 (None from `overlap_all`);
    ``moves`` (positions, 5): right-hand sides (row, column) and row-row, column-column, row-column
    coefficients of the least-squares displacement of each patch (None if not asked for).
    """

    def __init__(
        self,
        obj: np.ndarray,
        probe: np.ndarray,
        object_weight: np.ndarray | None,
        probe_weight: np.ndarray | None,
        misfit: np.ndarray | None,
        moves: np.ndarray | None,
    ) -> None:
        self.object, self.probe, self.object_weight, self.probe_weight = (
            obj,
            probe,
            object_weight,
            probe_weight,
        )
        self.misfit, self.moves = misfit, moves

    def displacements(self, damping: float = 0.0) -> np.ndarray:
        """Least-squares displacements (positions, 2) in pixels.

        ``damping``, a fraction of the mean coefficient, keeps dark patches in place."""
        if self.moves is None:
            raise BadValue("displacements need sums gathered with track=True")
        row, column, rr, cc, rc = self.moves.T
        extra = damping * 0.5 * (rr.mean() + cc.mean()) + 1e-30
        rr, cc = rr + extra, cc + extra
        determinant = rr * cc - rc * rc
        return np.stack([cc * row - rc * column, rr * column - rc * row], axis=1) / determinant[:, None]


def gather_all(
    engine: Sweeper,
    *,
    poisson: bool = False,
    relax: float = 1.0,
    background: Any = 0.0,
    weights: bool = False,
    track: bool = False,
    threads: int = 1,
    state: np.ndarray | None = None,
    projection: tuple[float, float, float, float] = (1, 0, 0, 1),
    frames: Any = None,
) -> Sums:
    """Sums over all positions of a `pie.Sweeper`'s data (or over ``frames``) at its present object and probe.

    chi is the change of the exit wave towards the data: ``relax`` times the projection step of the amplitude
    model, which is -1/2 the gradient of sum (sqrt(|z|^2 + background) - b)^2, or with ``poisson`` -1/2 that
    of the Poisson deviance sum |z|^2 - b^2 log |z|^2.  So the gradient of ``misfit.sum()`` is -2 times the
    sums.  ``background`` is one number or one a position.

    With ``state`` (exit waves, float32, from `new_state`) and ``projection = (entry, keep, mix, replace)``
    the wave that is constrained is entry * probe * patch + (1 - entry) * state, the new state is keep * state
    + mix * probe * patch + replace * (constrained wave), and takes the place of chi: DM, RAAR and alternating
    projections.

    A probe of components gets the sum for the one probe that they add up to, (1, n, n).

    Positions are divided evenly over threads, whose sums are added in order: results depend on the number of
    threads by rounding only and are reproducible.  Each thread holds sums of the size of the object and the
    probe.
    """
    p, o, modes, count = engine.plan, engine.object, engine.modes, len(engine.data)
    stateful = state is not None
    run = make_gather(
        n=p.n,
        width=p.width,
        many=int(modes > 1),
        poisson=int(poisson),
        near=int(engine.near),
        shifted=int(engine.shifted),
        stateful=int(stateful),
        weights=int(weights),
        track=int(track),
        varied=int(engine.varied),
    )
    light = per_position(background, count, "background")
    data = (engine.data.reshape(-1), engine.gains, light, engine.kernel)
    entry, *renewal = projection
    coefficients = float(relax), _singles(entry, 1 - entry), _singles(*renewal)
    chosen = np.arange(count) if frames is None else visits(frames, count)
    moves, misfit = np.zeros((count if track else 1, 5)), np.zeros(count)
    parts = [_Part(engine, weights) for _ in range(threads)]
    waves = EMPTY if state is None else engine.checked(state)
    if track:
        o.guard()

    for stretch in engine.stretches(chosen):

        def work(t: int, stretch: np.ndarray = stretch) -> None:
            part = parts[t]
            places = engine.corners, engine.ramps, stretch, part_of(len(stretch), threads, t)
            run(
                *(o.flat_image, modes, engine.spectrum, part.mixture, data, places),
                *(waves, coefficients, part.spaces, part.sums, moves.reshape(-1), misfit),
            )

        run_threads(threads, work)
    return _total(engine, parts, weights, misfit, moves if track else None)


def products_of(
    engine: Sweeper,
    state: np.ndarray,
    object_change: np.ndarray,
    probe_change: np.ndarray,
    frames: Any = None,
    threads: int = 1,
) -> np.ndarray:
    """How changes of object and probe meet the ``state``, a change of the exit wave wanted at each position.

    With a = object_change * probe and b = patch * probe_change, summed over modes: (positions, 5)
    Re<a, state>, Re<b, state>, |a|^2, |b|^2, Re<a, b>.  They are the normal equations of the two steps that
    come closest to ``state``; positions other than ``frames`` stay 0.
    """
    _require_one_probe(engine)
    p, count = engine.plan, len(engine.data)
    run = make_products(p.n, p.width, int(engine.shifted))
    towards = PlanarObject(engine.object.shape)
    towards.put(np.asarray(object_change))
    change = same_modes(probe_change, (engine.modes, p.n, p.n))
    packed = (p.pack_spectrum(np.fft.fft2(change)) if engine.shifted else p.pack(change)).reshape(-1)
    waves, totals = engine.checked(state), np.zeros((count, 5))
    chosen = np.arange(count) if frames is None else visits(frames, count)

    def work(t: int) -> None:
        probe = np.empty_like(engine.probe) if engine.shifted else engine.probe
        moved = np.empty_like(packed) if engine.shifted else packed
        spaces = probe, moved, (aligned(p.tiles), aligned(p.strip))
        places = engine.corners, engine.ramps, chosen, part_of(len(chosen), threads, t)
        fields = engine.spectrum, packed
        run(
            *(engine.object.flat_image, towards.flat_image, engine.modes, fields, places),
            *(waves, spaces, totals.reshape(-1)),
        )

    run_threads(threads, work)
    return totals


def overlap_all(engine: Sweeper, state: np.ndarray, threads: int = 1) -> Sums:
    """The sums (with weights) for given exit waves.

    An overlap projection is O = sums.object / sums.object_weight, then, with new sums, P = sums.probe /
    sums.probe_weight."""
    _require_one_probe(engine)
    p, o, count = engine.plan, engine.object, len(engine.data)
    run = make_overlap(p.n, p.width, int(engine.shifted))
    parts = [_Part(engine, True) for _ in range(threads)]
    waves = engine.checked(state)

    def work(t: int) -> None:
        part = parts[t]
        run(
            *(
                o.flat_image,
                engine.modes,
                engine.spectrum,
                engine.corners,
                engine.ramps,
                part_of(count, threads, t),
            ),
            *(waves, part.spaces, part.sums),
        )

    run_threads(threads, work)
    return _total(engine, parts, True, None, None)


def new_state(engine: Sweeper, threads: int = 1) -> np.ndarray:
    """Exit waves (positions, modes * 2 n^2) of the present object and probe, in strip order.

    BadValue where the data are on disk and the waves would not fit into memory either."""
    size = 8 * engine.modes * engine.data.size
    if engine.file is not None and size > available():
        raise BadValue(
            f"the method keeps a wave for every frame, {size / 1e9:.3g} GB, and {available() / 1e9:.3g} GB "
            "of memory are free; take one that does not, or fewer or smaller frames"
        )
    state = aligned(len(engine.data), engine.modes * 2 * engine.plan.size)
    gather_all(engine, state=state, projection=(1, 0, 1, 0), threads=threads)
    return state


def _require_one_probe(engine: Sweeper) -> None:
    if engine.varied:
        raise Unsuitable("overlaps and products are of one probe, not of one that varies with the position")


def _singles(*values: float) -> tuple[Any, ...]:
    """Single-precision numbers for the kernels."""
    return tuple(np.float32(value) for value in values)


def _total(
    engine: Sweeper, parts: list[_Part], weights: bool, misfit: np.ndarray | None, moves: np.ndarray | None
) -> Sums:
    """Add the parts in order and convert them to natural arrays."""
    p, first = engine.plan, parts[0]
    for part in parts[1:]:
        first.object.data += part.object.data
        first.probe_sums += part.probe_sums
        first.probe_weights += part.probe_weights
    sums = first.probe_sums.reshape(engine.modes, -1)
    return Sums(
        first.object.get(),
        np.fft.ifft2(p.unpack_spectrum(sums)).astype(np.complex64) if engine.shifted else p.unpack(sums),
        first.object.image[:, 2].copy() if weights else None,
        p.unrows(first.probe_weights) if weights else None,
        misfit,
        moves,
    )


class _Part:
    """Sums and work space of one thread."""

    def __init__(self, engine: Sweeper, weights: bool) -> None:
        p, modes = engine.plan, engine.modes
        self.object = PlanarObject(engine.object.shape, 3 if weights else 2)
        self.probe_sums = aligned(modes * 2 * p.size)
        self.probe_weights = aligned(p.size if weights else 16)
        self.sums = self.object.flat, self.object.pitch, self.probe_sums, self.probe_weights
        probe, self.mixture = engine.illumination()
        increment = aligned(modes * 2 * p.size) if engine.shifted else EMPTY
        self.spaces = probe, increment, (aligned(modes * p.tiles), aligned(modes * p.strip))
