"""What the explainers here cost beside captum's bare calls, and FCDD's own map beside the forward pass.

python benchmarks/explaining.py [--batch 16] [--repeats 9] [--threads 1]

Timed in turns; grad-cam includes the upsampling here.
The ratio is the median of the turns' ratios, so that it holds on a noisy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import torch
from captum.attr import (
    LRP,
    DeepLift,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from fcdd_audit.detectors import Detector, build
from fcdd_audit.explainers import make_explainer
from fcdd_audit.explainers.baselines import baseline
from fcdd_audit.explainers.rules import PROPORTIONAL, EpsilonRule

Call = Callable[[], object]


class Scored(nn.Module):
    """A detector as captum's rules want it."""

    def __init__(self, detector: Detector, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers, self.shares = layers, detector.shares

    def forward(self, x: Tensor) -> Tensor:
        return self.shares(self.layers(x)).flatten(1).sum(dim=1)


def rectified(detector: Detector) -> Detector:
    """With plain rectifiers in place of leaky ones."""
    for place, layer in enumerate(detector.features):
        if isinstance(layer, nn.LeakyReLU):
            detector.features[place] = nn.ReLU()
    return detector


def relevance(model: Scored, x: Tensor) -> Tensor:
    for layer in model.modules():
        if isinstance(layer, PROPORTIONAL):
            layer.rule = EpsilonRule()
    return LRP(model).attribute(x.requires_grad_())


def bare_calls(detector: Detector, x: Tensor) -> dict[str, Call]:
    """captum, by the settings that the explainers have by default."""
    layers = detector.layers
    if layers is None:
        raise ValueError("not a stack")
    model, empty, channels = Scored(detector, layers), baseline(x, "mean"), x.shape[1]
    window = round(0.25 * x.shape[-1])
    size, step = (channels, window, window), (channels, window // 2, window // 2)
    image = x.clone().requires_grad_()
    return {
        "grad-cam": lambda: LayerGradCam(detector.score, detector.cam_layer).attribute(x),
        "gradient": lambda: Saliency(detector.score).attribute(image),
        "smooth-grad": lambda: NoiseTunnel(Saliency(detector.score)).attribute(
            image, nt_samples=10, nt_samples_batch_size=1, stdevs=0.1
        ),
        "guided-backprop": lambda: GuidedBackprop(model).attribute(image),
        "input-x-gradient": lambda: InputXGradient(detector.score).attribute(image),
        "integrated-gradients": lambda: IntegratedGradients(detector.score).attribute(
            image, empty, n_steps=16, internal_batch_size=len(x)
        ),
        "occlusion": lambda: Occlusion(detector.score).attribute(
            x, size, step, empty, perturbations_per_eval=8
        ),
        "deep-lift": lambda: DeepLift(model).attribute(image, empty),
        "lrp": lambda: relevance(model, x.clone()),
    }


def in_turns(ours: Call, theirs: Call, repeats: int) -> tuple[float, float, float]:
    """Median seconds of both, and median ratio."""
    pairs = []
    for _ in range(repeats + 1):
        spent = []
        for call in (ours, theirs):
            started = time.perf_counter()
            call()
            spent.append(time.perf_counter() - started)
        pairs.append(spent)
    pairs = pairs[1:]  # the first warms up
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return mine, other, statistics.median(a / b for a, b in pairs)


def show(name: str, found: tuple[float, float, float], count: int) -> None:
    mine, other, ratio = found
    each = 1e3 / count
    print(f"{name:<32} here {mine * each:8.2f}  bare {other * each:8.2f}  ratio {ratio:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    generator = torch.Generator().manual_seed(0)
    print(f"torch {torch.__version__}, {options.threads} thread(s); ms a map")
    images = torch.randint(0, 256, (options.batch, 3, 64, 64), dtype=torch.uint8, generator=generator)
    x = images.float() / 255
    detector = rectified(build("fcdd", images, 0)).eval()
    for name, bare in bare_calls(detector, x).items():
        explain = partial(make_explainer(name, {}).explain, detector, x, generator)
        show(f"{name}, small, 64 px", in_turns(explain, bare, options.repeats), len(x))
    for network, count in (("small", options.batch), ("vgg11", 2)):
        large = torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8, generator=generator)
        model = build("fcdd", large, 0, network=network).eval()
        given = large.float() / 255

        def score(model: Detector = model, given: Tensor = given) -> Tensor:
            with torch.no_grad():
                return model.score(given)

        explain = partial(make_explainer("native", {}).explain, model, given, generator)
        show(f"native, {network}, 224 px", in_turns(explain, score, options.repeats), count)


if __name__ == "__main__":
    main()
