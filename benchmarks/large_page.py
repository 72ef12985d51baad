"""Time the page of a large audit: many classes, detectors, explainers and prevalences.

python benchmarks/large_page.py [RUN] [--classes 10] [--prevalences 4] [--detectors 4] [--explainers 8]

The folder of a finished audit of twins is copied, and its findings, questions, explainers and rows of
results.csv are repeated under other names until there are so many. Prints how long the page takes, the peak
memory of the process that makes it, and its size.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).resolve().parents[1]
SAMPLE = HERE / "reports" / "retina-watermark"
MADE = (
    "import sys, resource; from pathlib import Path; from fcdd_audit.report.page import render_report; "
    "render_report(Path(sys.argv[1])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)
DRAWN = 6  # findings with pictures


def enlarged(folder: Path, classes: int, detectors: int, explainers: int, prevalences: int) -> int:
    """Repeat what is in a run folder; returns the number of findings."""
    config, found = (json.loads((folder / name).read_text()) for name in ("config.json", "findings.json"))
    results = pd.read_csv(folder / "results.csv", keep_default_na=False)
    wanted = [
        (f"class-{one}", two, 0.1 * (three + 1))
        for one in range(classes)
        for two in range(detectors)
        for three in range(prevalences)
    ]
    findings, questions, rows = [], [], []
    sources = list(zip(found["findings"], config["questions"], strict=True))
    for place, (name, detector, share) in enumerate(wanted):
        finding, question = (copy.deepcopy(one) for one in sources[detector % len(sources)])
        about = {"nominal_class": name, "detector": f"detector-{detector}", "prevalence": share}
        own = results[results["detector"] == finding["detector"]].assign(**about)
        own.loc[own["twin"] == "control", "prevalence"] = 0
        rows.append(own[own["twin"] != "control"] if place % prevalences else own)  # controls are shared
        finding |= {**about, "explainers": _repeated(finding["explainers"], explainers)}
        question |= {**about, "heat": question["heat"] if place < DRAWN else None}
        findings.append(finding)
        questions.append(question)
    for name in ("scores.csv", "curves.csv"):
        table = pd.read_csv(folder / name, keep_default_na=False)
        drawn = [
            table[table["question"] == place // prevalences % detectors % len(sources)].assign(question=place)
            for place in range(len(wanted))
        ]
        pd.concat(drawn).to_csv(folder / name, index=False)
    config["data"] = [{**config["data"][0], "nominal_class": f"class-{one}"} for one in range(classes)]
    found["origin"] = [{**found["origin"][0], "nominal_class": f"class-{one}"} for one in range(classes)]
    config["questions"], found["findings"] = questions, findings
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "findings.json").write_text(json.dumps(found))
    pd.concat(rows).to_csv(folder / "results.csv", index=False)
    return len(findings)


def _repeated(explainers: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    known = [one for one in explainers if not one["reference"]]
    return [
        {**one, "explainer": f"explainer-{place}"} for place, one in enumerate(islice(cycle(known), count))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, default=SAMPLE)
    for name, number in (("classes", 10), ("detectors", 4), ("explainers", 8), ("prevalences", 4)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        shutil.copytree(options.run, folder, ignore=shutil.ignore_patterns("store", "report.html"))
        sizes = options.classes, options.detectors, options.explainers, options.prevalences
        count = enlarged(folder, *sizes)
        started = time.perf_counter()
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", MADE, str(folder)], check=True, stdout=subprocess.PIPE, text=True, cwd=HERE
        )
        seconds = time.perf_counter() - started
        size = (folder / "report.html").stat().st_size
    memory = int(done.stdout) / 1024
    print(f"{count} findings: {seconds:.1f} s, {memory:.0f} MB at most, page {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
