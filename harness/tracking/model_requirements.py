"""What has to be installed to load a packaged model."""

from importlib.metadata import entry_points, metadata, requires, version

from harness import __version__
from harness.models.families import GROUP

__all__ = ["requirements"]


def requirements(family: str) -> list[str]:
    """List what loading a model needs, each at the version that is installed.

    Parameters
    ----------
    family : str
        Name of its family.

    Returns
    -------
    list of str
        harness first, then what it depends on: ``"numpy==2.4.6"``. Nothing is imported
        to find out, as MLflow's own inference would do.
    """
    from packaging.requirements import Requirement

    # A family that needs a library of its own has an extra of its name.
    extra = (
        family
        if family in (metadata("harness").get_all("Provides-Extra") or ())
        else ""
    )
    needed = [Requirement(line) for line in requires("harness") or ()]
    names = {
        one.name
        for one in needed
        if one.marker is None or one.marker.evaluate({"extra": extra})
    }
    provider = next(e.dist for e in entry_points(group=GROUP) if e.name == family)
    if provider is not None and provider.name != "harness":
        names.add(provider.name)
    own = f"harness[{extra}]" if extra else "harness"
    return [f"{own}=={__version__}", *(f"{n}=={version(n)}" for n in sorted(names))]
