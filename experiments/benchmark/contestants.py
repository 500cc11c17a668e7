"""What experiments.benchmark times: one contestant a process, which does a repetition whenever it is told to.

python -m experiments.benchmark.contestants '{"what": "lif", "name": "numba", ...}' reads a line for every repetition
and answers with one of JSON; so libraries that cannot live in one process (two versions of SpikingJelly) take turns in
one run.
"""

import importlib.metadata
import itertools
import json
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def contestant(name: str, job: dict):
    """A function without arguments: one repetition."""
    device = torch.device(job["device"])
    return (lif if job["what"] == "lif" else step)(name, job, device)


def lif(name: str, job: dict, device: torch.device):
    """Forward and backward of a multi-step LIF on random input of the given shape."""
    dtype = DTYPES[job["dtype"]]
    x = torch.randn(job["shape"]).to(device, dtype)
    if name == "copy":
        target = torch.empty_like(x)
        return lambda: target.copy_(x)
    node, grad = multi_step(name, x), torch.randn_like(x)
    leaf = x.requires_grad_()

    def repetition() -> None:
        leaf.grad = None
        node(leaf).backward(grad)

    return repetition


def multi_step(name: str, x: Tensor):
    """[T, ...] -> spikes [T, ...] of the neuron of Eq. 3, or the nearest that a library has."""
    if name in ("numba", "cupy", "torch"):
        from iemf_snn import LIFNode

        return LIFNode(backend=name, stateless=True)
    if name.endswith("compiled"):
        from experiments.benchmark import compiled

        return compiled.neuron(name, x)
    if name.startswith("spikingjelly"):
        from iemf_snn.functional import LIFParameters
        from iemf_snn.kernels.spikingjelly_node import plain_node

        def fresh(x: Tensor) -> Tensor:
            return plain_node(LIFParameters(), cuda=x.is_cuda)(x)

        return fresh
    if name == "snntorch":
        import snntorch

        neuron = snntorch.Leaky(beta=0.5, threshold=0.5, reset_mechanism="zero", reset_delay=False).to(x.device)
        return lambda x: over_time(neuron, x, neuron.init_leaky())
    if name == "norse":
        from norse.torch.functional.lif_box import LIFBoxParameters
        from norse.torch.module.lif_box import LIFBoxCell

        parameters = LIFBoxParameters(tau_mem_inv=torch.as_tensor(500.0), v_th=torch.as_tensor(0.5))  # dt = 1 ms
        cell = LIFBoxCell(parameters).to(x.device)
        return lambda x: over_time(cell, x, None)
    raise ValueError(f"no contestant {name!r}")


def over_time(cell: nn.Module, x: Tensor, state: object) -> Tensor:
    """Spikes [T, ...] of a neuron that is called once a step."""
    spikes = []
    for step in x:
        spike, state = cell(step, state)
        spikes.append(spike)
    return torch.stack(spikes)


def step(name: str, job: dict, device: torch.device):
    """The loop's training step of an audio-visual classifier with joint losses, ξ and SGD; sound [1, S, S], image
    [3, S, S]."""
    import iemf_ann
    import iemf_snn
    from experiments.sweep.accelerator import accelerated
    from iemf.balance.concat import Concat
    from iemf.classification.stage import ClassificationStage
    from iemf.data.base import AudioVisualData, Batch, KeepInputs
    from iemf.fusion import ConcatFusion
    from iemf.modulation import InverseEffectiveness
    from iemf.network import AudioVisualNetwork
    from iemf.training import Step

    torch.manual_seed(0)
    batch, side, width, classes = job["batch_size"], job["image_size"], job["width"], 6

    def encoder(channels: int) -> nn.Module:
        if name.startswith("ann"):
            return iemf_ann.resnet18(channels, width)
        if name.endswith("compiled"):
            from experiments.benchmark import compiled

            return compiled.encoder(name, channels, width, job["time_steps"])
        return iemf_snn.resnet18(channels, width, job["time_steps"], backend=name.split()[0])

    class Timed(InverseEffectiveness):
        """Says how long ξ takes, computed and applied."""

        seconds = 0.0

        def measure(self, *args):
            wait(device)
            self.began = time.perf_counter()
            return super().measure(*args)

        def apply(self, xi: Tensor) -> None:
            super().apply(xi)
            wait(device)
            self.seconds = time.perf_counter() - self.began

    fusion = ConcatFusion(8 * width, classes)
    network = AudioVisualNetwork(encoder(1), encoder(3), fusion, 8 * width, classes, True).to(device)
    # Open as long as the repetition can be called: dropped, the context would close at once.
    context = accelerated("bf16" if name.endswith("bf16") else "fp32", cpu=device.type == "cpu")
    accelerator = context.__enter__()
    effect = Timed(fusion.parameters())
    sound, image = torch.randn(batch, 1, side, side, device=device), torch.randn(batch, 1, 3, side, side, device=device)
    labels = torch.randint(classes, (batch,), device=device)
    splits = dict.fromkeys(("train", "val", "test"), range(batch))  # nothing is read
    data = AudioVisualData(
        "random", tuple("abcdef"), audio_channels=1, visual_channels=3, front_end=KeepInputs(), **splits
    )
    stage = ClassificationStage(network, Concat(network), data, batch, 0, accelerator)
    prepared, optimizer = accelerator.prepare(network, torch.optim.SGD(network.parameters(), lr=1e-3))
    one = Step(stage, prepared, optimizer, accelerator, effect)

    def repetition() -> dict:
        one(Batch(sound, image, labels), 0)
        return {"iemf_seconds": effect.seconds}

    repetition.context = context
    return repetition


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """The most that the tensors of one more repetition hold at a time, beyond those that were there before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = itertools.accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held, default=0)


def version(name: str) -> str:
    """The version of the library that a contestant comes from."""
    package = {"copy": "torch", "ann": "torch", "plain": "torch"}.get(name.split()[0], name.split()[0])
    if package.startswith("spikingjelly"):
        package = "spikingjelly"
    elif package not in ("snntorch", "norse", "torch"):
        package = "iemf"
    return f"{package} {importlib.metadata.version(package)}"


def main(job: dict) -> None:
    """Answer every line of standard input with the seconds of one repetition."""
    from experiments.sweep.allocator import keep_freed_memory

    device = torch.device(job["device"])
    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    if job["keep_freed_memory"]:
        keep_freed_memory()
    run, began = contestant(job["name"], job), time.perf_counter()
    run()
    wait(device)
    first = {"first_seconds": time.perf_counter() - began}  # compiles, or reads what was compiled
    about = {"version": version(job["name"]), "threads": torch.get_num_threads(), "torch": torch.__version__}
    answer(about | first | {"peak_bytes": peak_bytes(run, device)})
    for _ in sys.stdin:
        for _ in range(job["warm"]):  # the others have had the caches meanwhile
            run()
        answers = [timed(run, device) for _ in range(job["timed"])]
        answer({key: [each[key] for each in answers] for key in answers[0]})


def timed(run: Callable[[], object], device: torch.device) -> dict[str, float]:
    """One repetition: its seconds, and what it says of itself."""
    wait(device)
    began = time.perf_counter()
    more = run()
    wait(device)
    return {"seconds": time.perf_counter() - began, **(more if isinstance(more, dict) else {})}


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def answer(content: dict) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
