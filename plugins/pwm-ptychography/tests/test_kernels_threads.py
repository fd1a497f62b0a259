"""Several threads that sweep over one object: who works where, who waits for whom, nothing lost."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pwm_ptychography.kernels.pie import Sweeper
from pwm_ptychography.kernels.schedule import deal, rounds, waits
from pwm_ptychography.kernels.threads import run_threads

FRAMES, N = 60, 16


def scan():
    """Amplitudes, corners, object and probe to start from; what the data are does not matter here."""
    rng = np.random.default_rng(0)
    amplitudes = rng.random((FRAMES, N, N)).astype("f4")
    probe = np.hanning(N)[:, None] * np.hanning(N) * np.exp(2j * np.pi * rng.random((1, N, N)))
    return amplitudes, rng.integers(0, 3 * N, (FRAMES, 2)), np.ones((4 * N, 4 * N), "c8"), probe


def test_two_threads_repeat_themselves_and_share_one_object():
    arguments = scan()
    results = []
    for _ in range(3):
        tested = Sweeper(*arguments)
        for _ in range(3):
            tested.sweep(np.arange(60), threads=2, object_step=0.9, probe_step=0.8)
        results.append(tested.result())
    for obj, probe in results[1:]:
        np.testing.assert_array_equal(obj, results[0][0])
        np.testing.assert_array_equal(probe, results[0][1])


@pytest.mark.parametrize("threads", [2, 3])
def test_with_a_fixed_probe_threads_do_what_one_does_in_their_order(threads):
    arguments = scan()
    together, _ = deal(np.arange(60), arguments[1], 16, threads, 16)
    assert (together >= 0).sum() == 60
    assert (together[:, -1] >= 0).sum() > 5  # the last thread is used
    one, several = Sweeper(*arguments), Sweeper(*arguments)
    for _ in range(50):  # a thread that did not wait for another would show sooner or later
        one.sweep(together[together >= 0], probe_step=0.0)
        several.sweep(np.arange(60), probe_step=0.0, threads=threads)
        np.testing.assert_array_equal(one.get_object(), several.get_object())


def test_positions_of_a_round_do_not_overlap():
    rng = np.random.default_rng(0)
    corners, order = rng.integers(0, 60, (200, 2)), rng.permutation(200)
    table = rounds(order, corners, 16, 4)
    assert sorted(table[table >= 0]) == list(range(200))
    for row in table:
        at = corners[row[row >= 0]]
        apart = (np.abs(at[:, None] - at) >= 16).any(-1) | np.eye(len(at), dtype=bool)
        assert apart.all()


def test_threads_without_a_place_are_not_used():
    corners = np.zeros((30, 2), np.int64)
    table, needed = deal(np.arange(30), corners, 16, 8, 16)
    assert table.shape == needed.shape == (30, 1)
    corners[::3], corners[1::3] = (0, 40), (40, 0)
    table, _ = deal(np.arange(30), corners, 16, 8, 16)
    assert table.shape == (10, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.integers(20, 120), st.integers(1, 20))
def test_a_thread_waits_for_all_that_overlap_and_for_no_more(seed, threads, extent, block):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, extent, (80, 2))
    table = rounds(rng.permutation(80), corners, 16, threads)
    needed = waits(table, corners, 16, block)
    for r, row in enumerate(table):
        for t, j in enumerate(row):
            expected = 0
            for earlier in range(r // block * block, r):
                others = np.delete(table[earlier], t)
                others = others[others >= 0]
                if j >= 0 and (np.abs(corners[others] - corners[j]) < 16).all(1).any():
                    expected = earlier + 1
            assert needed[r, t] == expected


def test_an_error_in_a_thread_is_raised_and_the_next_call_works():
    def fails(t):
        if t == 1:
            raise ValueError("in thread 1")

    with pytest.raises(ValueError, match="in thread 1"):
        run_threads(3, fails)
    seen = set()
    run_threads(3, seen.add)
    assert seen == {0, 1, 2}


def test_callers_in_several_threads_get_their_own_results():
    """Teams of which each thread waits for the others, asked for by four callers at once."""

    def call(k):
        meeting, seen = threading.Barrier(2, timeout=30), []

        def work(t):
            meeting.wait()
            seen.append((k, t))

        run_threads(2, work)
        return sorted(seen)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, range(20))) == [[(k, 0), (k, 1)] for k in range(20)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    run_threads(2, lambda t: None)
    child = os.fork()
    if child == 0:
        seen = set()
        run_threads(2, seen.add)
        os._exit(0 if seen == {0, 1} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
