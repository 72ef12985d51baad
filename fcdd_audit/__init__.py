"""fcdd-audit finds Clever Hans features in deep one-class anomaly detectors.

The public API is flat and listed in `__init__.pyi`; names are loaded on first use, so that
`fcdd-audit --help` doesn't wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
