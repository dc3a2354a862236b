"""Compile the loops of ``kernels`` into numba's cache, which an audit would do when it first needs each of them.

python -m audit_assets.measurement.compile_kernels
"""

from numba import boolean, float64, int64, typeof

from audit_assets.measurement import kernels

NUMBERS, TABLE, TABLES = float64[::1], float64[:, ::1], float64[:, :, ::1]
PLACES, FLAGS = int64[::1], boolean[::1]

USED = (
    (kernels.placements, (TABLE, PLACES)),
    (kernels.permuted_traces, (TABLE, int64, int64)),
    (kernels.rank_sums, (TABLE, PLACES, int64)),
    (kernels.studentized, (TABLE, NUMBERS, PLACES, NUMBERS, NUMBERS, float64)),
    (kernels.own_scores, (TABLE, NUMBERS, PLACES, NUMBERS, NUMBERS, NUMBERS, float64)),
    (kernels.row_squares, (TABLE, PLACES, FLAGS)),
    (kernels.cells_at_least, (TABLE, PLACES, FLAGS, NUMBERS, PLACES, float64, NUMBERS)),
    (kernels.registered_pairs, (TABLES, TABLES, TABLE, TABLE, int64[:, ::1], typeof((0.0, 0.0, 0.0)))),
)
"""The loops that an audit uses, with the types with which it calls them. Any other types are compiled when they are first needed."""


def main() -> None:
    for loop, types in USED:
        loop.compile(types)


if __name__ == "__main__":
    main()
