"""What a file that torch wrote holds, without executing any of it."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from pathlib import Path, PurePosixPath

LARGEST = 2**26  # bytes of a pickle that is looked into; one of names and sizes is far smaller
WEIGHTS = frozenset(
    {"collections", "torch", "torch._tensor", "torch._utils", "torch.nn.parameter", "torch.storage"}
)  # modules of what a state dict is made of


def is_torchscript(file: Path) -> bool:
    """Whether it is a TorchScript archive, by the code in it."""
    return any("/code/" in name for name in _names(file))


def pickled_modules(file: Path) -> frozenset[str]:
    """The modules whose classes and functions the file's pickle names; none if it isn't torch's."""
    data = next((name for name in _names(file) if PurePosixPath(name).name == "data.pkl"), None)
    if data is None:
        return frozenset()
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.getinfo(data).file_size > LARGEST:
                return frozenset()
            content = archive.read(data)
    except (OSError, RuntimeError, EOFError, NotImplementedError, zlib.error, zipfile.BadZipFile):
        return frozenset()
    try:  # torch writes pickles of protocol 2, which name all of them like this
        named = [str(found) for opcode, found, _ in pickletools.genops(content) if opcode.name == "GLOBAL"]
    except ValueError:
        return frozenset()
    return frozenset(one.partition(" ")[0] for one in named)


def holds_weights_alone(file: Path) -> bool:
    """Whether it is a state dict, or other tensors without their model."""
    modules = pickled_modules(file)
    return bool(modules) and modules <= WEIGHTS


def _names(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []
