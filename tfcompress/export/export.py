"""The verb: a trained model becomes a verified folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tfcompress.apply import finalize
from tfcompress.distillation import Distiller
from tfcompress.errors import ExportError
from tfcompress.export import activations, sizes
from tfcompress.export.apart import ApartModel
from tfcompress.export.attachments import files_of
from tfcompress.export.contents import Whole, contents
from tfcompress.export.done import spec_of
from tfcompress.export.edges import Edges
from tfcompress.export.find import stored_weights
from tfcompress.export.lookups import Lifted, lift
from tfcompress.export.malformed import check_lookups
from tfcompress.export.rows import asked_of, layer_rows
from tfcompress.export.runtimes import runtimes
from tfcompress.export.signature import Signature, default_signatures
from tfcompress.export.stand_in import mapped_tables
from tfcompress.export.stretched import Stretched
from tfcompress.export.verify import Agreement, Asked, Inputs, example_inputs, verify
from tfcompress.export.write import check_room, whole_folder
from tfcompress.page import PAGE, REPORT, report_json, report_page
from tfcompress.report import report_text

MODEL = "model.tflite"
_PACKAGES = ("tensorflow", "tf-keras", "litert-quantizer", "ai-edge-litert")
_FLOAT_TOLERANCE = 1e-3
_QUANTIZED_TOLERANCE = 0.1


@dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Attributes:
        folder: where it is.
        report: the content of its `report.json`.
    """

    folder: Path
    report: dict[str, Any]

    @property
    def model(self) -> Path:
        """The TFLite file."""
        return self.folder / MODEL

    def __str__(self) -> str:
        return report_text(self.report)


def export(
    model: Any,
    directory: str | Path,
    signatures: Mapping[str, Signature] | None = None,
    verify_with: Mapping[str, Sequence[Inputs]] | None = None,
    tolerance: float | None = None,
    files: Mapping[str, str | bytes] | None = None,
    evaluate: Callable[[Path], Mapping[str, Any]] | None = None,
) -> Exported:
    """Writes `model.tflite`, `spec.json`, `report.json` and more, once they are proven.

    The weights are those that training saw; tables become EMBEDDING_LOOKUP, stored once however
    often they are used; each layer is stored in its own bits, and without its zeros where that
    makes the file smaller and not slower (`sparse_kernels` in the report). Lookups of tokens are
    left to the app: in their place the file takes ids, int32, and `read_vocabularies` gives what
    makes them (`lookups` in the report); any other number counts as a default id. The file is
    loaded with LiteRT, run, and compared with the Keras model, also with the first and the last id
    of its tables, and with sizes of 1 and 3 where an input may have any (`edges` in the report);
    only then does the folder take its place. `report.html` in it is the report as a page.

    Args:
        model: a trained model, compressed or not; a `Distiller` gives its student.
        directory: the folder to write. What is there stays until the new one is complete.
        signatures: what the file can be asked; by default `serve`, which calls the model.
        verify_with: for each signature the inputs of some calls to compare on.
        tolerance: the largest deviation of an output, as a share of its size; by default 0.001,
            and 0.1 where weights are quantized to 8 bits or fewer (LiteRT then rounds activations
            to 8 bits).
        files: names and contents of files to put beside the model.
        evaluate: given the file before it moves into place, returns what goes into the report
            under `evaluation`.

    Raises:
        ExportError: the model does not convert, or the file does not load, run or agree, with the
            first layer that deviates. Nothing was written then.

    Example:
        >>> import tempfile, tf_keras as keras
        >>> import tfcompress as tfc
        >>> model = keras.Sequential([keras.layers.Dense(64, input_shape=(32,))])
        >>> student = tfc.apply(model, tfc.Spec([tfc.rule(tfc.by_type("Dense"), tfc.Quantize(8))]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = tfc.export(student, folder + "/small")
        >>> result.report["sizes"]["bytes"] < 4 * 32 * 64
        True
    """
    model = model.student if isinstance(model, Distiller) else model
    signatures = dict(signatures or default_signatures(model))
    lifted = lift(finalize(model), signatures)
    batches = _batches(model, signatures, verify_with, lifted)
    asked = lifted.calls(batches)
    if tolerance is None:
        tolerance = _QUANTIZED_TOLERANCE if _is_rounded(model) else _FLOAT_TOLERANCE

    def check(file: Path | Asked) -> list[Agreement]:
        return verify(file, model, signatures, batches, tolerance, asked)

    edges = Edges.of(lifted, batches)
    content, kernels = contents(model, lifted, check, asked)
    target = Path(directory)
    check_room(target, content.bytes)
    with whole_folder(target) as folder:
        path = folder / MODEL
        content.write(path)
        with content.run(path) as lite:
            agreements = check(lite)
            tried = edges.verify(lite, model, signatures, agreements, tolerance)
            check_lookups(lite, lifted.inputs, asked)
        report = _report(model, content) | lifted.report()
        if isinstance(lite, ApartModel):
            report["peak_bytes_of_litert"] = lite.peak_bytes
        if kernels is not None:
            report["sparse_kernels"] = kernels
        report["verification"] = [asdict(one) for one in agreements]
        report["edges"] = [asdict(one) for one in tried]
        if evaluate is not None:
            report["evaluation"] = dict(evaluate(path))
        report = json.loads(json.dumps(report))  # what is returned is what stands in the file
        inside = {file.name: file.content for file in files_of(lifted.inputs)}
        _write(folder, target.resolve().name, model, report, inside | dict(files or {}))
    return Exported(target, report)


def _is_rounded(model: Any) -> bool:
    """Whether LiteRT computes with weights of 8 bits or fewer."""
    tables = mapped_tables(model).values()
    return any(weight.codes is not None for weight in stored_weights(model)) or any(
        table.quantizer is not None for table in tables
    )


def _batches(
    model: Any,
    signatures: Mapping[str, Signature],
    given: Mapping[str, Sequence[Inputs]] | None,
    lifted: Lifted,
) -> Mapping[str, Sequence[Inputs]]:
    if given is None:
        return lifted.examples(example_inputs(model, signatures))
    missing = sorted(set(signatures) - {name for name, batches in given.items() if len(batches)})
    if missing:
        raise ExportError(
            f"verify_with has no inputs for the signature {missing[0]!r}; expected some for each "
            f"of {sorted(signatures)}."
        )
    return given


def _write(
    folder: Path, title: str, model: Any, report: dict[str, Any], files: Mapping[str, str | bytes]
) -> None:
    spec = spec_of(model)
    if spec is not None:
        (folder / "spec.json").write_text(spec.to_json() + "\n")
    for name, text in files.items():
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / REPORT).write_text(report_json(report) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(report_page(report, spec, title), encoding="utf-8")


def _report(model: Any, written: Whole | Stretched) -> dict[str, Any]:
    content = written.outline
    return {
        "sizes": written.counted(sizes.byte_counts(content)),
        "graph_bytes": sizes.graph_bytes(content),
        "parameters": sizes.parameters(content),
        "multiply_adds": sizes.multiply_adds(content),
        "operators": sizes.operators(content),
        "runtimes": runtimes(content),
        **activations.of_file(model, content),
        **asked_of(model),
        "layers": layer_rows(model),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
