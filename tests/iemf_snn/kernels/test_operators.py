"""What PyTorch sees of the fused operations: one operator for autograd, autocast and torch.compile."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func

from iemf_snn import LIFNode, resnet18
from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import cupy_cuda, operators
from iemf_snn.norm import fuses
from tests.conftest import ROOT

P = list(LIFParameters())


def norm_inputs(memory_format=torch.contiguous_format):
    x = torch.randn(8, 4, 3, 5).contiguous(memory_format=memory_format).requires_grad_()
    weight, bias = torch.rand(4, requires_grad=True), torch.randn(4, requires_grad=True)
    return x, weight, bias, torch.randn(4), torch.rand(4)


@pytest.mark.parametrize("arguments", [
    lambda: (torch.randn(4, 6, requires_grad=True), None),
    lambda: (torch.randn(4, 6, requires_grad=True), torch.randn(6, requires_grad=True)),
    lambda: (torch.randn(4, 2, 5, 3).transpose(2, 3).requires_grad_(), None),
    lambda: (torch.randn(4, 6, dtype=torch.bfloat16, requires_grad=True), torch.randn(6)),
])  # fmt: skip
@pytest.mark.parametrize("keep", [True, False])
def test_lif_is_a_proper_operator(arguments, keep):
    """Schema, fake tensors, autograd registration and compilation, by PyTorch's own checks."""
    torch.library.opcheck(operators.lif, (*arguments(), keep, P))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("repeated", [False, True])
def test_norm_lif_is_a_proper_operator(memory_format, repeated):
    torch.library.opcheck(operators.norm_lif, (*norm_inputs(memory_format), True, 4, repeated, P))
    torch.library.opcheck(operators.channel_moments, (norm_inputs(memory_format)[0].detach(),))


def operators_in_graph(function, *inputs):
    """Names of the operators that torch.compile traced, forward and backward, and the gradient of the first input."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(graph)
        return make_boxed_func(graph)

    torch._dynamo.reset()
    compiled = torch.compile(function, backend=aot_autograd(fw_compiler=backend, bw_compiler=backend), fullgraph=True)
    compiled(*inputs).sum().backward()
    return [str(node.target) for graph in graphs for node in graph.graph.nodes if node.op == "call_function"]


def test_compile_sees_one_operator_each_way():
    x = torch.randn(4, 6, requires_grad=True)
    called = operators_in_graph(lambda x: operators.lif(x * 1, None, True, P)[0] * 2, x)
    assert [name for name in called if name.startswith("iemf")] == ["iemf.lif.default", "iemf.lif_backward.default"]
    compiled, x.grad = x.grad, None
    (operators.lif(x, None, True, P)[0] * 2).sum().backward()
    torch.testing.assert_close(compiled, x.grad)


def test_a_stateless_neuron_with_its_norm_compiles_whole():
    """No graph break in norm, neuron and convolution; the running statistics move as without compilation."""
    torch.manual_seed(0)
    layer = nn.ModuleList([nn.BatchNorm2d(4), LIFNode(stateless=True), nn.Conv2d(4, 2, 3)])
    twin, x = copy.deepcopy(layer), torch.randn(4, 2, 4, 6, 6)

    def run(layer, x):
        norm, neuron, conv = layer
        return conv(neuron(x, norm).flatten(0, 1))

    called = operators_in_graph(lambda x: run(layer, x), x)
    assert [name for name in called if name.startswith("iemf")] == [
        "iemf.channel_moments.default",
        "iemf.norm_lif.default",
        "iemf.norm_lif_backward.default",
    ]
    run(twin, x).sum().backward()
    for ours, theirs in zip(
        [*layer.parameters(), *layer.buffers()], [*twin.parameters(), *twin.buffers()], strict=True
    ):
        torch.testing.assert_close(ours, theirs)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_autocast_hands_bfloat16_through():
    """The convolution's bfloat16 goes in, spikes in bfloat16 come out: nothing is widened in between."""
    neuron, norm, conv = LIFNode(stateless=True), nn.BatchNorm2d(4), nn.Conv2d(3, 4, 3)
    seen = []
    neuron.register_forward_hook(lambda module, inputs, spikes: seen.extend([inputs[0].dtype, spikes.dtype]))
    with torch.autocast("cpu", torch.bfloat16):
        spikes = neuron(conv(torch.randn(8, 3, 6, 6)).unflatten(0, (4, 2)), norm)
    spikes.float().sum().backward()
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert (norm.weight.grad.dtype, conv.weight.grad.dtype) == (torch.float32, torch.float32)


def saved_bytes(run) -> int:
    """What autograd keeps for the backward pass, each memory once."""
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.setdefault(t.untyped_storage().data_ptr(), t.untyped_storage()) and t, lambda t: t
    ):
        result = run()  # keeps the graph, and so the tensors, alive
    return sum(storage.nbytes() for storage in kept.values()) if result.requires_grad else 0


def test_the_input_alone_is_saved():
    x = torch.randn(4, 8, 16, 10, 10)
    size = x.numel() * 4
    leaf = x.clone().requires_grad_()
    assert saved_bytes(lambda: LIFNode(backend="numba")(leaf)) == size
    norm = nn.BatchNorm2d(16)
    fused = saved_bytes(lambda: LIFNode(stateless=True)(leaf, norm))
    apart = saved_bytes(lambda: LIFNode(backend="torch")(leaf, norm))
    assert fused <= size + 4 * 16 * 8  # a few values per channel
    assert apart >= 2 * size


class Counted(nn.BatchNorm2d):
    calls = 0

    def forward(self, x):
        Counted.calls += 1
        return super().forward(x)


@pytest.mark.parametrize(
    ("norm", "stateless"),
    [
        (nn.BatchNorm2d(4), True),  # with a hook on it
        (Counted(4), True),
        (nn.BatchNorm2d(4, affine=False), True),
        (nn.BatchNorm2d(4), False),
        (nn.BatchNorm2d(4).double(), True),
    ],
    ids=["hook", "another class", "no affine", "stateful", "float64"],
)
def test_what_cannot_be_fused_is_computed_apart(request, norm, stateless):
    x = torch.randn(4, 2, 4, 3, 3, dtype=torch.float64 if norm.running_mean.dtype == torch.float64 else torch.float32)
    expected = LIFNode(backend="torch")(copy.deepcopy(norm)(x.flatten(0, 1)).unflatten(0, (4, 2)))
    seen, calls = [], Counted.calls
    if request.node.callspec.id == "hook":
        norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    assert torch.equal(LIFNode(stateless=stateless)(x, norm), expected)
    assert len(seen) == (request.node.callspec.id == "hook")
    assert Counted.calls == calls + (type(norm) is Counted)


def test_a_stateful_neuron_goes_on_where_it_stopped():
    """With a norm too: fused operations start at rest, so they must not be used."""
    x, norm = torch.randn(4, 2, 4, 3, 3), nn.BatchNorm2d(4).eval()
    parts, whole = LIFNode(), LIFNode()
    assert torch.equal(torch.cat([parts(x[:2], norm), parts(x[2:], norm)]), whole(x, norm))
    assert torch.equal(parts.v, whole.v)
    stateless = LIFNode(stateless=True)
    stateless.v = torch.full((2, 4, 3, 3), 0.4)
    assert torch.equal(stateless(x), LIFNode()(x))


def test_norms_that_do_not_fuse():
    assert fuses(nn.BatchNorm2d(4))
    half_way = nn.BatchNorm2d(4)
    half_way.running_var = half_way.running_var.double()
    for norm in (nn.BatchNorm2d(4).double(), nn.SyncBatchNorm(4), nn.BatchNorm2d(4, affine=False), half_way):
        assert not fuses(norm)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda module, inputs, output: None)
    assert not fuses(nn.BatchNorm2d(4))
    handle.remove()


@pytest.mark.parametrize(("shape", "time_steps"), [((4, 2, 8, 3, 3), None), ((2, 1, 3, 3), 4), ((8, 4, 3, 3), None)])
def test_input_that_does_not_fit_the_norm_is_refused(shape, time_steps):
    with pytest.raises(ValueError, match="a norm of 4 channels expects"):
        LIFNode(stateless=True)(torch.randn(shape), nn.BatchNorm2d(4).eval(), time_steps)


def test_statistics_are_kept_as_the_norm_says():
    norm, x = nn.BatchNorm2d(4), torch.randn(4, 2, 4, 3, 3)
    norm.track_running_stats = False
    LIFNode(stateless=True)(x, norm)
    assert norm.running_mean.tolist() == [0] * 4
    assert norm.num_batches_tracked == 0


def test_training_between_forward_and_backward_in_evaluation():
    norm, neuron, x = nn.BatchNorm2d(4).eval(), LIFNode(stateless=True), torch.randn(4, 2, 4, 3, 3)
    first = neuron(x, norm).sum()
    norm.train()
    neuron(x, norm)
    first.backward()
    assert norm.weight.grad.isfinite().all()


def test_an_empty_batch():
    network = resnet18(1, 2).eval()
    assert network(torch.randn(0, 1, 32, 32)).shape == (0, 16)


def test_a_constant_channel_on_cuda_has_no_variance():
    """What batch_norm_stats gives there, by the reading of its source, is an inverse deviation of 0."""
    assert cupy_cuda.variance_of(torch.tensor([0.0, 0.5])).tolist() == [0, 4]


def test_tensors_of_two_devices_are_refused():
    x = torch.randn(8, 4, 3, 3)
    tables = [torch.ones(4, device=device) for device in ("cpu", "meta")]
    with pytest.raises(RuntimeError, match="expected all tensors on cpu, got one on meta"):
        cupy_cuda._launch("norm_lif_forward", (1, 1), (256, 1), x, 4, 1, (x, *tables), LIFParameters())


def test_a_monitored_neuron_shows_its_potentials():
    norm, neuron, x = nn.BatchNorm2d(4), LIFNode(stateless=True), torch.randn(4, 2, 4, 3, 3)
    neuron.store_v_seq = True
    spikes = neuron(x, norm)
    assert neuron.v_seq.shape == x.shape
    assert (neuron.v_seq[spikes == 1] == 0).all()


def test_a_single_value_per_channel_is_refused_in_training():
    with pytest.raises(ValueError, match="more than one value per channel"):
        LIFNode(stateless=True)(torch.randn(1, 1, 4, 1, 1), nn.BatchNorm2d(4))
    assert LIFNode(stateless=True)(torch.randn(1, 1, 4, 1, 1), nn.BatchNorm2d(4).eval()).shape == (1, 1, 4, 1, 1)


def test_the_same_bits_with_any_number_of_threads():
    """Chunks do not depend on the threads, so neither do the sums."""
    torch.manual_seed(0)
    inputs = norm_inputs()
    x = torch.randn(32, 4, 40, 40)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            leaf = x.clone().requires_grad_()
            moments = operators.channel_moments(x)
            spikes = operators.norm_lif(leaf, *inputs[1:], True, 4, False, P)
            results.append((*moments, *torch.autograd.grad(spikes, (leaf, *inputs[1:3]), x)))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_torch_keeps_its_number_of_threads():
    """Numba's first launch in a process sets OpenMP's number of threads, which torch reads."""
    code = (
        "import torch; from iemf_snn import LIFNode; torch.set_num_threads(1)\n"
        "LIFNode(backend='numba')(torch.randn(4, 100_000)); print(torch.get_num_threads())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.split() == ["1"]


def test_networks_of_either_backend_train_alike():
    """A backward pass through all of ResNet-18, in channels_last, fused and by the reference. Rounding may flip a spike
    here and there, so it is the direction of the gradient that must be the same."""
    gradients = []
    for backend in ("auto", "torch"):
        torch.manual_seed(0)
        network = resnet18(2, 4, backend=backend).to(memory_format=torch.channels_last)
        x = torch.randn(16, 2, 64, 64).contiguous(memory_format=torch.channels_last)
        network(x).square().sum().backward()
        gradients.append([p.grad.flatten() for p in network.parameters()])
    for fused, apart in zip(*gradients, strict=True):
        assert torch.cosine_similarity(fused, apart, dim=0) > 0.98


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_cuda_equals_cpu(dtype, memory_format):
    pytest.importorskip("cupy")
    torch.manual_seed(0)
    x = torch.randn(32, 24, 14, 14).contiguous(memory_format=memory_format).to(dtype)
    results = []
    for device in ("cpu", "cuda"):
        norm, leaf = nn.BatchNorm2d(24).to(device), x.to(device).requires_grad_()
        neuron = LIFNode(stateless=True, backend="cupy" if device == "cuda" else "torch")
        spikes = neuron(leaf.unflatten(0, (4, 8)), norm)
        spikes.float().square().mul(
            torch.linspace(-1, 1, spikes.numel(), device=device).view_as(spikes)
        ).sum().backward()
        results.append(
            [t.float().cpu() for t in (spikes, leaf.grad, norm.weight.grad, norm.bias.grad, norm.running_var)]
        )
    assert (results[0][0] != results[1][0]).float().mean() < 1e-3  # potentials within rounding of the threshold
    tolerance = 2e-2 if dtype != torch.float32 else 1e-3
    for cpu, cuda in list(zip(*results, strict=True))[1:]:
        assert (cpu - cuda).norm() <= tolerance * cpu.norm()


@pytest.mark.gpu
def test_kernels_run_in_a_cuda_graph_on_the_current_stream():
    pytest.importorskip("cupy")
    norm, neuron = nn.BatchNorm2d(8).cuda(), LIFNode(stateless=True, backend="cupy")
    x = torch.randn(4, 2, 8, 6, 6, device="cuda", requires_grad=True)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            torch.autograd.grad(neuron(x, norm).sum(), x)
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        spikes = neuron(x, norm)
        (gradient,) = torch.autograd.grad(spikes.sum(), x)
    with torch.no_grad():
        x.copy_(torch.randn_like(x))
    graph.replay()
    expected = neuron(x, norm)
    assert torch.equal(spikes, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), x)[0])


@pytest.mark.gpu
def test_no_step_waits_for_the_device():
    pytest.importorskip("cupy")
    norm, neuron = nn.BatchNorm2d(8).cuda(), LIFNode(stateless=True, backend="cupy")
    x = torch.randn(4, 2, 8, 6, 6, device="cuda", requires_grad=True)
    neuron(x, norm).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        neuron(x, norm).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
