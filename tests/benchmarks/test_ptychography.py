"""Speed of the ptychographic methods: against the peers at hand, and against the transforms alone."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pwm_ptychography.engine import make_engine

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

from compare import comparison, measured, show
from measure import transforms
from peers import installed
from scan import reference

needs_peers = pytest.mark.skipif(not installed(), reason="no peer is installed: requirements-peers.txt")


@needs_peers
def test_every_package_is_given_the_scan_in_its_own_terms():
    """From the truth, on data without noise, no method moves much, ours or a peer's."""
    found = measured("fixed_point", window=64)
    print({label: f"{error:.1e}" for label, error in found.items()})
    # phaser damps weak pixels, pty-chi's difference map trusts them, Adam's first steps have full length
    assert max(found.values()) < 0.03
    assert sorted(found.values())[len(found) // 2] < 1e-6


@needs_peers
@pytest.mark.parametrize(("window", "sweeps", "wanted"), [(64, 100, 10), (128, 50, 7)])
def test_a_sweep_is_faster_than_the_fastest_peers_epie(window, sweeps, wanted):
    """PWM_BENCHMARK_JSON names a folder in which the table is left too."""
    found = comparison(window, sweeps)
    show(found)
    if folder := os.environ.get("PWM_BENCHMARK_JSON"):
        Path(folder, f"ptychography-{window}.json").write_text(json.dumps(found, indent=1))
    if found["ratio_to_fastest_epie"] is None:
        pytest.skip(f"no peer with ePIE works here: {found['failed']}")
    assert found["ratio_to_fastest_epie"] >= wanted


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize(("window", "side"), [(64, 20), (128, 20), (256, 10)])
def test_time_of_a_sweep(benchmark, one_thread, window, side, modes):
    """The ratio to the transforms of all frames and modes alone is kept with the result."""
    engine = make_engine(reference(window, side=side).problem, modes)
    order = torch.from_numpy(np.random.default_rng(0).permutation(engine.frames))
    steps = {"alpha": 1.0, "beta": 1.0, "object_step": 0.9, "probe_step": 0.3}
    benchmark.pedantic(engine.pie_sweep, args=(order,), kwargs=steps, rounds=20, warmup_rounds=2)
    floor = modes * min(transforms(window, engine.frames).values())
    benchmark.extra_info |= {
        "frames": engine.frames,
        "transforms_ms": floor,
        "ratio_to_transforms": 1e3 * benchmark.stats.stats.min / floor,
    }
    print(f"{window} x {window}, {modes} modes: {benchmark.extra_info}")


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize(("window", "sweeps"), [(64, 15), (128, 6)])
def test_what_a_second_core_brings(window, sweeps):
    """Wall times of one and two threads by turns.  Cores that share no cache exchange the object through the
    memory of the machine: there, and where other programs run, a second one brings much less."""
    engine = make_engine(reference(window).problem)
    rng = np.random.default_rng(0)
    orders = [torch.from_numpy(rng.permutation(engine.frames)) for _ in range(sweeps)]
    ratios = []
    for _ in range(40):
        times = []
        for threads in (1, 2):
            engine.threads, each = threads, []
            for order in orders:
                start = time.perf_counter()
                engine.pie_sweep(order, alpha=1.0, beta=1.0, object_step=0.9, probe_step=0.3)
                each.append(time.perf_counter() - start)
            times.append(np.median(each))
        ratios.append(times[0] / times[1])
    quartiles = np.percentile(ratios[1:], [25, 50, 75])
    print(f"{window} x {window}: two threads sweep {quartiles[1]:.2f} times as fast (quartiles {quartiles})")
    assert quartiles[2] > 1.2
