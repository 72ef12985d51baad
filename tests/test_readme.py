"""What README does on images that the tool brings along."""

import re
import runpy
from pathlib import Path

import fcdd_audit
from fcdd_audit import DATASETS, DataRequest, make_config

README = Path(__file__).parents[1] / "README.md"
COMMAND = re.compile(r"fcdd-audit run (.+ --candidate .+)")


def training_anomalies():
    return DATASETS["retina"]().load(DataRequest()).train_anomalous.names


def test_the_mark_that_readme_plants_is_found_and_can_be_audited(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    (script,) = (one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "PROBES" in one)
    (tmp_path / "plant.py").write_text(script, encoding="utf-8")
    runpy.run_path(str(tmp_path / "plant.py"))
    found = fcdd_audit.discover(
        Path("my-images"),
        image_size=32,
        draws=19,
        sample=128,
        sensitivity=False,
        out="reports/discover-folder",
    )
    best = found.sure[0]
    assert best.share["nominal"].bearing == 0
    marked = {f"train/anomalous/{name}.png" for name in training_anomalies()[::2]}
    assert len({*best.bearers} & marked) > 350
    assert len({*best.bearers} - marked) <= 5
    assert best.found.mark is not None
    (flags,) = COMMAND.findall(text)
    words = flags.split()
    given = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(*[iter(words)] * 2, strict=True)
    }
    assert make_config(given).make_artifact().bearers == list(best.bearers)
