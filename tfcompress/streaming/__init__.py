"""Tables too tall for memory, factorized and quantized row chunk by row chunk, in NumPy alone.

A table is anything with a `shape` of two numbers whose slices of rows are arrays: an array, a
`numpy.memmap`, an HDF5 data set, a `Projected`. It is read twice from end to end and never held
whole, and of a `memmap` the pages are given back behind every chunk: what a process needs does not
grow with the table.
"""

from tfcompress.streaming.chunks import (
    CHUNK_BYTES,
    Table,
    in_folder,
    in_memory,
    release,
    row_slices,
    write_rows,
)
from tfcompress.streaming.codes import StreamedTable, factorize_table, quantized_rows
from tfcompress.streaming.factors import (
    Projected,
    gram,
    principal_directions,
    streamed_factors,
)
from tfcompress.streaming.stored import StoredTable, magnitudes

__all__ = [
    "CHUNK_BYTES",
    "Projected",
    "StoredTable",
    "StreamedTable",
    "Table",
    "factorize_table",
    "gram",
    "in_folder",
    "in_memory",
    "magnitudes",
    "principal_directions",
    "quantized_rows",
    "release",
    "row_slices",
    "streamed_factors",
    "write_rows",
]
