"""Int8 files of the kind that other tools write: QDQ, by onnxruntime's static quantization."""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class _Samples(CalibrationDataReader):
    """Calibration samples, one at a time."""

    def __init__(self, arrays) -> None:
        (self._name,) = arrays.files
        self._rest = iter(arrays[self._name])

    def get_next(self):
        sample = next(self._rest, None)
        return None if sample is None else {self._name: sample[None]}


def quantize(model: Path, quantized: Path, calibration) -> None:
    """Int8 activations, int8 weights with a scale per channel, min-max calibration."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Samples(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )
    # The tool marks its own version and adds shapes that follow from the graph.
    exported = onnx.load(quantized)
    exported.graph.name = quantized.stem
    del exported.graph.value_info[:]
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, quantized)
