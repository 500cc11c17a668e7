"""The loops of backend "numba": LIF over T steps and the batch norm before it, forward and backward.

    z[t] = scale·x[t] + shift                    scale = 1 and shift = 0 where there is no norm
    u_pre, s, u: Eq. 3 on z                      (iemf_snn.functional)

Memory is flat: x [T, N] with the batch, channels and pixels of a step in N in whatever order they lie, or [1, N] where
every step sees the same input. Element n belongs to channel (n // inner) % C; inner = 1 for channels_last, the pixels
of a plane for contiguous. Work goes in blocks that stay in the cache, so potentials never see memory; the backward
pass recomputes them. Chunks, and so the order of every sum, do not depend on the number of threads.

The normalised tensor is not stored either. With mean μ and inverse deviation r of a channel over its n values, w and b
the norm's weight and bias, scale = w·r and shift = b - μ·scale:

    g_b = Σ g_z,   g_w = r·Σ g_z·(x - μ)
    g_x = scale·g_z - scale·r²·(x - μ)·Σ g_z·(x - μ)/n - scale·Σ g_z/n      (in evaluation the first term alone)

bfloat16 comes as the uint16 of its bits; all arithmetic is float32. The constants of Eq. 3 come as the tuple
(τ, 1/τ, whether 1/τ is exact, θ, v_reset, decay_input, α). All loops are in this one file because Numba does not see
that a function in another file changed, and would go on with what it compiled.
"""

from functools import partial

import numpy as np
from numba import njit, prange, types
from numba.extending import overload

BLOCK = 2048  # elements; 2·T + 8 rows of float32 of it fit a second-level cache of 256 KiB at T = 4
CHUNK = 8 * BLOCK  # what a thread takes at a time
CHUNKS = 256  # at most, so that the partial sums of a channel stay few

# Compiled when first called, then kept on disk; dividing by zero gives infinity, as in torch.
compiled = partial(njit, cache=True, error_model="numpy")
parallel = partial(compiled, parallel=True)

ZERO, ONE = np.float32(0), np.float32(1)


def load(array, i):
    """array[i] as float32."""


def store(array, i, value):
    """array[i] = value, rounded to nearest even."""


@overload(load)
def _load(array, i):
    if array.dtype == types.float32:
        return lambda array, i: array[i]
    return lambda array, i: np.uint32(np.uint32(array[i]) << np.uint32(16)).view(np.float32)


@overload(store)
def _store(array, i, value):
    if array.dtype == types.float32:

        def exact(array, i, value):
            array[i] = value

        return exact

    def rounded(array, i, value):
        bits = np.float32(value).view(np.uint32)
        up = np.uint32(np.uint32(0x7FFF) + np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1)))
        # The carry of rounding up would turn some NaN into numbers; one quiet NaN stands for all.
        array[i] = np.uint16(0x7FC0) if value != value else np.uint16(np.uint32(bits + up) >> np.uint32(16))

    return rounded


@compiled
def charge(z, v, tau, inverse, exact, v_reset, decay_input):
    """u_pre of one element, in the order of operations of iemf_snn.functional.charge; 1/τ where that is exact."""
    away = v - v_reset
    if decay_input:
        return v + (z - away) * inverse if exact else v + (z - away) / tau
    return v - away * inverse + z if exact else v - away / tau + z


@compiled
def row_buffer():
    return np.empty(BLOCK, np.float32)


@compiled
def per_element(table, inner):
    """A table [C] made ready for :func:`block_of`: where channels are innermost, repeated to BLOCK + C elements."""
    if inner > 1:
        return table
    channels = table.shape[0]
    tiled = np.empty(BLOCK + channels, table.dtype)
    for j in range(tiled.shape[0]):
        tiled[j] = table[j % channels]
    return tiled


@compiled
def block_of(table, channels, lo, n, inner, buffer):
    """The values of a per_element table at elements lo to lo + n: a view of it, or the filled buffer [BLOCK]."""
    if inner == 1:
        return table[lo % channels : lo % channels + n]
    done = 0
    while done < n:
        plane, at = divmod(lo + done, inner)
        run = min(inner - at, n - done)
        value, part = table[plane % channels], buffer[done : done + run]
        for j in range(run):
            part[j] = value
        done += run
    return buffer


@partial(compiled, fastmath={"reassoc", "nsz"})
def total(values):
    """Sum in any order, so that it vectorises."""
    result = ZERO
    for j in range(values.shape[0]):
        result += values[j]
    return result


@compiled
def add_block(sums, channels, lo, n, inner, values):
    """Add values[:n], of elements lo to lo + n, to sums, laid out as per_element lays them out."""
    if inner == 1:
        add_row(values, sums[lo % channels : lo % channels + n])
        return
    done = 0
    while done < n:
        plane, at = divmod(lo + done, inner)
        run = min(inner - at, n - done)
        sums[plane % channels] += total(values[done : done + run])
        done += run


@compiled
def fold(sums, channels, out):
    """out[c] = the sum of what add_block put down for channel c."""
    out[:] = ZERO
    for j in range(sums.shape[0]):
        out[j % channels] += sums[j]


@compiled
def chunk_length(n):
    """Elements of a chunk: a multiple of BLOCK."""
    return max(CHUNK, -(-n // (CHUNKS * BLOCK)) * BLOCK)


@compiled
def fill(buffer, n, values, lo, otherwise):
    """buffer[:n] = values[lo : lo + n], or a constant where there are no values."""
    if values.shape[0]:
        part = values[lo : lo + n]
        for j in range(n):
            buffer[j] = part[j]
    else:
        for j in range(n):
            buffer[j] = otherwise


# One loop a function: the compiler vectorises each, and so it stays when they are put together below.


@compiled
def fire_row(row, scale, shift, out, v, tau, inverse, exact, threshold, v_reset, decay_input):
    for j in range(row.shape[0]):
        u_pre = charge(load(row, j) * scale[j] + shift[j], v[j], tau, inverse, exact, v_reset, decay_input)
        fires = u_pre >= threshold
        store(out, j, ONE if fires else ZERO)
        v[j] = v_reset if fires else u_pre


@compiled
def integrate_row(row, scale, shift, out, v, tau, inverse, exact, threshold, v_reset, decay_input):
    for j in range(row.shape[0]):
        u_pre = charge(load(row, j) * scale[j] + shift[j], v[j], tau, inverse, exact, v_reset, decay_input)
        out[j] = u_pre
        v[j] = v_reset if u_pre >= threshold else u_pre


@compiled
def gradient_row(upstream, potential, grad_v, out, threshold, alpha, slope, leak, gain):
    for j in range(upstream.shape[0]):
        u_pre = potential[j]
        derivative = alpha - slope * abs(u_pre - threshold)
        derivative = ZERO if derivative < ZERO else derivative  # lets NaN through
        held = ONE if u_pre < threshold else ZERO
        g = load(upstream, j) * derivative + held * grad_v[j]
        grad_v[j] = leak * g
        store(out, j, gain * g)


@compiled
def sums_row(row, g, mean, first, second):
    for j in range(row.shape[0]):
        first[j] += g[j]
        second[j] += g[j] * (load(row, j) - mean[j])


@compiled
def input_gradient_row(row, g, scale, mean, slope, offset, out):
    for j in range(row.shape[0]):
        store(out, j, scale[j] * g[j] + slope[j] * (load(row, j) - mean[j]) + offset[j])


@compiled
def squares_row(row, pivot, first, second):
    for j in range(row.shape[0]):
        away = load(row, j) - pivot[j]
        first[j] = away
        second[j] = away * away


@compiled
def write_row(values, out):
    for j in range(out.shape[0]):
        store(out, j, values[j])


@compiled
def add_row(values, out):
    for j in range(out.shape[0]):
        out[j] += values[j]


@compiled
def forward_block(x, scale, shift, spikes, v, lo, n, constants):
    """Spikes of elements lo to lo + n; v [BLOCK] holds u[0] on entry and u[T] on return."""
    tau, inverse, exact, threshold, v_reset, decay_input, _ = constants
    for t in range(spikes.shape[0]):
        row, out = x[min(t, x.shape[0] - 1), lo : lo + n], spikes[t, lo : lo + n]
        fire_row(row, scale, shift, out, v, tau, inverse, exact, threshold, v_reset, decay_input)


@compiled
def gradient_block(grad, x, scale, shift, v, grad_v, u, out, first, lo, n, constants):
    """Gradients of z, into out [T, first : first + n]; v holds u[0] on entry; grad_v the gradient of u[T], on return
    that of u[0]; u [T, BLOCK] is room for the potentials and must not be out (loops that alias do not vectorise)."""
    tau, inverse, exact, threshold, v_reset, decay_input, alpha = constants
    for t in range(u.shape[0]):
        row = x[min(t, x.shape[0] - 1), lo : lo + n]
        integrate_row(row, scale, shift, u[t], v, tau, inverse, exact, threshold, v_reset, decay_input)
    slope, leak, gain = alpha * alpha, ONE - ONE / tau, (ONE / tau if decay_input else ONE)
    for t in range(u.shape[0] - 1, -1, -1):
        target = out[t, first : first + n]
        gradient_row(grad[t, lo : lo + n], u[t], grad_v, target, threshold, alpha, slope, leak, gain)


@compiled
def forward_chunk(x, scale, shift, channels, inner, v, spikes, v_last, constants, start, stop):
    scales, shifts = row_buffer(), row_buffer()
    potential = row_buffer()
    for lo in range(start, stop, BLOCK):
        n = min(BLOCK, stop - lo)
        fill(potential, n, v, lo, constants[4])
        a = block_of(scale, channels, lo, n, inner, scales)
        b = block_of(shift, channels, lo, n, inner, shifts)
        forward_block(x, a, b, spikes, potential, lo, n, constants)
        if v_last.shape[0]:
            write_row(potential, v_last[lo : lo + n])


@parallel
def forward(x, scale, shift, inner, v, spikes, v_last, constants):
    """Fill spikes [T, N], and v_last [N] unless it is empty; v [N] is u[0], empty for rest."""
    size = spikes.shape[1]
    step = chunk_length(size)
    a, b = per_element(scale, inner), per_element(shift, inner)
    for chunk in prange(-(-size // step)):
        stop = min(size, (chunk + 1) * step)
        forward_chunk(x, a, b, scale.shape[0], inner, v, spikes, v_last, constants, chunk * step, stop)


@compiled
def affine(weight, bias, mean, inverse_deviation):
    """(scale, shift) of the norm, rounded alike in both passes."""
    scale = weight * inverse_deviation
    return scale, bias - mean * scale


@compiled
def norm_forward(x, weight, bias, mean, inverse_deviation, inner, spikes, constants):
    """Fill spikes [T, N] from the norm of x, from rest."""
    scale, shift = affine(weight, bias, mean, inverse_deviation)
    none = np.empty(0, np.float32)
    forward(x, scale, shift, inner, none, spikes, none, constants)


@compiled
def backward_chunk(grad, x, v, grad_v, grad_x, grad_v_first, constants, start, stop):
    ones, zeros = np.ones(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
    potential, carried = row_buffer(), row_buffer()
    u = np.empty((grad.shape[0], BLOCK), np.float32)
    for lo in range(start, stop, BLOCK):
        n = min(BLOCK, stop - lo)
        fill(potential, n, v, lo, constants[4])
        fill(carried, n, grad_v, lo, ZERO)
        gradient_block(grad, x, ones, zeros, potential, carried, u, grad_x, lo, lo, n, constants)
        if grad_v_first.shape[0]:
            write_row(carried, grad_v_first[lo : lo + n])


@parallel
def backward(grad, x, v, grad_v, grad_x, grad_v_first, constants):
    """Fill grad_x [T, N] and, unless it is empty, grad_v_first [N]; v and grad_v [N] may be empty (rest, zero)."""
    size = grad.shape[1]
    step = chunk_length(size)
    for chunk in prange(-(-size // step)):
        stop = min(size, (chunk + 1) * step)
        backward_chunk(grad, x, v, grad_v, grad_x, grad_v_first, constants, chunk * step, stop)


@compiled
def norm_sums_chunk(grad, x, scale, shift, mean, channels, inner, out, constants, start, stop):
    scales, shifts, means = row_buffer(), row_buffer(), row_buffer()
    first, second = row_buffer(), row_buffer()
    u, g = np.empty((grad.shape[0], BLOCK), np.float32), np.empty((grad.shape[0], BLOCK), np.float32)
    sums = np.zeros((2, mean.shape[0]), np.float32)
    for lo in range(start, stop, BLOCK):
        n = min(BLOCK, stop - lo)
        fill(first, n, first[:0], lo, constants[4])
        fill(second, n, second[:0], lo, ZERO)
        a = block_of(scale, channels, lo, n, inner, scales)
        b = block_of(shift, channels, lo, n, inner, shifts)
        m = block_of(mean, channels, lo, n, inner, means)
        gradient_block(grad, x, a, b, first, second, u, g, 0, lo, n, constants)
        fill(first, n, first[:0], lo, ZERO)  # from here on: sums over the steps
        fill(second, n, second[:0], lo, ZERO)
        for t in range(grad.shape[0]):
            sums_row(x[min(t, x.shape[0] - 1), lo : lo + n], g[t], m, first, second)
        add_block(sums[0], channels, lo, n, inner, first)
        add_block(sums[1], channels, lo, n, inner, second)
    fold(sums[0], channels, out[0])
    fold(sums[1], channels, out[1])


@compiled
def add_up(partial):
    """The sum of the chunks' rows [chunks, 2, C], in float64: [2, C]."""
    result = np.zeros(partial.shape[1:], np.float64)
    for chunk in range(partial.shape[0]):
        result += partial[chunk]
    return result


@compiled
def norm_backward_chunk(grad, x, scale, shift, mean, slope, offset, channels, inner, grad_x, constants, start, stop):
    steps = grad.shape[0]
    scales, shifts, means, slopes, offsets = row_buffer(), row_buffer(), row_buffer(), row_buffer(), row_buffer()
    potential, carried = row_buffer(), row_buffer()
    u, g = np.empty((steps, BLOCK), np.float32), np.empty((steps, BLOCK), np.float32)
    for lo in range(start, stop, BLOCK):
        n = min(BLOCK, stop - lo)
        fill(potential, n, potential[:0], lo, constants[4])
        fill(carried, n, carried[:0], lo, ZERO)
        a = block_of(scale, channels, lo, n, inner, scales)
        b = block_of(shift, channels, lo, n, inner, shifts)
        m = block_of(mean, channels, lo, n, inner, means)
        k = block_of(slope, channels, lo, n, inner, slopes)
        d = block_of(offset, channels, lo, n, inner, offsets)
        gradient_block(grad, x, a, b, potential, carried, u, g, 0, lo, n, constants)
        if x.shape[0] < steps:
            for t in range(1, steps):
                add_row(g[t], g[0])
        for t in range(x.shape[0]):
            input_gradient_row(x[t, lo : lo + n], g[t], a, m, k, d, grad_x[t, lo : lo + n])


@parallel
def norm_backward(grad, x, weight, bias, mean, inverse_deviation, of_batch, inner, grad_x, constants):
    """Fill grad_x, summed over the steps where x has one row for all; return the gradients of weight and bias."""
    size, channels = grad.shape[1], mean.shape[0]
    step = chunk_length(size)
    chunks = -(-size // step)
    scale, shift = affine(weight, bias, mean, inverse_deviation)
    a, b, m = per_element(scale, inner), per_element(shift, inner), per_element(mean, inner)
    partial = np.empty((chunks, 2, channels), np.float32)
    for chunk in prange(chunks):
        stop = min(size, (chunk + 1) * step)
        norm_sums_chunk(grad, x, a, b, m, channels, inner, partial[chunk], constants, chunk * step, stop)
    sums = add_up(partial)
    slope, offset = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    if of_batch:
        n = x.size // channels
        for c in range(channels):
            r = np.float64(inverse_deviation[c])
            slope[c] = -scale[c] * r * r * sums[1, c] / n
            offset[c] = -scale[c] * sums[0, c] / n
    k, d = per_element(slope, inner), per_element(offset, inner)
    for chunk in prange(chunks):
        stop = min(size, (chunk + 1) * step)
        norm_backward_chunk(grad, x, a, b, m, k, d, channels, inner, grad_x, constants, chunk * step, stop)
    return (sums[1] * inverse_deviation).astype(np.float32), sums[0].astype(np.float32)


@compiled
def moments_chunk(x, pivot, channels, inner, out, start, stop):
    pivots = row_buffer()
    first, second = row_buffer(), row_buffer()
    sums = np.zeros((2, pivot.shape[0]), np.float32)
    for lo in range(start, stop, BLOCK):
        n = min(BLOCK, stop - lo)
        p = block_of(pivot, channels, lo, n, inner, pivots)
        squares_row(x[lo : lo + n], p, first, second)
        add_block(sums[0], channels, lo, n, inner, first)
        add_block(sums[1], channels, lo, n, inner, second)
    fold(sums[0], channels, out[0])
    fold(sums[1], channels, out[1])


@compiled
def near_mean(x, channels, inner):
    """The mean of each channel over a few pixels: subtracted first, sums of squares lose no digits."""
    pixels = min(64, x.shape[0] // channels if inner == 1 else inner)
    pivot = np.zeros(channels, np.float32)
    for c in range(channels):
        total = ZERO
        for i in range(pixels):
            total += load(x, i * channels + c if inner == 1 else c * inner + i)
        pivot[c] = total / np.float32(pixels)
    return pivot


@parallel
def moments(x, channels, inner):
    """(mean, variance) of each channel of x [N] over its n = N / C values; the variance divides by n."""
    size = x.shape[0]
    step = chunk_length(size)
    partial = np.empty((-(-size // step), 2, channels), np.float32)
    pivot = near_mean(x, channels, inner)
    p = per_element(pivot, inner)
    for chunk in prange(partial.shape[0]):
        moments_chunk(x, p, channels, inner, partial[chunk], chunk * step, min(size, (chunk + 1) * step))
    sums = add_up(partial) / (size // channels)
    variance = np.maximum(sums[1] - sums[0] * sums[0], 0.0)
    return (pivot + sums[0]).astype(np.float32), variance.astype(np.float32)
