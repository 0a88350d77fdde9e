"""experiments.inspect: every byte is somebody's, times add up, and the tables say so."""

import json
from dataclasses import replace

import numpy as np
import pytest
from absl.testing import flagsaver
from flatbuffers import number_types

import tfcompress as tfc
from experiments import inspect as script
from tests import small_models
from tfcompress.export import flatbuffer, sizes
from tfcompress.export.costs import costs_text
from tfcompress.export.cut import first_operators, single_operator
from tfcompress.export.inspection import GraphCost, Inspection, OperatorCost
from tfcompress.export.layout import layout, totals
from tfcompress.export.tables import Bytes, root
from tfcompress.export.timing import time_operators
from tfcompress.keras import tf

MOBILE = "saved_models/ml1m-mobile/model.tflite"
SPEC = tf.TensorSpec([1, 5], tf.int32)
SIGNATURES = {
    "scores": tfc.Signature(lambda m, ids: m(ids), {"ids": SPEC}),
    "best": tfc.Signature(lambda m, ids: tf.math.top_k(m(ids), 3).indices, {"ids": SPEC}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    rule = tfc.rule(tfc.by_type("Embedding") | tfc.by_type("Dense"), tfc.Quantize(4))
    model = tfc.apply(small_models.tied(), tfc.Spec([rule]))
    return tfc.export(model, tmp_path_factory.mktemp("m") / "m", SIGNATURES, tolerance=1.0)


@pytest.fixture(scope="module")
def found(made):
    return tfc.inspect_file(made.model, repeats=2)


def test_all_bytes_are_the_file_and_what_the_report_says(made, found):
    operators = [one for graph in found.graphs for one in graph.operators]
    owned = sum(one.weights + one.scales + one.graph for one in operators)
    assert owned + sum(found.elsewhere.values()) == found.bytes == made.model.stat().st_size
    assert sum(found.parts.values()) == found.bytes
    assert sum(found.graph_parts.values()) == found.parts["graph"]
    assert found.parts == {name: made.report["sizes"][name] for name in found.parts}
    assert found.graph_parts == made.report["graph_bytes"]


def test_weights_and_scales_are_all_constants_and_all_their_scales(made, found):
    model = flatbuffer.read(made.model.read_bytes())
    held = [b"" if b.data is None else bytes(b.data) for b in model.buffers]
    assert found.parts["weights"] == sum(map(len, held))
    vectors = {
        vector.tobytes(): vector.nbytes
        for graph in model.subgraphs
        for q in (t.quantization for t in graph.tensors)
        if q is not None and q.scale is not None
        for vector in (np.asarray(q.scale), np.asarray(q.zeroPoint))
    }
    assert found.parts["scales"] == sum(vectors.values())


def test_what_two_signatures_use_counts_once(found):
    first, second = sorted(found.graphs, key=lambda graph: graph.graph)
    tables = [one for one in first.operators if one.operator == "EMBEDDING_LOOKUP"]
    # 40 rows of 12 weights in half a byte, a float32 scale for each; zero points are all alike
    assert [one.weights for one in tables] == [40 * 12 // 2]
    assert tables[0].scales >= 40 * 4
    again = [one for one in second.operators if one.operator == "EMBEDDING_LOOKUP"]
    assert [(one.weights, one.scales) for one in again] == [(0, 0)]
    assert again[0].shared >= 40 * 12 // 2 + 40 * 4


def test_blocks_have_scales_and_sparse_weights_their_indices(tmp_path):
    model = small_models.keras.Sequential([small_models.keras.layers.Dense(64, input_shape=(64,))])
    rule = tfc.rule(tfc.by_type("Dense"), tfc.Quantize(4, tfc.PerBlock(32)))
    made = tfc.export(tfc.apply(model, tfc.Spec([rule])), tmp_path / "blocks", tolerance=1.0)
    assert made.report["sizes"]["scales"] == 2 * 64 * 2  # two blocks a channel, in float16
    pruned = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Prune(0.9, (4, 1)))]))
    content = tfc.export(pruned, tmp_path / "sparse").model.read_bytes()
    assert sum(sizes.byte_counts(content)[n] for n in ("weights", "scales", "graph")) == len(
        content
    )


def test_a_file_of_the_converter_has_names_and_metadata():
    model = small_models.sequential()
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    parts = totals(layout(content))
    assert parts["names"] > 100 and parts["metadata"] > 10
    assert sum(parts[name] for name in ("weights", "scales", "graph", "metadata")) == len(content)
    small = totals(layout(flatbuffer.compact(content)))
    assert small["names"] == small["metadata"] == 0
    none = layout(flatbuffer.compact(content))[None]
    assert none.get("weights", 0) == 0  # buffers that nobody reads are gone with their metadata


def test_times_add_up_to_the_whole(found):
    for graph in found.graphs:
        taken = [one.microseconds for one in graph.operators]
        assert graph.call + sum(taken) == pytest.approx(graph.microseconds)
        assert graph.call > 0 and all(one.spread >= 0 for one in graph.operators)
        delegated = {one.operator for one in graph.operators if one.delegated}
        assert "FULLY_CONNECTED" in delegated and "EMBEDDING_LOOKUP" not in delegated


def test_a_slow_operator_is_the_slow_one(tmp_path):
    layers = small_models.keras.layers
    model = small_models.keras.Sequential(
        [layers.Dense(16, input_shape=(16,)), layers.Dense(2048), layers.Dense(512)]
    )
    content = tfc.export(model, tmp_path / "m").model.read_bytes()
    times = [one.microseconds for one in time_operators(content, 0, repeats=5).operators]
    assert times[2] > 5 * max(times[0], times[1])


def test_cuts_compute_what_the_whole_computes(made, tmp_path):
    model = flatbuffer.read(made.model.read_bytes())
    graph = next(s.subgraphIndex for s in model.signatureDefs if s.signatureKey == b"scores")
    count = len(model.subgraphs[graph].operators)
    whole = first_operators(model, graph, count)
    assert len(whole.subgraphs) == 1 and len(flatbuffer.pack(whole)) < made.report["sizes"]["bytes"]
    ids = small_models.ids(1)
    expected = next(iter(tfc.LiteModel(made.model).run("scores", {"ids": ids}).values()))
    np.testing.assert_array_equal(run(whole, ids), expected)
    last = single_operator(model, graph, count - 1)
    before = run(first_operators(model, graph, count - 1), ids)
    np.testing.assert_array_equal(run(last, before), expected)


def run(model, value):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=flatbuffer.pack(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_a_loop_is_cut_with_the_graphs_that_it_runs(tmp_path):
    model = small_models.keras.Sequential(
        [small_models.keras.layers.GRU(8, input_shape=(4, 8)), small_models.keras.layers.Dense(2)]
    )
    path = tfc.export(model, tmp_path / "m").model
    found = tfc.inspect_file(path, repeats=1)
    by_signature = {graph.signature: graph for graph in found.graphs}
    assert "WHILE" in {one.operator for one in by_signature["serve"].operators}
    assert by_signature["serve"].microseconds > 0 and by_signature[None].microseconds is None
    owned = sum(o.weights + o.scales + o.graph for graph in found.graphs for o in graph.operators)
    assert owned + sum(found.elsewhere.values()) == path.stat().st_size


ONE = OperatorCost(
    0, "EMBEDDING_LOOKUP", ("int32[1, 5]", "int4[40, 12]"), ("float32[5, 12]",), 240, 168, 120, 0
)
TWO = OperatorCost(1, "MEAN", ("float32[5, 12]", "int32[]"), ("float32[12]",), 4, 0, 40, 8)
COSTS = Inspection(
    file="model.tflite",
    bytes=672,
    parts={"weights": 250, "scales": 168, "graph": 234, "metadata": 20},
    graph_parts={"operators": 100, "tensors": 74, "names": 0, "signatures": 40, "layout": 20},
    elsewhere={"weights": 6, "signatures": 40, "layout": 20, "operators": 14, "metadata": 20},
    graphs=(
        GraphCost(
            "serve",
            0,
            (
                replace(ONE, microseconds=1.5, spread=0.25, delegated=False),
                replace(TWO, microseconds=0.5, spread=0.125, delegated=True),
            ),
            microseconds=2.5,
            call=0.5,
        ),
        GraphCost(None, 1, (ONE,)),
    ),
    how="They took turns.",
    threads=1,
    repeats=9,
    runtime="LiteRT 1",
    older={"old 1.0": {"runs": None, "needs_newer": [], "not_measured": []}},
)
GOLDEN = """
model.tflite: bytes
┏━━━━━━━━━━━━━━┳━━━━━━━┳━━━━━━━━┳━━━━━━━━━━━━━━━━┓
┃ part         ┃ bytes ┃  share ┃ of no operator ┃
┡━━━━━━━━━━━━━━╇━━━━━━━╇━━━━━━━━╇━━━━━━━━━━━━━━━━┩
│ weights      │   250 │  37.2% │              6 │
│ scales       │   168 │  25.0% │              0 │
│ graph        │   234 │  34.8% │             74 │
│   operators  │   100 │  14.9% │             14 │
│   tensors    │    74 │  11.0% │              0 │
│   names      │     0 │   0.0% │              0 │
│   signatures │    40 │   6.0% │             40 │
│   layout     │    20 │   3.0% │             20 │
│ metadata     │    20 │   3.0% │             20 │
├──────────────┼───────┼────────┼────────────────┤
│ all          │   672 │ 100.0% │            100 │
└──────────────┴───────┴────────┴────────────────┘
serve: operators
┏━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━┳━━━━━━━━┳━━━━━━┳━━━━━━┳━━━━━━━━━┓
┃   ┃ operator         ┃ takes                     ┃ gives          ┃ weights ┃ scales ┃ graph ┃ shared ┃   µs ┃    ± ┃ XNNPACK ┃
┡━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━╇━━━━━━━━╇━━━━━━╇━━━━━━╇━━━━━━━━━┩
│ 0 │ EMBEDDING_LOOKUP │ int32[1, 5], int4[40, 12] │ float32[5, 12] │     240 │    168 │   120 │      0 │ 1.50 │ 0.25 │       - │
│ 1 │ MEAN             │ float32[5, 12], int32[]   │ float32[12]    │       4 │      0 │    40 │      8 │ 0.50 │ 0.12 │       x │
├───┼──────────────────┼───────────────────────────┼────────────────┼─────────┼────────┼───────┼────────┼──────┼──────┼─────────┤
│   │ the call         │                           │                │         │        │       │        │ 0.50 │      │         │
│   │ all              │                           │                │     244 │    168 │   160 │      8 │ 2.50 │      │         │
└───┴──────────────────┴───────────────────────────┴────────────────┴─────────┴────────┴───────┴────────┴──────┴──────┴─────────┘
serve: kinds of operators
┏━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━┳━━━━━━━━┳━━━━━━┳━━━━━━━┓
┃ operator         ┃ operators ┃ weights ┃ scales ┃ graph ┃ shared ┃   µs ┃ share ┃
┡━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━╇━━━━━━━━╇━━━━━━╇━━━━━━━┩
│ EMBEDDING_LOOKUP │         1 │     240 │    168 │   120 │      0 │ 1.50 │ 60.0% │
│ MEAN             │         1 │       4 │      0 │    40 │      8 │ 0.50 │ 20.0% │
└──────────────────┴───────────┴─────────┴────────┴───────┴────────┴──────┴───────┘
graph 1: operators
┏━━━┳━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━┳━━━━━━━━┳━━━━┳━━━┳━━━━━━━━━┓
┃   ┃ operator         ┃ takes                     ┃ gives          ┃ weights ┃ scales ┃ graph ┃ shared ┃ µs ┃ ± ┃ XNNPACK ┃
┡━━━╇━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━╇━━━━━━━━╇━━━━╇━━━╇━━━━━━━━━┩
│ 0 │ EMBEDDING_LOOKUP │ int32[1, 5], int4[40, 12] │ float32[5, 12] │     240 │    168 │   120 │      0 │    │   │         │
├───┼──────────────────┼───────────────────────────┼────────────────┼─────────┼────────┼───────┼────────┼────┼───┼─────────┤
│   │ all              │                           │                │     240 │    168 │   120 │      0 │    │   │         │
└───┴──────────────────┴───────────────────────────┴────────────────┴─────────┴────────┴───────┴────────┴────┴───┴─────────┘
graph 1: kinds of operators
┏━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━┳━━━━━━━┳━━━━━━━━┳━━━━┳━━━━━━━┓
┃ operator         ┃ operators ┃ weights ┃ scales ┃ graph ┃ shared ┃ µs ┃ share ┃
┡━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━╇━━━━━━━╇━━━━━━━━╇━━━━╇━━━━━━━┩
│ EMBEDDING_LOOKUP │         1 │     240 │    168 │   120 │      0 │    │       │
└──────────────────┴───────────┴─────────┴────────┴───────┴────────┴────┴───────┘
old 1.0: was not measured for all of it
LiteRT 1, threads: 1, rounds: 9.
They took turns.
"""


def test_the_tables_of_a_file():
    text = "\n".join(line.strip() for line in costs_text(COSTS).splitlines())
    assert text == GOLDEN.strip()


@pytest.fixture
def flags():
    script.flags.FLAGS(["inspect"])


def test_the_script_prints_tables_and_json(made, capsys, flags):
    with flagsaver.flagsaver(repeats=1, signature="best"):
        script.main(["inspect", str(made.model)])
    text = capsys.readouterr().out
    assert "best: operators" in text and "scores: operators" not in text and "TOPK_V2" in text
    with flagsaver.flagsaver(repeats=0, json=True):
        script.main(["inspect", str(made.model)])
    data = json.loads(capsys.readouterr().out)
    assert data["bytes"] == made.report["sizes"]["bytes"] and data["how"] is None
    assert [graph["signature"] for graph in data["graphs"]] == ["best", "scores"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory); expected a file."),
        (b"", "is not a TFLite file: received 0 bytes"),
        (b"PK\3\4 and more than eight bytes", "expected TFL3 at byte 4"),
        (0.6, "is cut off"),
        (0.98, "is cut off"),
    ],
    ids=["none", "empty", "another", "half", "nearly whole"],
)
def test_what_is_no_whole_tflite_file_is_refused(content, message, made, tmp_path, flags):
    path = tmp_path / "model.tflite"
    if isinstance(content, float):
        whole = made.model.read_bytes()
        content = whole[: int(content * len(whole))]
    if content is not None:
        path.write_bytes(content)
    with flagsaver.flagsaver(repeats=1), pytest.raises(SystemExit) as stopped:
        script.main(["inspect", str(path)])
    assert message in str(stopped.value)


def test_an_unknown_signature_is_refused(made):
    with pytest.raises(tfc.ExportError, match=r"no signature 'x'; expected one of \['best', 'sc"):
        tfc.inspect_file(made.model, "x")


@pytest.mark.parametrize("name", ["repeats", "threads"])
def test_rounds_and_threads_are_at_least_one(name, made):
    with pytest.raises(tfc.ExportError, match=f"{name} is -1, expected at least 1"):
        tfc.inspect_file(made.model, **{"repeats": 1, name: -1})


def test_parts_that_overlap_are_refused():
    bytes_ = Bytes(10)
    bytes_.take(0, 6, "a")
    bytes_.take(4, 8, "b")
    with pytest.raises(tfc.ExportError, match="Parts of the file overlap at byte 4"):
        list(bytes_.shares())
    with pytest.raises(tfc.ExportError, match="cut off: it has 10 bytes, and refers to byte 11"):
        bytes_.take(8, 11, "c")


def test_tables_are_read_as_the_schema_has_them(made):
    content = made.model.read_bytes()
    model, table = flatbuffer.read(content), root(content, "it")
    assert table.number(0, number_types.Uint32Flags) == model.version
    assert len(table.tables(2)) == len(model.subgraphs)
    assert table.tables(2)[0].numbers(1) == list(model.subgraphs[0].inputs)
    assert [len(g.tables(3)) for g in table.tables(2)] == [
        len(g.operators) for g in model.subgraphs
    ]


def test_the_committed_file_is_counted_to_the_byte():
    found = tfc.inspect_file(MOBILE, repeats=0)
    owned = sum(o.weights + o.scales + o.graph for graph in found.graphs for o in graph.operators)
    assert owned + sum(found.elsewhere.values()) == found.bytes == sum(found.parts.values())
