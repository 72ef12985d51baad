"""The paper's benchmarks: one class is nominal, the others are anomalous and never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from fcdd_audit.core.errors import InputError
from fcdd_audit.core.registry import suggest
from fcdd_audit.core.seeding import numpy_generator
from fcdd_audit.datasets.base import (
    DATASETS,
    MIN_TEST,
    MIN_TRAIN,
    AuditData,
    DataRequest,
    DataSet,
    check_parts,
    refuse_masks,
)
from fcdd_audit.datasets.outliers import CONFETTI, outliers
from fcdd_audit.datasets.sources import SOURCES
from fcdd_audit.datasets.wordnet import ids_named
from fcdd_audit.images.decode import Fit
from fcdd_audit.images.gallery import Gallery
from fcdd_audit.images.parts import decoded_parts

VALIDATION_SHARE = 0.1


class OneVsRest(DataSet):
    """A source of which one class is nominal, with outlier exposure from elsewhere.

    name: its own. source, oe: names in SOURCES. names: the classes, as users know them. size: of the images,
    in px.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    oe: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    size: ClassVar[int]
    channels: ClassVar[int] = 3
    fit: ClassVar[Fit] = "squash"

    def classes(self, root: Path | None) -> tuple[str, ...]:
        return self.names

    def missing(self, root: Path | None) -> str | None:
        reason = SOURCES[self.source]().missing(root)
        if reason is None and (no_oe := SOURCES[self.oe]().missing(root)):
            return f"without --oe: {no_oe}"
        return reason

    def class_id(self, name: str) -> str:
        """What the source calls the class."""
        return name

    def load(self, request: DataRequest) -> AuditData:
        refuse_masks(self.name, request)
        nominal = request.nominal_class or self.names[0]
        if nominal not in self.names:
            raise InputError(
                f"data set '{self.name}' has no class '{nominal}'{suggest(nominal, [*self.names])} (known: "
                f"{', '.join(self.names)})"
            )
        own = self.class_id(nominal)
        others = [self.class_id(name) for name in self.names if name != nominal]
        source = SOURCES[self.source]()
        train = source.gallery(request.data_root, train=True, download=request.download)
        test = source.gallery(request.data_root, train=False, download=request.download)
        notes = (train.left_out | test.left_out).notes(source.title, request.skip_corrupt)
        learnt = self._enough(train.of_class(own), nominal, MIN_TRAIN + 2)
        tested = self._enough(test.of_class(own), nominal, MIN_TEST)
        rest = self._enough(test.of_class(*others), "any other class", MIN_TEST)
        there = set(test.classes)
        absent = [name for name in self.names if self.class_id(name) not in there]
        if absent:
            notes.append(f"Not among the test images, because they aren't there: {', '.join(absent)}.")
        kept, held = learnt.split(VALIDATION_SHARE, numpy_generator(0, "validation"))
        parts = {"train_nominal": kept, "validation": held, "test_nominal": tested, "test_anomalous": rest}
        size = request.image_size or self.size
        found = decoded_parts(parts, size, request.reading, notes, self.channels, self.fit)
        exposure, oe_notes = outliers(request, self.oe, found["train_nominal"], self.names, self.fit)
        return check_parts(
            AuditData(
                name=self.name,
                nominal_class=nominal,
                train_nominal=found["train_nominal"],
                train_anomalous=exposure,
                validation=found["validation"],
                test_nominal=found["test_nominal"],
                test_anomalous=found["test_anomalous"],
                notes=(*oe_notes, *notes),
                fit=self.fit,
                malformed=request.oe == CONFETTI,
            )
        )

    def _enough(self, gallery: Gallery, name: str, least: int) -> Gallery:
        if len(gallery) < least:
            raise InputError(
                f"{gallery.what} has {len(gallery)} images of {name}; at least {least} are needed: complete "
                "the data, or choose another --nominal-class"
            )
        return gallery


@DATASETS.register("cifar10-oe")
class Cifar10OE(OneVsRest):
    """CIFAR-10, one class nominal and nine anomalous; OE: CIFAR-100."""

    name = "cifar10-oe"
    source, oe = "cifar10", "cifar100"
    names = SOURCES["cifar10"].known
    size = 32


@DATASETS.register("fmnist-oe")
class FashionMnistOE(OneVsRest):
    """Fashion-MNIST, one class nominal and nine anomalous; OE: grey CIFAR-100 (or --oe emnist)."""

    name = "fmnist-oe"
    source, oe = "fashion-mnist", "cifar100"
    names = SOURCES["fashion-mnist"].known
    size, channels = 28, 1


@DATASETS.register("imagenet-oe")
class ImageNetOE(OneVsRest):
    """ImageNet, one of Hendrycks' 30 classes nominal; OE: the other 970 classes.

    Pictures are brought to a short side of 256/224 of the image size, and the centre is used.
    """

    name = "imagenet-oe"
    source, oe = "imagenet", "imagenet"
    names = (
        "acorn",
        "airliner",
        "ambulance",
        "American alligator",
        "banjo",
        "barn",
        "bikini",
        "digital clock",
        "dragonfly",
        "dumbbell",
        "forklift",
        "goblet",
        "grand piano",
        "hotdog",
        "hourglass",
        "manhole cover",
        "mosque",
        "nail",
        "parking meter",
        "pillow",
        "revolver",
        "dial telephone",
        "schooner",
        "snowmobile",
        "soccer ball",
        "stingray",
        "strawberry",
        "tank",
        "toaster",
        "volcano",
    )
    size = 224
    fit = "centre"

    def class_id(self, name: str) -> str:
        """The WordNet id."""
        return ids_named(name)[0]
