"""The wheel of the code that runs, so that a packaged model can be installed anywhere."""

import base64
import functools
import hashlib
import io
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

from harness import __version__
from harness.errors import HarnessError
from harness.version import DISTRIBUTION

__all__ = ["WHEEL", "build_wheel"]

_STEM = f"{DISTRIBUTION.replace('-', '_')}-{__version__}"
WHEEL = f"{_STEM}-py3-none-any.whl"
"""Its file name: pip reads name and version from it."""

_KINDS = {".py", ".toml", ".css", ".json", ".typed"}
_SHIPPED = ("studies", "experiments")
_TAG = (
    "Wheel-Version: 1.0\nGenerator: harness\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
)
# The earliest that a ZIP file can say: equal code makes equal wheels.
_TIME = (1980, 1, 1, 0, 0, 0)


@functools.cache
def build_wheel() -> bytes:
    """Pack the package as it is installed, or as it lies in a checkout.

    No index has the commit that a model was logged with, and a version that was never
    published is on none at all.
    """
    info = f"{_STEM}.dist-info"
    content = dict(_package_files())
    found = distribution(DISTRIBUTION)
    for name in ("METADATA", "entry_points.txt"):
        text = found.read_text(name)
        if text is None:
            raise HarnessError(
                f"The installation of {DISTRIBUTION} has no {name}: install it again."
            )
        content[f"{info}/{name}"] = text.encode()
    content[f"{info}/WHEEL"] = _TAG.encode()
    rows = [f"{name},{_digest(data)},{len(data)}" for name, data in content.items()]
    record = f"{info}/RECORD"
    content[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _package_files() -> Iterator[tuple[str, bytes]]:
    package = Path(str(files("harness")))
    for path in sorted(package.rglob("*")):
        if path.is_file() and (path.suffix in _KINDS):
            yield f"harness/{path.relative_to(package).as_posix()}", path.read_bytes()
    if (package / "shipped").is_dir():
        return
    # In a checkout they lie beside the package.
    for folder in _SHIPPED:
        for path in sorted((package.parent / folder).glob("*.toml")):
            yield f"harness/shipped/{folder}/{path.name}", path.read_bytes()


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"
