"""What stands for "nothing there" where an explanation takes something away."""

from __future__ import annotations

from torch import Tensor

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest

BASELINES = ("mean", "black", "blur")
BLUR_SHARE = 1 / 8  # sigma, of the smaller side: nothing of a mark's size stays


def baseline(x: Tensor, kind: str) -> Tensor:
    """Images without content, like x, (N, C, H, W) in [0, 1].

    kind: mean (each image's own mean colour), black, or blur (the image, blurred beyond recognition).
    """
    check_baseline(kind)
    if kind == "black":
        return x.new_zeros(()).expand_as(x).clone()
    if kind == "blur":
        return blurred(x, BLUR_SHARE * min(x.shape[-2:]))
    return x.mean(dim=(2, 3), keepdim=True).expand_as(x).clone()


def check_baseline(kind: str) -> None:
    """InputError for an unknown one."""
    if kind not in BASELINES:
        raise InputError(
            f"baseline is '{kind}'{suggest(kind, list(BASELINES))} (known: {', '.join(BASELINES)})"
        )


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Images (N, C, H, W) after a Gaussian of `sigma` pixels, cut at two sigma or the image's side."""
    from torchvision.transforms.v2.functional import gaussian_blur  # takes more than a second to import

    reach = min(int(2 * sigma), min(x.shape[-2:]) - 1)
    return gaussian_blur(x, [2 * reach + 1] * 2, [sigma] * 2)
