"""Sequential ptychographic iteration (ePIE, rPIE and relatives) with native kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pwm_core.errors import BadValue, Unsuitable

from .disk import FrameFile
from .plan import Frames, PlanarObject, aligned, plan
from .positions import patch_corners, per_position, same_modes, shifts, visits
from .schedule import deal
from .sweeps import make_sweep
from .team import Team
from .threads import new_marks, run_threads

EMPTY = aligned(16)  # in the place of arrays that are not used


class Sweeper:
    """State of a sequential reconstruction: object, probe modes and data in the kernels' own order.

    ``amplitudes``: sqrt of the counts, (n, n) for each position, zero frequency at [0, 0]; an array or
    anything with a length that gives its frames in order.
    ``corners`` (positions, 2): row and column of each patch, which must lie inside ``obj`` (height, width).
    ``probe`` (modes, n, n); the number of modes stays.  Transforms are orthonormal, so that counts add up to
    sum |probe * patch|^2.
    ``mask`` (n, n) or (positions, n, n) is True at valid pixels.
    ``fractions`` (positions, 2) shift the probe by parts of a pixel.
    ``weights`` (positions, components), complex, make ``probe`` (components, n, n) the components of a probe
    with one mode, their sum with the weights of each position; a sweep improves them both (orthogonal probe
    relaxation; see `blend.share_step`).
    ``propagator`` (n, n) of modulus 1, zero frequency at [0, 0], makes it a near-field experiment with
    amplitudes in real space: wave = IFFT(propagator * FFT(probe * patch)).  With fractions f as well the wave
    is moved back by -f before it is propagated, from the patch's pixels to the detector's.
    ``on_disk``: keep the amplitudes in a temporary file, and a part of them in memory.

    Memory: the amplitudes in float32, 4 n^2 bytes a position (once the data, if those are float32), and
    besides 8 bytes a pixel of the object, 8 n^2 a mode of the probe (16 n^2 with fractions), 16 n a position
    for fractions, and about 18 n^2 a mode in each thread (34 n^2 with fractions), with several half as much
    again.
    """

    def __init__(
        self,
        amplitudes: Frames,
        corners: Any,
        obj: np.ndarray,
        probe: np.ndarray,
        *,
        mask: np.ndarray | None = None,
        fractions: np.ndarray | None = None,
        propagator: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        width: int | None = None,
        on_disk: bool = False,
    ) -> None:
        self.varied, self.fields, n = weights is not None, len(probe), probe.shape[-1]
        self.modes = 1 if self.varied else self.fields
        found = plan(n, width)
        if found is None:
            raise Unsuitable(
                f"the kernels know no patterns of {n} x {n} pixels; n must be 8 times a product of "
                "2, 3 and 5, from 16 to 2048"
            )
        self.plan = found
        self.near = propagator is not None
        self.kernel = found.pack_spectrum(np.asarray(propagator) / found.size) if self.near else EMPTY
        self.file = FrameFile(len(amplitudes), found.size) if on_disk else None
        self.data = found.amplitudes(amplitudes, mask, self.near, self.file)
        self.set_scale(1.0)
        self.misfit = np.zeros(len(self.data))
        self.object = PlanarObject(obj.shape)
        self.set_object(obj)
        self.corners = patch_corners(corners, len(self.data), self.object.shape, (n, n))
        self._place(fractions)
        self.set_probe(probe)
        self.weights = np.zeros(1, np.float32)
        if weights is not None:
            self.set_weights(weights)

    def _place(self, fractions: np.ndarray | None) -> None:
        """Phase ramps of the fractions, and room for the probe with or without them."""
        self.shifted = fractions is not None
        self.ramps = self.plan.ramps(shifts(fractions, len(self.data))).reshape(-1) if self.shifted else EMPTY
        self.probe = aligned(self.fields * 2 * self.plan.size)
        self.spectrum = np.zeros_like(self.probe) if self.shifted else EMPTY
        self._teams: dict[int, Team] = {}

    def sweep(
        self,
        order: Any,
        object_step: float = 1.0,
        alpha: float = 1.0,
        probe_step: float = 1.0,
        beta: float = 1.0,
        relax: float = 1.0,
        threads: int = 1,
        block: int = 16,
        background: Any = 0.0,
        state: np.ndarray | None = None,
        sigma: float = 0.0,
    ) -> np.ndarray:
        """One sweep over the positions in ``order``.

        Returns the misfit sum (|wave| - amplitude)^2 of every position as last met, the same array each time.

        With P_m, O_j from before the position and chi_m = relax * (projection of wave m on the data - wave m)

            O_j += object_step sum_m conj(P_m) chi_m / ((1 - alpha) sum |P_m|^2 + alpha max sum |P_m|^2)
            P_m += probe_step conj(O_j) chi_m / ((1 - beta) |O_j|^2 + beta max |O_j|^2)

        alpha = beta = 1 is ePIE (doi:10.1016/j.ultramic.2009.05.012), less is rPIE
        (doi:10.1364/OPTICA.4.000736).  A ``probe_step`` of 0 keeps the probe.

        With ``state``, exit waves Z_m from `batch.new_state`, chi_m is instead the change to the relaxed
        Douglas-Rachford wave, which becomes the state (doi:10.1364/OE.27.031246; ``relax`` is 1 - w there):

            Z_m <- relax * (projection of Y_m + sigma Z_m) + (1 - relax - relax sigma) P_m O_j,
            Y_m = (1 + sigma) P_m O_j - sigma Z_m

        ``background`` (one number or one a position) counts in the model: |wave| is sqrt(sum |wave_m|^2 +
        background).

        With several threads, `schedule.rounds` deals the positions out: in each round every thread updates
        the object at one position, and patches of one round do not overlap, so the object is updated exactly
        as by one thread in the round-by-round order.  Each thread updates its own copy of the probe; copies
        are averaged, weighted by positions seen, every ``block`` rounds.  Results are reproducible for a
        given number of threads; more than find patches apart from one another are not used.
        """
        p, o, count = self.plan, self.object, len(self.data)
        regularised = int(alpha != 1 or beta != 1)
        stateful = int(state is not None)
        run = make_sweep(
            *(p.n, p.width, int(self.modes > 1), regularised, int(self.near), int(self.shifted), stateful),
            int(self.varied),
        )
        memory = (
            EMPTY if state is None else self.checked(state),
            (np.float32(1 + sigma), np.float32(-sigma)),
            (np.float32(relax * sigma), np.float32(1 - relax - relax * sigma), np.float32(relax)),
        )
        order, background = visits(order, count), per_position(background, count, "background")
        # the relaxation of a wave with a state is part of its renewal
        steps = tuple(map(float, (object_step, alpha, probe_step, beta, 1.0 if stateful else relax)))
        image, mixture = (o.flat_image, self.modes), (self.fields, self.weights)
        data = (self.data.reshape(-1), self.gains, background, self.kernel)
        for stretch in self.stretches(order):
            rounds, needed = deal(stretch, self.corners, p.n, threads, block)
            team, marks = self._team(rounds.shape[1]), new_marks(rounds.shape[1])
            team.take(self.probe, self.spectrum)

            def work(t: int, plan: Any = (marks, rounds, needed, block), team: Team = team) -> None:
                places = self.corners, self.ramps
                run(t, *plan, *image, team.rooms, mixture, data, *places, steps, memory, self.misfit)

            run_threads(rounds.shape[1], work)
            if probe_step:
                team.give(-(-len(rounds) // block), self.probe, self.spectrum)
        return self.misfit

    def stretches(self, order: np.ndarray) -> Iterable[np.ndarray]:
        """``order`` in parts whose amplitudes are in memory together; in one if all are."""
        return [order] if self.file is None else self.file.stretches(order)

    def random_order(self, rng: np.random.Generator) -> np.ndarray:
        """All positions at random, as far as their amplitudes' place allows."""
        return rng.permutation(len(self.data)) if self.file is None else self.file.random_order(rng)

    def checked(self, state: np.ndarray) -> np.ndarray:
        """The exit waves as one row, or BadValue; the compiled loops check nothing."""
        shape = len(self.data), self.modes * 2 * self.plan.size
        if state.shape != shape or state.dtype != np.float32 or not state.flags.c_contiguous:
            raise BadValue(f"exit waves must be a float32 array {shape} from `new_state`")
        return state.reshape(-1)

    def _team(self, threads: int) -> Team:
        if threads not in self._teams:
            features = self.modes, self.shifted, self.varied
            self._teams[threads] = Team(threads, self.plan, *features, self.probe, self.spectrum)
        return self._teams[threads]

    def illumination(self) -> tuple[np.ndarray, tuple[np.ndarray, int, np.ndarray, np.ndarray]]:
        """Room for the probe of a position (or the probe itself), and what it is made of: components, their
        number and weights, and room for its spectrum."""
        own = aligned(2 * self.plan.size) if self.varied and self.shifted else EMPTY
        mixture = self.spectrum if self.shifted else self.probe, self.fields, self.weights, own
        room = self.shifted or self.varied
        return aligned(self.modes * 2 * self.plan.size) if room else self.probe, mixture

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Object (height, width) and probe (modes, n, n), complex64 copies."""
        return self.get_object(), self.get_probe()

    def get_object(self) -> np.ndarray:
        return self.object.get()

    def set_object(self, obj: np.ndarray) -> None:
        self.object.put(np.asarray(obj))

    def object_parts(self) -> np.ndarray:
        """Float32 view (height, 2, width) of the real and imaginary parts of the object.

        What is written to it is what the next sweep starts from; it stays valid as long as the sweeper."""
        return self.object.image

    def get_probe(self) -> np.ndarray:
        if not self.shifted:
            return self.plan.unpack(self.probe.reshape(self.fields, -1))
        spectra = self.plan.unpack_spectrum(self.spectrum.reshape(self.fields, -1))
        return np.fft.ifft2(spectra).astype(np.complex64)

    def set_probe(self, probe: np.ndarray) -> None:
        """Put other modes, as many, in the place of the present ones."""
        probe = same_modes(probe, (self.fields, self.plan.n, self.plan.n))
        self.probe[:] = self.plan.pack(probe).reshape(-1)
        if self.shifted:
            self.spectrum[:] = self.plan.pack_spectrum(np.fft.fft2(probe)).reshape(-1)

    def get_weights(self) -> np.ndarray:
        """The weights of the components (positions, components), complex64; BadValue without any."""
        if not self.varied:
            raise BadValue("this probe is the same at all positions")
        return self.weights.view(np.complex64).reshape(len(self.data), self.fields).copy()

    def set_weights(self, weights: np.ndarray) -> None:
        """Put other weights in the place of the present ones."""
        shape = len(self.data), self.fields
        if not self.varied or np.shape(weights) != shape:
            raise BadValue(
                f"weights of shape {shape} need a probe that has components, got {np.shape(weights)}"
            )
        self.weights = np.array(weights, np.complex64).reshape(-1).view(np.float32)

    def scale_probe(self, factor: float) -> None:
        """Multiply all modes by a number."""
        for field in (self.probe, self.spectrum):
            field *= np.float32(factor)

    def set_fractions(self, fractions: np.ndarray | None, corners: Any = None) -> None:
        """Move the positions: new fractions of a pixel (positions, 2), or None, and new corners if given."""
        n = self.plan.n
        if corners is not None:
            self.corners = patch_corners(corners, len(self.data), self.object.shape, (n, n))
        if self.shifted and fractions is not None:
            self.ramps = self.plan.ramps(shifts(fractions, len(self.data))).reshape(-1)
        else:
            probe = self.get_probe()
            self._place(fractions)
            self.set_probe(probe)

    def set_scale(self, scale: Any) -> None:
        """Compare with data divided by ``scale`` (one number or one a position), the relative flux.

        The amplitudes are multiplied by 1 / sqrt(scale) on the way, so that misfits and a background are in
        the scaled counts too."""
        self.gains = 1 / np.sqrt(per_position(scale, len(self.data), "scale"))
