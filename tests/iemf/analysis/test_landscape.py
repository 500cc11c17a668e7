"""The surroundings of a minimum: on functions whose landscape, sharpness and Hessian are known, and on networks."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

import iemf_snn
from iemf.analysis import hessian, landscape, sharpness
from iemf.analysis.objective import Objective, flat


def quadratic(eigenvalues, at, slope=None):
    """L = Σ λ_i·w_i²/2 + slope·w at ``at``, and its parameter."""
    weight = nn.Parameter(torch.tensor(at, dtype=torch.float64))
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    slope = torch.zeros_like(values) if slope is None else torch.tensor(slope, dtype=torch.float64)
    return Objective([lambda: (values * weight**2).sum() / 2 + slope @ weight], [weight]), weight


@pytest.fixture
def tiny():
    """A convolution, a norm and a linear layer on 12 samples, in two parts; (network, objective over all of it)."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).double()
    x, y = torch.randn(12, 1, 4, 4, dtype=torch.float64), torch.arange(12) % 3
    network(x)  # running statistics that are not those of the beginning
    network.eval()
    parts = [lambda rows=rows: F.cross_entropy(network(x[rows]), y[rows], reduction="sum") / 12
             for rows in (slice(0, 5), slice(5, 12))]  # fmt: skip
    return network, Objective(parts, network.parameters())


@pytest.fixture
def spiking():
    """(encoder and a linear layer on it, objective): its operators have no second derivative."""
    torch.manual_seed(0)
    network = nn.Sequential(iemf_snn.resnet18(1, 2, time_steps=2, stem="3x3"), nn.Linear(16, 3)).eval()
    x = torch.randn(6, 1, 8, 8)
    return network, Objective([lambda: F.cross_entropy(network(x), torch.arange(6) % 3)], network.parameters())


def bits(network):
    return [t.detach().contiguous().view(-1).view(torch.uint8).clone() for t in network.state_dict().values()]


# Directions and landscape --------------------------------------------------------------------------------------------


def test_each_filter_of_a_direction_has_the_norm_of_the_weights_filter():
    weights = [torch.tensor([[[[3.0, 4.0]]], [[[0.0, 0.0]]]]), torch.tensor([[0.0, 2.0], [5.0, 12.0]]), torch.ones(2)]
    drawn = [torch.tensor([[[[1.0, 0.0]]], [[[7.0, 1.0]]]]), torch.tensor([[3.0, 4.0], [0.0, 0.5]]), torch.ones(2)]
    kernel, rows, bias = landscape.filter_normalised(drawn, weights)
    assert kernel.tolist() == [[[[5.0, 0.0]]], [[[0.0, 0.0]]]]
    torch.testing.assert_close(rows, torch.tensor([[1.2, 1.6], [0.0, 13.0]]))
    assert bias.tolist() == [0.0, 0.0]  # biases and norms stay


def test_two_networks_are_looked_at_along_the_same_random_numbers(tiny):
    network, _ = tiny
    twin = copy.deepcopy(network)
    with torch.no_grad():
        twin[0].weight *= 3
    ours, theirs = (landscape.random_directions(list(n.parameters()), 2, seed=5) for n in (network, twin))
    convolution = network[0].weight.numel()
    for d, e in zip(ours, theirs, strict=True):
        torch.testing.assert_close(e[:convolution], 3 * d[:convolution])
        torch.testing.assert_close(e[convolution:], d[convolution:])
    assert abs(float(F.cosine_similarity(*ours, dim=0))) < 0.6
    assert not torch.equal(ours[0], landscape.random_directions(list(network.parameters()), 1, seed=6)[0])


def test_the_landscape_of_a_quadratic_is_the_quadratic():
    objective, _ = quadratic([2.0, 6.0], [1.0, 0.0])
    first, second = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()
    assert landscape.line(objective, first, [-1.0, 0.0, 1.0]) == [0.0, 1.0, 4.0]
    # (1 + a)² + 3·b²: rows are a
    assert landscape.plane(objective, (first, second), [-1.0, 0.0, 1.0]) == [[3, 0, 3], [4, 1, 4], [7, 4, 7]]


def test_at_the_origin_stands_the_loss_and_the_weights_are_restored_bit_for_bit(tiny):
    network, objective = tiny
    network[4].bias.data[0] = -0.0
    before, loss = bits(network), objective.value()
    directions = landscape.random_directions(objective.parameters, 2, seed=0)
    along = landscape.steps(0.7, 5)
    assert along == [-0.7, -0.35, 0.0, 0.35, 0.7]
    assert landscape.line(objective, directions[0], along)[2] == loss
    values = landscape.plane(objective, directions, along)
    assert values[2][2] == loss
    assert values[2][3] != loss != values[3][2]
    assert all(torch.equal(a, b) for a, b in zip(before, bits(network), strict=True))


@pytest.mark.parametrize("look", [
    lambda o: landscape.line(o, o.vector(), [0.5, 1.0, 1.5]),
    lambda o: sharpness.sharpness(o, [0.5, 1.0]),
    lambda o: hessian.top_eigenvalues(o, 1, 3, "differences"),
])  # fmt: skip
def test_the_weights_are_restored_when_the_loss_fails(look):
    weight, calls = nn.Parameter(torch.tensor([-0.0, 3.0])), []

    def loss():
        calls.append(weight.detach().clone())
        if len(calls) == 3:
            raise RuntimeError("broken")
        return (weight**2).sum()

    with pytest.raises(RuntimeError, match="broken"):
        look(Objective([loss], [weight]))
    assert any(not torch.equal(seen, weight) for seen in calls)
    assert weight.tolist() == [0.0, 3.0]
    assert math.copysign(1, weight.tolist()[0]) == -1
    assert weight.grad is None


@pytest.mark.parametrize("wrong", [(1.0, 4), (1.0, 1), (0.0, 5), (math.inf, 5)])
def test_steps_have_a_middle(wrong):
    with pytest.raises(ValueError, match="odd number"):
        landscape.steps(*wrong)


def test_what_makes_no_objective_is_refused():
    weight = nn.Parameter(torch.ones(1), requires_grad=False)
    with pytest.raises(ValueError, match="1 of the 1 parameters are frozen"):
        Objective([weight.sum], [weight])
    with pytest.raises(ValueError, match="need parts and parameters, got 0 and 1"):
        Objective([], [weight])


def test_a_gradient_is_that_of_all_parts(tiny):
    network, objective = tiny
    value, gradient = objective.gradient()
    sum(part() for part in objective.parts).backward()
    torch.testing.assert_close(gradient, flat(p.grad for p in network.parameters()))
    assert value == pytest.approx(objective.value(), rel=1e-12)


# Sharpness -----------------------------------------------------------------------------------------------------------


def test_sharpness_of_a_quadratic_at_its_minimum_is_the_closed_form():
    """max λ·ε²/2 over the ball is λ_max·ρ²/2; there is no gradient to begin with."""
    objective, weight = quadratic([3.0, 8.0, 1.0], [0.0, 0.0, 0.0])
    radii = [0.5, 0.0, 0.1, 2.0]
    assert sharpness.sharpness(objective, radii) == pytest.approx([4 * r**2 for r in radii], rel=1e-6)
    assert weight.tolist() == [0.0, 0.0, 0.0]


def test_sharpness_of_a_quadratic_on_its_slope_is_the_closed_form():
    """Equal curvatures and the gradient λ·w: the best ε points along it, λ·|w|·ρ + λ·ρ²/2."""
    objective, _ = quadratic([2.0, 2.0], [3.0, 4.0])
    radii = [0.1, 1.0]
    assert sharpness.sharpness(objective, radii, chains=1) == pytest.approx([10 * r + r**2 for r in radii], rel=1e-9)


def test_sharpness_of_a_linear_loss_is_the_slope_times_the_radius():
    objective, _ = quadratic([0.0, 0.0], [1.0, 1.0], slope=[0.6, -0.8])
    assert sharpness.sharpness(objective, [0.5, 3.0]) == pytest.approx([0.5, 3.0])


def test_where_the_gradient_misleads_a_second_chain_finds_more():
    """The slope leads along a flat direction; the steep one is across, and on the axis ascent does not see it."""
    objective, _ = quadratic([1.0, 100.0], [0.5, 0.0])
    one, two = (sharpness.sharpness(objective, [1.0], chains=chains)[0] for chains in (1, 2))
    assert one == pytest.approx(0.5 + 0.5)
    assert two > 50


def test_sharpness_is_never_negative_and_never_falls_with_the_radius(tiny):
    network, objective = tiny
    before = bits(network)
    radii = [0.0, 0.01, 0.1, 0.3, 1.0, 3.0]
    found = sharpness.sharpness(objective, radii, ascent_steps=3, chains=1)
    assert found[0] == 0
    assert found == sorted(found)
    assert found[1] > 0
    assert sharpness.sharpness(objective, radii[::-1], ascent_steps=3, chains=1) == found[::-1]
    assert all(torch.equal(a, b) for a, b in zip(before, bits(network), strict=True))


def test_at_a_maximum_the_loss_cannot_rise():
    objective, _ = quadratic([-1.0, -2.0], [0.0, 0.0])
    assert sharpness.sharpness(objective, [0.1, 1.0]) == [0.0, 0.0]


@pytest.mark.parametrize("wrong", [{"radii": [-1.0]}, {"radii": [math.nan]}, {"ascent_steps": 0}, {"chains": 0}])
def test_sharpness_out_of_range(wrong):
    with pytest.raises(ValueError, match="got"):
        sharpness.sharpness(quadratic([1.0], [0.0])[0], **{"radii": [1.0]} | wrong)


# Hessian -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def known():
    """(objective of a linear layer behind tanh, its Hessian [n, n] computed entry by entry by torch)."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 2
    objective = Objective([lambda: F.cross_entropy(network(x), y)], network.parameters())
    names = [name for name, _ in network.named_parameters()]

    def loss(vector):
        weights = dict(zip(names, objective.unflattened(vector), strict=True))
        return F.cross_entropy(functional_call(network, weights, (x,)), y)

    return objective, torch.autograd.functional.hessian(loss, objective.vector())


@pytest.mark.parametrize("products", hessian.PRODUCTS)
def test_lanczos_finds_the_eigenvalues_of_the_dense_hessian(known, products):
    objective, dense = known
    wanted = torch.linalg.eigvalsh(dense).flip(0)
    found = hessian.top_eigenvalues(objective, 4, iterations=26, products=products, distance=1e-4)
    assert found.eigenvalues == pytest.approx(wanted[:4].tolist(), rel=1e-5)
    assert found.products == products
    assert found.asymmetry < 1e-6
    assert found.change < 1e-6


def test_products_are_those_of_the_dense_hessian(known):
    objective, dense = known
    vector = torch.randn(26, dtype=torch.float64)
    torch.testing.assert_close(hessian.by_double_backward(objective, vector), dense @ vector)
    torch.testing.assert_close(hessian.by_differences(objective, vector, 1e-3), dense @ vector, rtol=1e-5, atol=1e-6)


def test_the_hessian_of_several_parts_is_that_of_their_sum(tiny):
    _, objective = tiny
    vector = torch.randn_like(objective.vector())
    exact = hessian.by_double_backward(objective, vector)
    torch.testing.assert_close(exact, hessian.by_differences(objective, vector, 1e-4), rtol=1e-5, atol=1e-6)


def test_no_eigenvalue_is_found_twice():
    """Without reorthogonalisation, Lanczos repeats the first ones long before the 20th iteration."""
    values = [100.0, 10.0, *torch.linspace(0, 1, 58).tolist()]
    objective, _ = quadratic(values, [0.0] * 60)
    found = hessian.top_eigenvalues(objective, 3, iterations=40)
    assert found.eigenvalues == pytest.approx([100, 10, 1], rel=1e-3)


def test_a_space_that_is_used_up_ends_the_search():
    objective, _ = quadratic([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    found = hessian.top_eigenvalues(objective, 1, iterations=3)
    assert (found.iterations, found.eigenvalues) == (1, pytest.approx([2.0]))
    linear, _ = quadratic([0.0, 0.0], [1.0, 1.0], slope=[1.0, 2.0])
    assert hessian.top_eigenvalues(linear, 1).eigenvalues == [0.0]


def test_spiking_operators_have_no_second_derivative_and_say_so(spiking):
    _, objective = spiking
    with pytest.raises(RuntimeError, match=r"no autograd formula|once_differentiable"):
        hessian.top_eigenvalues(objective, 1, 2)


def test_of_a_spiking_network_differences_tell_how_far_they_are_from_a_hessian(spiking):
    network, objective = spiking
    before = bits(network)
    found = hessian.top_eigenvalues(objective, 2, 6, "differences", distance=0.1)
    assert found.products == "differences"
    assert found.asymmetry > 1e-3
    assert all(torch.equal(a, b) for a, b in zip(before, bits(network), strict=True))
    # The layer behind the last neuron is smooth, so there both ways agree.
    readout = Objective(objective.parts, network[1].parameters())
    exact = hessian.top_eigenvalues(readout, 2)
    assert exact.asymmetry < 1e-4
    near = hessian.top_eigenvalues(readout, 2, products="differences", distance=0.05).eigenvalues
    assert near == pytest.approx(exact.eigenvalues, rel=0.02)


@pytest.mark.parametrize("wrong", [{"products": "guess"}, {"count": 0}, {"count": 5}, {"distance": 0.0}])
def test_a_search_out_of_range(wrong):
    with pytest.raises(ValueError, match="got"):
        hessian.top_eigenvalues(quadratic([1.0, 2.0], [0.0, 0.0])[0], **wrong)
