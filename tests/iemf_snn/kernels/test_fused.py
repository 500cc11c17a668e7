"""The fused operations against the pure functions: spikes bit for bit, gradients to rounding."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import numba_cpu, operators, torch_reference

# The fixture only says which implementation runs; nothing in it changes from example to example.
many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
STEPS = st.sampled_from([1, 2, 3, 4, 8])
PARAMETERS = st.builds(
    LIFParameters,
    tau=st.sampled_from([1.5, 2.0, 3.0, 4.0]),
    v_threshold=st.sampled_from([0.5, 1.0]),
    v_reset=st.sampled_from([0.0, -0.1, 0.2]),
    decay_input=st.booleans(),
    alpha=st.sampled_from([1.0, 2.0]),
)


def dtypes(implementation):
    return [torch.float32, torch.bfloat16] + ([] if implementation is numba_cpu else [torch.float16])


def leaf(tensor):
    return None if tensor is None else tensor.clone(memory_format=torch.preserve_format).requires_grad_()


def same(actual, expected):
    """Equal, NaN to NaN; gradients to 1e-6 of the largest, which half precision rounds further."""
    tolerance = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}[actual.dtype]
    finite = expected[expected.isfinite()].abs()
    scale = max(1.0, finite.max().item()) if finite.numel() else 1.0
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@many
@given(data=st.data(), steps=STEPS, size=st.integers(1, 70), p=PARAMETERS, seed=st.integers(0, 2**31))
def test_lif_is_the_reference_on_any_input(implementation, data, steps, size, p, seed):
    torch.manual_seed(seed)
    dtype = data.draw(st.sampled_from(dtypes(implementation)), "dtype")
    offset = data.draw(st.integers(0, 3), "offset")  # in elements: what the start of a vector load may not be
    x = torch.randn(steps * size + offset)[offset:].view(steps, size)
    for special in (math.inf, -math.inf, math.nan, p.v_threshold, 3e38, 1e-40):
        x[torch.rand(steps, size) < 0.03] = special
    x = torch.empty(steps * size + offset, dtype=dtype)[offset:].view(steps, size).copy_(x)
    v = torch.randn(size) if data.draw(st.booleans(), "v") else None
    grad = torch.randn(steps, size).to(dtype)
    grad_v = torch.randn(size) if data.draw(st.booleans(), "gradient of u[T]") else None

    xs, vs = (leaf(x), leaf(x)), (leaf(v), leaf(v))
    results = operators.lif(xs[0], vs[0], True, list(p)), torch_reference.run(xs[1], vs[1], p)
    for spikes, last in results:
        outputs = [(spikes, grad)] + ([(last, grad_v)] if grad_v is not None else [])
        torch.autograd.backward(*zip(*outputs, strict=True))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1].nan_to_num(7), results[1][1].nan_to_num(7))
    same(xs[0].grad, xs[1].grad)
    if v is not None:
        same(vs[0].grad, vs[1].grad)


def test_a_potential_exactly_at_threshold_fires(implementation):
    x = torch.tensor([[0.25, 0.5, 0.49999997, 0.0], [0.375, 0.0, 0.2, 0.5]])
    spikes, v = operators.lif(x.repeat(1, 5), None, True, list(LIFParameters()))
    assert spikes[:, :4].tolist() == [[0, 1, 0, 0], [1, 0, 0, 1]]
    assert v[:4].tolist() == [0, 0, pytest.approx(0.45), 0]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "time inside", "every other", "expanded"])
def test_lif_takes_any_memory_format(implementation, layout):
    x = {
        "contiguous": lambda: torch.randn(4, 2, 3, 5, 4),
        "channels_last": lambda: torch.randn(8, 3, 5, 4).to(memory_format=torch.channels_last).unflatten(0, (4, 2)),
        "time inside": lambda: torch.randn(2, 3, 4, 5).movedim(2, 0),
        "every other": lambda: torch.randn(4, 2, 3, 10)[..., ::2],
        "expanded": lambda: torch.randn(2, 3, 5).expand(4, 2, 3, 5),
    }[layout]()
    v, grad = torch.randn_like(x[0]), torch.randn(x.shape)
    xs = x.detach().requires_grad_(), x.detach().requires_grad_()
    results = operators.lif(xs[0], v, True, list(LIFParameters())), torch_reference.run(xs[1], v, LIFParameters())
    for spikes, _ in results:
        spikes.backward(grad)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    same(xs[0].grad, xs[1].grad)
    if layout == "channels_last":
        assert results[0][0].stride() == x.stride()


def test_potentials_that_nobody_keeps_change_nothing_else(implementation):
    x, grad = torch.randn(4, 37), torch.randn(4, 37)
    results = []
    for keep in (True, False):
        leaf_x = leaf(x)
        spikes, v = operators.lif(leaf_x, None, keep, list(LIFParameters()))
        spikes.backward(grad)
        assert v.numel() == (37 if keep else 0)
        results.append((spikes.detach(), leaf_x.grad))
    assert all(map(torch.equal, *results))


def test_nothing_in_nothing_out(implementation):
    spikes, v = operators.lif(torch.empty(4, 0, requires_grad=True), None, True, list(LIFParameters()))
    spikes.sum().backward()
    assert (spikes.shape, v.shape) == ((4, 0), (0,))


@st.composite
def images(draw, time_steps, repeated):
    """x [T·B, C, H, W], or [B, C, H, W], in either memory format."""
    batch, channels = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 4, 8, 16]))
    height, width = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 4, 8]))
    x = torch.randn(batch * (1 if repeated else time_steps), channels, height, width) * 2 + 0.3
    return x.contiguous(memory_format=draw(st.sampled_from([torch.contiguous_format, torch.channels_last])))


@many
@given(data=st.data(), time_steps=STEPS, repeated=st.booleans(), of_batch=st.booleans(), p=PARAMETERS,
       seed=st.integers(0, 2**31))  # fmt: skip
def test_norm_lif_is_the_norm_and_then_the_reference(implementation, data, time_steps, repeated, of_batch, p, seed):
    """z is rounded as the kernels round it, so that the spikes agree bit for bit; the gradient goes through it."""
    torch.manual_seed(seed)
    dtype = data.draw(st.sampled_from(dtypes(implementation)), "dtype")
    x = data.draw(images(time_steps, repeated), "x").to(dtype)
    channels, n = x.shape[1], x.numel() // x.shape[1]
    weight, bias = torch.rand(channels) + 0.3, torch.randn(channels) / 2
    wide = x.double()
    variance, mean = (torch.var_mean(wide, (0, 2, 3), correction=0)) if of_batch else (weight.double(), bias.double())
    mean, inverse = mean.float(), (variance + 1e-5).rsqrt().float()

    ours = leaf(x), leaf(weight), leaf(bias)
    spikes = operators.norm_lif(*ours, mean, inverse, of_batch, time_steps, repeated, list(p))
    grad = torch.randn(spikes.shape).to(dtype)
    spikes.backward(grad)

    scale = (weight * inverse).view(-1, 1, 1)
    z = leaf(x.float() * scale + (bias - mean * (weight * inverse)).view(-1, 1, 1))
    over_time = z.expand(time_steps, *z.shape) if repeated else z.unflatten(0, (time_steps, -1))
    expected, _ = torch_reference.run(over_time, None, p)
    assert torch.equal(spikes, expected.flatten(0, 1).to(dtype))
    assert spikes.is_contiguous() or spikes.is_contiguous(memory_format=torch.channels_last)

    expected.backward(grad.float().view(expected.shape))
    theirs = leaf(wide), leaf(weight.double()), leaf(bias.double())
    if of_batch:
        variance, mean = torch.var_mean(theirs[0], (0, 2, 3), correction=0)
    column = (slice(None), None, None)
    normalised = (theirs[0] - mean.double()[column]) * (variance.double()[column] + 1e-5).rsqrt()
    (normalised * theirs[1][column] + theirs[2][column]).backward(z.grad.double())
    tolerance = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    if of_batch and n > 1 and variance.min() < 1e-3:
        return  # a nearly constant channel: the gradient is the difference of huge numbers
    for actual, right in zip(ours, theirs, strict=True):
        scale = max(1.0, right.grad.abs().max().item())
        torch.testing.assert_close(actual.grad.double(), right.grad, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_fused_neuron_is_the_two_modules(implementation, training, repeated, momentum):
    """Output, gradients and running statistics of two steps of training, then of evaluation."""
    from iemf_snn import LIFNode

    torch.manual_seed(0)
    shape = (6, 5, 4, 4) if repeated else (4, 6, 5, 4, 4)
    results = []
    for backend, stateless in (("auto", True), ("torch", False)):
        torch.manual_seed(1)
        norm = nn.BatchNorm2d(5, momentum=momentum)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
        neuron = LIFNode(backend=backend, stateless=stateless)
        for _ in range(2):
            x = torch.randn(shape).requires_grad_()
            neuron(x, norm, 4 if repeated else None)
            neuron.reset()
        norm.train(training)
        spikes = neuron(x, norm, 4 if repeated else None)
        (spikes * torch.linspace(-1, 1, spikes.numel()).view(spikes.shape)).sum().backward()
        buffers = [buffer.double() for buffer in norm.buffers()]
        results.append([spikes, x.grad, norm.weight.grad, norm.bias.grad, *buffers])
    for fused, apart in zip(*results, strict=True):
        torch.testing.assert_close(fused, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_moments(memory_format, mean):
    """A mean far above the deviation costs no digits."""
    torch.manual_seed(0)
    x = (torch.randn(30, 7, 9, 11) + mean).contiguous(memory_format=memory_format)
    variance, centre = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    actual = operators.channel_moments(x)
    torch.testing.assert_close(actual[0].double(), centre, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(actual[1].double(), variance, rtol=1e-5, atol=0)
