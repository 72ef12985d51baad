"""Tensors that lie in files: shared between processes by name, larger than memory if need be."""

from __future__ import annotations

import contextlib
import io
import math
import pickle
import uuid
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fcdd_audit.core.errors import RunError
from fcdd_audit.core.files import TEMPORARY

CHUNK = 1024  # images copied at a time
BY_FILE = 1 << 20  # bytes from which on a tensor in memory travels by file


def mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Tensor:
    """The file's bytes as a tensor of `shape`, without reading them. Writing to it writes to the file.

    ValueError for a file that is too short (torch would fill it up with zeros), OSError if there is none.
    """
    count = math.prod(shape)
    if count == 0:
        return torch.zeros(shape, dtype=dtype)
    if path.stat().st_size < count * dtype.itemsize:
        raise ValueError(f"'{path}' is too short for {count} values of {dtype}")
    return torch.from_file(str(path), shared=True, size=count, dtype=dtype).reshape(shape)


def file_of(tensor: Tensor) -> str | None:
    """The name of the file that a tensor is mapped from, if it is."""
    return tensor.untyped_storage().filename if tensor.device.type == "cpu" else None


def copied(images: Tensor) -> Tensor:
    """A copy that may be written to: in memory, or, of a mapped tensor, in a file beside it.

    That file goes when the copy does. RunError where it can't be written, as on a full disk.
    """
    name = file_of(images)
    if name is None:
        return images.clone()
    path = Path(name).with_name(f"{TEMPORARY}{uuid.uuid4().hex}")
    try:
        with path.open("wb") as file:
            for batch in images.split(CHUNK):
                file.write(as_bytes(batch))
        return mapped(path, tuple(images.shape), images.dtype)
    except OSError as error:
        raise RunError(
            f"can't write a copy of {len(images)} images to '{path.parent}': {error.strerror or error}; make "
            "room there, or name another folder with --cache"
        ) from None
    finally:
        with contextlib.suppress(PermissionError):  # Windows keeps a mapped file: the cache clears it later
            path.unlink(missing_ok=True)


def as_bytes(tensor: Tensor) -> memoryview:
    """The values of a tensor on the CPU in order, without a copy where they lie so already."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().data


class _Pickler(pickle.Pickler):
    """Writes large tensors to files in `folder`, unless they lie in one already."""

    def __init__(self, buffer: io.BytesIO, folder: Path) -> None:
        super().__init__(buffer, pickle.HIGHEST_PROTOCOL)
        self.folder = folder

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value.device.type != "cpu" or value.requires_grad:
            return NotImplemented
        name, storage = file_of(value), value.untyped_storage()
        if name is not None and Path(name).exists():
            size, offset = storage.nbytes() // value.element_size(), value.storage_offset()
            name = str(Path(name).absolute())
            return _view, (name, size, value.dtype, tuple(value.shape), value.stride(), offset)
        if storage.nbytes() < BY_FILE:  # of all that it is a view of, because pickle takes that along
            return NotImplemented
        path = self.folder.absolute() / f"{uuid.uuid4().hex}.bin"
        path.write_bytes(as_bytes(value))
        return mapped, (path, tuple(value.shape), value.dtype)


def _view(
    name: str, size: int, dtype: torch.dtype, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> Tensor:
    return mapped(Path(name), (size,), dtype).as_strided(shape, strides, offset)


def dumps(value: Any, folder: Path) -> bytes:
    """`pickle.dumps`, but large tensors are left in files, new ones in `folder`.

    Whoever unpickles it, in whatever folder, maps them, so that no process has a copy of its own.
    """
    buffer = io.BytesIO()
    _Pickler(buffer, folder).dump(value)
    return buffer.getvalue()
