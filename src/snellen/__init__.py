"""snellen: an eye test for feature visualizations.

    import snellen

    snellen.render(network, "layer4:17")               # a picture, in a notebook
    audit = snellen.audit(network, images="folder")    # a report: audit.verdict, audit.units, audit.show()

The command line's words are functions here. Everything is imported when first used; `__init__.pyi` says from where.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
