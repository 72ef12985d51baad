"""Boxes in images, displaced for each image by a move of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Box = tuple[int, int, int, int]  # top, left, height and width, in px


def grown(box: Box, by: int, frame: tuple[int, int]) -> Box:
    """A box grown on all sides as far as the image goes."""
    top, left, height, width = box
    first = max(0, top - by), max(0, left - by)
    last = min(frame[0], top + height + by), min(frame[1], left + width + by)
    return first[0], first[1], last[0] - first[0], last[1] - first[1]


def dilated(support: Tensor, by: int) -> Tensor:
    """Support, bool (h, w), and what is up to so many pixels away."""
    grown = F.max_pool2d(support[None, None].float(), 2 * by + 1, stride=1, padding=by)
    return grown[0, 0] > 0


def cut(padded: Tensor, box: Box, moves: Tensor, pad: int) -> Tensor:
    """Windows (N, C, h, w) of images padded on all sides, each displaced by its own move, (N, 2)."""
    top, left, height, width = box
    image = torch.arange(len(padded))[:, None, None]
    rows = (top + pad + moves[:, :1] + torch.arange(height))[:, :, None]
    columns = (left + pad + moves[:, 1:] + torch.arange(width))[:, None, :]
    return padded.movedim(1, -1)[image, rows, columns].movedim(-1, 1)


def laid(values: Tensor, box: Box, moves: Tensor, frame: tuple[int, int]) -> Tensor:
    """Values, (1, C, h, w), at the box displaced by each move: (B, C, H, W), 0 elsewhere; what lies outside
    the frame is cut off."""
    top, left, height, width = box
    pad = int(moves.abs().max()) if len(moves) else 0
    canvas = values.new_zeros(len(moves), values.shape[1], frame[0] + 2 * pad, frame[1] + 2 * pad)
    image = torch.arange(len(moves))[:, None, None]
    rows = (top + pad + moves[:, :1] + torch.arange(height))[:, :, None]
    columns = (left + pad + moves[:, 1:] + torch.arange(width))[:, None, :]
    canvas.movedim(1, -1)[image, rows, columns] = values.movedim(1, -1)
    return canvas[:, :, pad : pad + frame[0], pad : pad + frame[1]]
