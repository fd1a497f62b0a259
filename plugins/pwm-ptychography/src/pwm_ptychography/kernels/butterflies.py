"""Complex Fourier transforms of a few points, in terms of `vector.Vec`.

A complex value is a pair ``(re, im)``; ``sign`` is -1 forward and +1 inverse."""

from __future__ import annotations

from math import cos, pi, sin, sqrt


def add(a, b):
    return a[0] + b[0], a[1] + b[1]


def sub(a, b):
    return a[0] - b[0], a[1] - b[1]


def add_i(a, b, sign):
    """``a + sign * i * b``."""
    if sign > 0:
        return a[0] - b[1], a[1] + b[0]
    return a[0] + b[1], a[1] - b[0]


def multiply(a, w):
    """``a * w``."""
    return a[0].fma(w[0], -(a[1] * w[1])), a[0].fma(w[1], a[1] * w[0])


def multiply_conj(a, w):
    """``a * conj(w)``."""
    return a[0].fma(w[0], a[1] * w[1]), a[1].fma(w[0], -(a[0] * w[1]))


def twiddled_pair(a, b, w):
    """``a + b w`` and ``a - b w`` with every multiplication fused into an addition (``w`` None is 1)."""
    if w is None:
        return add(a, b), sub(a, b)
    re, im = b[0].fma(w[0], a[0]), b[0].fma(w[1], a[1])
    plus = b[1].fnma(w[1], re), b[1].fma(w[0], im)
    re, im = b[0].fnma(w[0], a[0]), b[0].fnma(w[1], a[1])
    return plus, (b[1].fma(w[1], re), b[1].fnma(w[0], im))


def _scaled(a, w):
    return a if w is None else multiply(a, w)


def radix2(x, w, sign):
    return list(twiddled_pair(_scaled(x[0], w[0]), x[1], w[1]))


def radix4(x, w, sign):
    p, q = twiddled_pair(_scaled(x[0], w[0]), x[2], w[2])
    r, s = twiddled_pair(_scaled(x[1], w[1]), x[3], w[3])
    return [add(p, r), add_i(q, s, sign), sub(p, r), add_i(q, s, -sign)]


def radix8(x, w, sign):
    even = radix4(x[0::2], w[0::2], sign)
    odd = radix4(x[1::2], w[1::2], sign)
    return _join(even, odd, sign)


def radix3(x, w, sign):
    """Three points; the scaled difference is fused into the last additions."""
    a, (total, difference) = _scaled(x[0], w[0]), twiddled_pair(_scaled(x[1], w[1]), x[2], w[2])
    middle = _axpy(-0.5, total, a)
    return [add(a, total), *_turned_pair(middle, difference, sign * sqrt(0.75))]


def radix5(x, w, sign):
    a = _scaled(x[0], w[0])
    s1, d1 = twiddled_pair(_scaled(x[1], w[1]), x[4], w[4])
    s2, d2 = twiddled_pair(_scaled(x[2], w[2]), x[3], w[3])
    c1, c2, q1, q2 = cos(2 * pi / 5), cos(4 * pi / 5), sin(2 * pi / 5), sin(4 * pi / 5)
    one = _turned_pair(_axpy(c2, s2, _axpy(c1, s1, a)), _axpy(q2 / q1, d2, d1), sign * q1)
    two = _turned_pair(_axpy(c1, s2, _axpy(c2, s1, a)), _axpy(-q1 / q2, d2, d1), sign * q2)
    return [add(a, add(s1, s2)), one[0], two[0], two[1], one[1]]


def _axpy(factor, x, y):
    return x[0].fma(factor, y[0]), x[1].fma(factor, y[1])


def _turned_pair(a, b, factor):
    """``a + i factor b`` and ``a - i factor b``."""
    return (b[1].fma(-factor, a[0]), b[0].fma(factor, a[1])), (
        b[1].fma(factor, a[0]),
        b[0].fma(-factor, a[1]),
    )


def _join(even, odd, sign):
    """The last, decimation-in-time step of a transform of ``2 len(even)`` points."""
    half = len(even)
    first, second = [None] * half, [None] * half
    for k in range(half):
        if k == 0:
            first[k], second[k] = add(even[k], odd[k]), sub(even[k], odd[k])
        elif 2 * k == half:
            first[k], second[k] = add_i(even[k], odd[k], sign), add_i(even[k], odd[k], -sign)
        elif 4 * k == half:  # exp(sign i pi/4)
            first[k], second[k] = _fused(even[k], add_i(odd[k], odd[k], sign), sqrt(0.5))
        elif 4 * k == 3 * half:  # exp(sign 3 i pi/4)
            second[k], first[k] = _fused(even[k], add_i(odd[k], odd[k], -sign), sqrt(0.5))
        else:
            angle = sign * pi * k / half
            first[k], second[k] = twiddled_pair(even[k], odd[k], (cos(angle), sin(angle)))
    return first + second


def _fused(a, b, scale):
    plus = b[0].fma(scale, a[0]), b[1].fma(scale, a[1])
    return plus, (b[0].fnma(scale, a[0]), b[1].fnma(scale, a[1]))


BUTTERFLIES = {2: radix2, 3: radix3, 4: radix4, 5: radix5, 8: radix8}


def butterfly(x, sign, w=None):
    """Fourier transform of the list ``x`` of complex pairs after multiplication with the twiddles ``w``.

    ``w[0]`` is always taken as 1; ``w=None`` means no twiddles."""
    return BUTTERFLIES[len(x)](x, [None] * len(x) if w is None else w, sign)
