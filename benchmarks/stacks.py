"""What a stack of small detectors is worth on a CPU: images a second over all of it.

python benchmarks/stacks.py [--sizes 1,4,10,30] [--threads 1,2] [--steps 24]
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from speed import STACKED, random_images, stack_rate


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=numbers, default="1,4,10,30", help="detectors a stack")
    parser.add_argument("--threads", type=numbers, default="1,2")
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args()
    case = replace(STACKED, steps=options.steps)
    images = random_images(case)
    print(f"{case}: images/s over all, and against one detector after the other")
    for threads in options.threads:
        torch.set_num_threads(threads)
        stack_rate(case, images, torch.device("cpu"), 1, None)  # warms up
        alone = stack_rate(case, images, torch.device("cpu"), 1, None)
        for size in options.sizes:
            rate = stack_rate(case, images, torch.device("cpu"), size, None)
            print(f"{threads} threads, stack of {size:>3}: {rate:>7,.0f}  {rate / alone:.2f}", flush=True)


if __name__ == "__main__":
    main()
