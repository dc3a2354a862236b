"""ICC profiles, built apart from the product's own: of three primaries, of a grey curve, and of four inks."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*D50), **tags}
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4xI", at + len(body), 0x02400000) + device + space + connection + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + _fixed(*D50) + bytes(48) + struct.pack(">I", len(tags)) + table + body


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb(colorants: np.ndarray, gamma: float) -> bytes:
    """`colorants` (3, 3): XYZ of red, green and blue in its columns, relative to D50."""
    tags = {}
    for letter, column in zip("rgb", colorants.T, strict=True):
        tags[f"{letter}XYZ".encode()] = b"XYZ \0\0\0\0" + _fixed(*column)
        tags[f"{letter}TRC".encode()] = _gamma(gamma)
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _gamma(gamma)})


def cmyk(lab: np.ndarray) -> bytes:
    """`lab` (2, 2, 2, 2, 3): the Lab colour of each combination of full and absent cyan, magenta, yellow and black."""
    nodes = np.stack([lab[..., 0] / 100 * 65280, (lab[..., 1] + 128) * 256, (lab[..., 2] + 128) * 256], axis=-1)
    straight = struct.pack(">HH", 0, 65535)
    table = struct.pack(">4s4xBBBx", b"mft2", 4, 3, 2) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">HH", 2, 2)
    table += straight * 4 + nodes.round().astype(">u2").tobytes() + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table, b"A2B1": table, b"A2B2": table})
