"""Numbers over the prevalence of the artifact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fcdd_audit.report.figures.style import INK, LIMIT, own_settings, to_svg
from fcdd_audit.report.naming import detector_name


def dose_response(
    findings: list[dict[str, Any]], limits: dict[str, float], label: Callable[[str], str], prefix: str
) -> str:
    """Dependence, new alarms and what each explainer shows, over prevalence, with intervals.

    findings: as in findings.json, of one detector, class and side; those without a number are left out.
    limits: the thresholds `shift`, `alarms` and `reveal`, as lines. label: of a measure's name, what people
    read.
    """
    panels: list[tuple[str, dict[str, list[tuple[float, dict[str, Any]]]], float]] = [
        (label(name), {name: [(one["prevalence"], one[key]) for one in findings if one[key]]}, limits[limit])
        for name, key, limit in (("dependence", "dependence", "shift"), ("new_alarms", "alarms", "alarms"))
    ]
    shown: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for one in findings:
        for explainer in one["explainers"]:
            if not explainer["reference"]:
                shown.setdefault(explainer["explainer"], []).append(
                    (one["prevalence"], explainer["excess_pixel_auroc"])
                )
    if shown:
        panels.append((label("excess_pixel_auroc"), shown, limits["reveal"]))
    with own_settings():
        figure = Figure(figsize=(7.2, 2.6), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, lines, limit) in zip(axes, panels, strict=True):
            _over_prevalence(axis, lines)
            axis.axhline(limit, linestyle=":", linewidth=1.2, color=LIMIT)
            axis.set(ylabel=name)
            if len(lines) > 1:
                axis.legend()
        about = "Over the share of training images that bore it, with intervals; dotted: the limits."
        return to_svg(figure, prefix, "What the artifact does by prevalence", about)


def rates_figure(rates: list[dict[str, Any]], prefix: str) -> str:
    """Sensitivity over prevalence, and the rate of false alarms, by detector, of disjoint audits with exact
    intervals.

    rates: as in calibration.json.
    """
    planted: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    for rate in rates:
        if not rate["null"] and rate["audits"]:
            planted.setdefault(detector_name(rate["detector"]), []).append(
                (rate["prevalence"], rate["says_relies"])
            )
    # Another artifact that carries over is no null: there "relies" is right.
    alarms = [rate for rate in rates if rate["null"] and rate["audits"] and not rate["carries_over"]]
    with own_settings():
        figure = Figure(figsize=(7.2, 0.8 + max(2.0, 0.24 * len(alarms))), layout="constrained")
        left, right = figure.subplots(1, 2)
        _over_prevalence(left, planted)
        left.set(ylabel="sensitivity", ylim=(-0.03, 1.03))
        if planted:
            left.legend()
        for row, rate in enumerate(alarms):
            found = rate["says_relies"]
            right.plot([found["low"], found["high"]], [row, row], color=INK, linewidth=1)
            right.plot(found["value"], row, "o", color=INK, markersize=4)
        names = [f"{detector_name(rate['detector'])}, {rate['label']}" for rate in alarms]
        right.set_yticks(range(len(alarms)), names)
        right.axvline(0.05, linestyle=":", linewidth=1.2, color=LIMIT)
        right.set(xlabel="false alarms", xlim=(-0.01, None))
        right.invert_yaxis()
        about = "Left: sensitivity by prevalence. Right: false alarms by kind of null; dotted: 5 %."
        return to_svg(figure, prefix, "How often verdicts are right", about)


def _over_prevalence(axis: Axes, lines: dict[str, list[tuple[float, dict[str, Any]]]]) -> None:
    """One line each, on a logarithmic axis with a tick at every prevalence."""
    ticks = sorted({x for points in lines.values() for x, _ in points})
    for name, points in lines.items():
        ordered = sorted(points, key=lambda point: point[0])
        x, values = [x for x, _ in ordered], [found["value"] for _, found in ordered]
        known = [(x, found) for x, found in ordered if found["low"] is not None]
        (line,) = axis.plot(x, values, "o-", markersize=4, linewidth=1.4, label=name)
        axis.vlines(
            [x for x, _ in known],
            [found["low"] for _, found in known],
            [found["high"] for _, found in known],
            color=line.get_color(),
            linewidth=1,
        )
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{100 * x:g} %" for x in ticks])
    axis.minorticks_off()
    axis.set(xlabel="prevalence")
