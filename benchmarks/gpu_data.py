"""The images of the benchmark on a GPU in under 60 MiB: those of 224 px re-encoded at that size.

python benchmarks/gpu_data.py SOURCE TARGET

SOURCE holds voc_animals/, imagenet_1k_one_each/, cifar10.tar.xz and tiny_imagenet_val.tar.xz; TARGET gets the
same, as `gpu.py --data` takes them. Both sides of the horses are then alike in size and encoding.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from reencode import reencode

SIDE = 224
QUALITY = 80
PACKED = ("cifar10.tar.xz", "tiny_imagenet_val.tar.xz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    source, target = options.source, options.target
    for photos in ("voc_animals/images", "imagenet_1k_one_each"):
        reencode(source / photos, target / photos, (SIDE, SIDE), quality=QUALITY)
    for table in ("index.csv", "tags.csv"):
        shutil.copy2(source / "voc_animals" / table, target / "voc_animals" / table)
    full = "voc_animals/tagged_horses_full_size"
    shutil.copytree(source / full, target / full, dirs_exist_ok=True)
    for name in PACKED:
        shutil.copy2(source / name, target / name)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
