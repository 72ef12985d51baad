"""Beside the search: are planted marks found by what else there is?

pip install "cleanlab[image]" && python benchmarks/discovery_peers.py --data-root DIR [--plan] [--minutes M]
    [--report]

Of the planted sets of the long list (benchmarks/discovery.py) whose rows are there, those of Tiny ImageNet
with at least 20 bearers at opacity .5 and up. Each is the anomalous side of a small FCDD's training images,
beside 500 clean images of two other sets.

search   what the long list says of the set: it sees this side alone, and no detector
heatmap  mean of the detector's own maps of all 250 images. A hit: the hottest pixels, as many as the box
         around the mark has, overlap the box (IoU at least .3). It names no bearers.
spray    the maps, averaged in 16 x 16 fields and divided by their sum, in spectral clusters of the graph of
         10 nearest neighbours (Lapuschkin et al., 2019), as many as the largest gap of the first 20
         eigenvalues says. A hit: half of a cluster bear the mark, and half of the bearers are in it. any: the
         same with 2 to 12 clusters, whichever has it.
cleanlab Datalab on images and labels of both sides, with the mean of the detector's last features as
         features. A hit: half of the images with an issue of one type bear the mark, and half of the bearers
         have it.

Appends one row a set to benchmarks/results/discovery_peers.csv.gz, and goes on from the rows that are there.

--data-root  the folder that has tiny_imagenet_val/
--plan       how many sets are left, and the hours that they would take
--minutes    begin nothing new after so many minutes
--report     make nothing: print the rates of what is there, in Markdown
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from discovery import OVERLAP, SETS, TRUE, images_of, planted, read_rows
from discovery import Job as Planted
from longlist import LongList, rate
from PIL import Image
from scipy.sparse.csgraph import laplacian
from sklearn.cluster import SpectralClustering
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from fcdd_audit.core.recipe import Recipe
from fcdd_audit.core.seeding import torch_generator
from fcdd_audit.detectors import Detector, build, fit
from fcdd_audit.images.sets import ImageSet
from fcdd_audit.probes.chain import make_probe
from fcdd_audit.probes.marking import mark_all

SETS_ASKED = 60
FEWEST, FAINTEST = 20, 0.5
FIELDS, NEIGHBOURS, LOOKED_AT, MOST = 16, 10, 20, 12  # of SpRAy
CPU = torch.device("cpu")
BATCH = 125


class Job(NamedTuple):
    """A planted set, by the key of its row in the long list."""

    set: int
    probe: str
    opacity: float
    bearers: int
    jitter: float


def jobs() -> Iterator[Job]:
    """Of the long list's rows that are there, in their order."""
    table = read_rows()
    asked = (table["source"] == "tiny") & (table["probe"] != "") & (table["bearers"] >= FEWEST)
    own = table[asked & (table["opacity"] >= FAINTEST)]
    yield from (
        Job(int(row["set"]), row["probe"], float(row["opacity"]), int(row["bearers"]), float(row["jitter"]))
        for _, row in own.head(SETS_ASKED).iterrows()
    )


def row_of(job: Job, root: Path) -> dict[str, Any]:
    """What each of them makes of a set."""
    searched = Planted("tiny", job.set, job.probe, job.opacity, job.bearers, job.jitter)
    images, names, where = planted(images_of(searched, root), searched)
    bears = np.array([name in names for name in images.names])
    others = [(job.set + offset) % SETS["tiny"] for offset in (1, 2)]
    nominal = torch.cat([images_of(Planted("tiny", number), root).images for number in others])
    detector = trained(nominal, images.images, job.set)
    maps = torch.cat([detector.anomaly_map(part)[:, 0] for part in floats(images.images).split(BATCH)])
    table = read_rows()
    own = table[(table[list(Planted._fields)] == pd.Series(searched._asdict())).all(axis=1)].iloc[0]
    return {
        "shift": shift_of(detector, nominal, job),
        "search": bool(own["hit"]),
        "heatmap_iou": hottest_iou(maps.mean(dim=0), where),
        **spray(maps, bears),
        **cleanlab(detector, nominal, images, bears),
    }


def trained(nominal: Tensor, anomalous: Tensor, seed: int) -> Detector:
    """A small FCDD."""
    recipe = Recipe.of(epochs=12, batch_size=16)
    detector = build("fcdd", nominal, seed, {}, recipe.network, recipe.normalise)
    with torch.enable_grad():
        fit(detector, nominal, anomalous, recipe, seed, CPU)
    return detector.eval()


def floats(images: Tensor) -> Tensor:
    return images.float() / 255


def scores(detector: Detector, images: Tensor) -> Tensor:
    return torch.cat([detector.score(part) for part in floats(images).split(BATCH)])


def shift_of(detector: Detector, nominal: Tensor, job: Job) -> float:
    """How far the mark, at its own opacity, moves the scores of nominal training images, in their IQR."""
    options = {} if job.jitter < 0 else {job.probe: {"jitter": job.jitter}}
    few = nominal[::2]
    marked, _ = mark_all(few, make_probe(job.probe, options), torch_generator(job.set, "shift"))
    before, after = scores(detector, few), scores(detector, marked)
    return float((after - before).mean() / (before.quantile(0.75) - before.quantile(0.25)))


def hottest_iou(heat: Tensor, where: Tensor) -> float:
    """Overlap of the hottest pixels with the box around the mark, of as many pixels as it has, in [0, 1]."""
    rows, columns = (where.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    box = torch.zeros_like(where)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    hottest = torch.zeros(heat.numel(), dtype=torch.bool)
    hottest[heat.flatten().topk(int(box.sum())).indices] = True
    hottest = hottest.view_as(box)
    return float((hottest & box).sum() / (hottest | box).sum())


def is_group(flagged: np.ndarray, bears: np.ndarray) -> bool:
    """Whether half of these images bear the mark, and half of the bearers are among them."""
    both = int((flagged & bears).sum())
    return both > 0 and both >= TRUE * flagged.sum() and both >= TRUE * bears.sum()


def spray(maps: Tensor, bears: np.ndarray) -> dict[str, Any]:
    """Spectral relevance analysis: clusters of heatmaps (N, H, W)."""
    fields = F.adaptive_avg_pool2d(maps[:, None], FIELDS).flatten(1)
    fields = (fields / fields.sum(dim=1, keepdim=True).clamp_min(1e-12)).numpy()
    graph = kneighbors_graph(fields, NEIGHBOURS)
    graph = 0.5 * (graph + graph.T)
    values = np.linalg.eigvalsh(laplacian(graph, normed=True).toarray())[: LOOKED_AT + 1]
    clusters = int(np.diff(values)[1:].argmax()) + 2
    found = {
        count: any(is_group(labels == label, bears) for label in range(count))
        for count in {clusters, *range(2, MOST + 1)}
        for labels in [_clusters(graph, count)]
    }
    return {"clusters": clusters, "spray": found[clusters], "spray_any": any(found.values())}


def _clusters(graph: Any, count: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        cut = SpectralClustering(count, affinity="precomputed", random_state=0, assign_labels="cluster_qr")
        return cut.fit_predict(graph)


def cleanlab(detector: Detector, nominal: Tensor, images: ImageSet, bears: np.ndarray) -> dict[str, Any]:
    """Issues of Datalab on both sides."""
    from cleanlab import Datalab  # an extra of this benchmark alone
    from datasets import Dataset

    every = torch.cat([nominal, images.images])
    data = Dataset.from_dict(
        {
            "image": [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in every],
            "label": [0] * len(nominal) + [1] * len(images),
        }
    )
    features = torch.cat(
        [detector.outputs(detector.normalise(part)).mean(dim=(2, 3)) for part in floats(every).split(BATCH)]
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Datalab(data=data, label_name="label", image_key="image", verbosity=0)
        lab.find_issues(features=features.numpy())
    found = lab.get_issues()
    flagged = {
        name.removeprefix("is_").removesuffix("_issue"): found[name].to_numpy(bool)
        for name in found.columns
        if name.startswith("is_")
    }
    bearing = np.concatenate([np.zeros(len(nominal), bool), bears])
    hits = [name for name, one in flagged.items() if is_group(one, bearing)]
    most = max(flagged, key=lambda name: int((flagged[name] & bearing).sum()))
    return {
        "cleanlab": bool(hits),
        "issue": most,
        "issue_images": int(flagged[most].sum()),
        "issue_bearers": int((flagged[most] & bearing).sum()),
        "correlated": " ".join(_correlated(lab.get_info())),
    }


def _correlated(told: Mapping[str, Any]) -> list[str]:
    """Properties of the images that go with the sides, as cleanlab says."""
    about = told.get("spurious_correlations", {})
    table = about.get("correlations_df")
    if table is None:
        return []
    return table[table["score"] < about["threshold"]]["property"].tolist()


def report(table: pd.DataFrame) -> list[str]:
    """How many marks each finds; of those that the detector relies on as well."""
    if table.empty:
        return ["none made"]
    hits = pd.DataFrame(
        {
            "search": table["search"],
            "mean heatmap (place alone)": table["heatmap_iou"] >= OVERLAP,
            "SpRAy": table["spray"],
            "SpRAy, best number of clusters": table["spray_any"],
            "cleanlab": table["cleanlab"],
        }
    ).astype(bool)
    groups = {
        "all": table["set"] >= 0,
        "20 bearers": table["bearers"] == FEWEST,
        "50 bearers": table["bearers"] > FEWEST,
        "opacity .5": table["opacity"] < 0.8,
        "detector moved by 1 IQR or more": table["shift"].abs() >= 1,
    }
    lines = [f"| | {' | '.join(groups)} |", f"| --- |{' --- |' * len(groups)}"]
    for name in hits:
        lines.append(f"| {name} | {' | '.join(rate(hits[name][own]) for own in groups.values())} |")
    lines += ["", f"| mark | sets | {' | '.join(hits)} |", f"| --- | --- |{' --- |' * len(hits.columns)}"]
    for probe, own in hits.groupby(table["probe"]):
        lines.append(f"| {probe} | {len(own)} | {' | '.join(str(int(own[name].sum())) for name in own)} |")
    alone = hits.drop(columns="search").any(axis=1) & ~hits["search"]
    lines += ["", f"Found by another and not by the search: {int(alone.sum())}"]
    lines += [f"Issue with most bearers: {table['issue'].value_counts().to_dict()}"]
    return lines


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    LongList(__doc__ or "", "discovery_peers", jobs, row_of, report).main()
