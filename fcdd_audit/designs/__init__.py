"""What an artifact's effect is compared with: twins, or a finished detector's own limits and placebos."""

from fcdd_audit.core.late import Late
from fcdd_audit.designs.base import DESIGNS, Design

__all__ = ["DESIGNS", "Design"]

DESIGNS.register("twins")(
    Design(
        summary="Twins that differ in the artifact only, trained for this audit.",
        run=Late("fcdd_audit.designs.twins.run:run"),
        estimate=Late("fcdd_audit.designs.twins.estimate:estimate"),
        table=Late("fcdd_audit.designs.twins.table:table"),
        context=Late("fcdd_audit.report.twins:context"),
        template="report.html.j2",
        families=(
            *("scores", "detection", "decision", "threshold", "overlap", "mask"),
            *("signed", "elsewhere", "pair", "pairs", "similarity", "faithfulness"),
        ),
    )
)
DESIGNS.register("finished")(
    Design(
        summary="A finished detector by itself: its limit, and other marks in the artifact's place.",
        run=Late("fcdd_audit.designs.finished.run:run"),
        estimate=Late("fcdd_audit.designs.finished.estimate:estimate"),
        table=Late("fcdd_audit.designs.finished.table:table"),
        context=Late("fcdd_audit.report.finished:context"),
        template="finished.html.j2",
        families=("placebos", "scores", "detection", "threshold", "overlap"),
        suffix="-finished",
    )
)
