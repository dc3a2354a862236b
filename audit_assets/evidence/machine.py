"""Describe machine and libraries: images and embeddings have the same bytes only on the same kind of machine."""

import platform
from collections.abc import Mapping

import numpy as np

from audit_assets.warehouse.database import library_versions


def this_machine() -> dict[str, str]:
    """Return system, processor with vector units, Python, and the version of every library that figures depend on."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    processor = " ".join([platform.machine(), *found])
    return {"system": platform.system(), "processor": processor, **dict(library_versions())}


def libraries(machine: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of Python and of the libraries, without system and processor."""
    return {what: version for what, version in machine.items() if what not in ("system", "processor")}


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Describe in words what differs between two machines."""
    return [
        f"{what} {there.get(what, 'absent')} there, {here.get(what, 'absent')} here"
        for what in sorted(there.keys() | here.keys())
        if there.get(what) != here.get(what)
    ]
