"""Tables in row chunks: SciPy's results, wherever the rows lie."""

import mmap
import tracemalloc

import numpy as np
import pytest
import scipy.linalg

import tfcompress as tfc
from tfcompress import streaming
from tfcompress.layers.grid import absmax_scale, fake_quantize

SHAPES = [(1, 1), (7, 3), (500, 12), (3, 8), (5000, 40)]
SPECTRA = {
    "flat": lambda n: np.ones(n),
    "decaying": lambda n: 0.8 ** np.arange(n),
    "ill-conditioned": lambda n: 10.0 ** -np.linspace(0, 12, n),
    "rank-deficient": lambda n: (np.arange(n) < max(1, n // 3)).astype(float),
}


def matrix_of(shape, spectrum, seed=0):
    rng = np.random.default_rng(seed)
    inner = min(shape)
    u = np.linalg.qr(rng.normal(size=(shape[0], inner)))[0]
    v = np.linalg.qr(rng.normal(size=(shape[1], inner)))[0]
    return (u * SPECTRA[spectrum](inner)) @ v.T


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("chunk", [64, 4 << 20])
def test_the_factors_are_scipys(shape, spectrum, chunk, monkeypatch):
    monkeypatch.setattr(streaming.row_slices, "__defaults__", (chunk,))
    matrix = matrix_of(shape, spectrum)
    s = scipy.linalg.svdvals(matrix)
    for rank in {1, (min(shape) + 1) // 2, min(shape)}:
        left, right = streaming.streamed_factors(matrix, rank)
        product = left[0 : shape[0]].astype(np.float64) @ right
        # The error is what SciPy says that a rank must leave, within 1e-4 of the matrix's norm.
        left_over = np.sqrt((s[rank:] ** 2).sum())
        norm = np.linalg.norm(matrix)
        assert np.linalg.norm(product - matrix) <= left_over + 1e-4 * norm
        if rank == min(shape) or s[rank] < s[rank - 1] * 0.99:  # where the best one is unique
            u, _, v = scipy.linalg.svd(matrix, full_matrices=False)
            best = (u[:, :rank] * s[:rank]) @ v[:rank]
            assert np.linalg.norm(product - best) <= 1e-4 * np.linalg.norm(best)


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_singular_values_are_scipys(spectrum):
    matrix = matrix_of((800, 16), spectrum)
    _, found = streaming.principal_directions(streaming.gram(matrix), 16)
    expected = scipy.linalg.svdvals(matrix)
    large = expected > 1e-6 * expected[0]
    np.testing.assert_allclose(found[large], expected[large], rtol=1e-4)
    assert (found[~large] <= 1.1e-6 * expected[0]).all()


def test_weighted_rows_are_scipys_weighted_best():
    rng = np.random.default_rng(1)
    matrix, weights = rng.normal(size=(300, 10)), rng.integers(0, 50, 300).astype(float)
    left, right = streaming.streamed_factors(matrix, 4, weights)
    error = ((matrix - left[0:300] @ right) ** 2).sum(axis=1) @ weights
    best = (scipy.linalg.svdvals(np.sqrt(weights)[:, None] * matrix)[4:] ** 2).sum()
    assert error == pytest.approx(best, rel=1e-4)
    plain_left, plain_right = streaming.streamed_factors(matrix, 4)
    plain = ((matrix - plain_left[0:300] @ plain_right) ** 2).sum(axis=1) @ weights
    assert error < plain


class Sliceable:
    """No array, only a shape and slices of rows."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.asked = matrix, matrix.shape, []

    def __getitem__(self, rows):
        self.asked.append(rows)
        return self.matrix[rows]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rank", [5, 6])
def test_a_table_on_disk_gives_what_a_table_in_memory_gives(bits, rank, tmp_path):
    matrix = matrix_of((40_000, 24), "decaying").astype(np.float32)
    on_disk = streaming.in_folder(tmp_path)("table", matrix.shape, np.float32)
    streaming.write_rows(matrix, on_disk)
    in_memory = streaming.factorize_table(matrix, rank, bits)
    streamed = streaming.factorize_table(on_disk, rank, bits, streaming.in_folder(tmp_path))
    by_slices = Sliceable(matrix)
    sliced = streaming.factorize_table(by_slices, rank, bits)
    assert max(rows.stop - rows.start for rows in by_slices.asked) < len(matrix)
    for name in ("codes", "scales", "right"):
        expected = getattr(in_memory, name)
        np.testing.assert_array_equal(getattr(streamed, name), expected)
        np.testing.assert_array_equal(getattr(sliced, name), expected)
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected)
    left, right = streaming.streamed_factors(matrix, rank)
    ids = [0, 17, 39_999]
    grid = left[0:40_000][ids]
    step = np.abs(grid).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    assert (
        np.abs(streamed.rows(ids) - grid @ right) <= (step / 2) @ np.abs(right).sum(0)[None] + 1e-6
    ).all()


def test_what_is_held_does_not_grow_with_the_table(tmp_path):
    table = streaming.in_folder(tmp_path)("table", (400_000, 32), np.float32)
    rng = np.random.default_rng(3)
    for rows in streaming.row_slices(table.shape):
        table[rows] = rng.standard_normal((rows.stop - rows.start, 32), np.float32)
    tracemalloc.start()
    streaming.factorize_table(table, 8, 4, streaming.in_folder(tmp_path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * streaming.CHUNK_BYTES < table.nbytes / 3


def test_the_left_factor_goes_to_a_file_chunk_by_chunk(tmp_path):
    matrix = matrix_of((30_000, 20), "decaying").astype(np.float32)
    left, _ = streaming.streamed_factors(matrix, 4)
    target = streaming.in_folder(tmp_path)("left", left.shape, np.float32)
    streaming.write_rows(left, target)
    np.testing.assert_array_equal(np.load(tmp_path / "left.npy"), left[0:30_000])


@pytest.mark.parametrize("bits", [4, 8])
def test_the_grid_is_the_one_that_training_sees(bits):
    rows = np.random.default_rng(2).normal(size=(9, 7)).astype(np.float32)
    codes, scales = streaming.quantized_rows(rows, bits)
    table = streaming.StreamedTable(codes, scales, np.eye(7, dtype=np.float32), bits)
    expected = fake_quantize(rows, absmax_scale(rows, [1], bits), bits)
    np.testing.assert_allclose(table.rows(range(9)), expected, atol=1e-6)


def test_a_row_of_zeros_stays_zero():
    codes, scales = streaming.quantized_rows(np.zeros((2, 3)), 8)
    assert not codes.any() and np.isfinite(scales).all()


def test_a_private_mapping_keeps_what_was_written_to_it(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 2), np.float32))
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[1] = 5
    streaming.release(private)
    assert private[1].tolist() == [5, 5]


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system has no madvise")
def test_a_mapped_file_keeps_what_was_written_to_it(tmp_path):
    mapped = streaming.in_folder(tmp_path)("a", (4, 2), np.float32)
    mapped[1] = 5
    streaming.release(mapped)
    assert mapped[1].tolist() == [5, 5]


TABLE = np.ones((6, 3))
REFUSED = [
    (
        lambda: streaming.streamed_factors(TABLE, 0),
        "rank=0 for a table of shape .* expected 1 to 3",
    ),
    (lambda: streaming.streamed_factors(TABLE, 4), "rank=4"),
    (lambda: streaming.gram(np.ones(3)), r"shape \(3,\); expected rows and columns"),
    (lambda: streaming.gram(np.ones((0, 3))), r"shape \(0, 3\)"),
    (lambda: streaming.gram(np.full((2, 2), np.nan)), "not finite.*Replace NaN"),
    (lambda: streaming.gram(TABLE, np.ones(5)), r"weights of shape \(5,\) for 6 rows"),
    (lambda: streaming.gram(TABLE, -np.ones(6)), "none negative"),
    (lambda: streaming.factorize_table(TABLE, 2, 3), "bits=3; expected 4 or 8"),
]


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_what_cannot_be_streamed_says_why(act, message):
    with pytest.raises(tfc.SpecError, match=message):
        act()
