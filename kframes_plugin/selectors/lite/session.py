"""An ONNX graph that is read on first use, and again in another process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.errors import SelectorError


class LazySession:
    """A session of ONNX Runtime, made on first use; can be pickled, and is made anew after a fork.

    Args:
        file: the graph, .onnx.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._session: Any = None
        self._process = 0

    def __call__(self, **inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Run the graph and return its first output.

        Raises:
            SelectorError: the graph is missing or cannot be read.
        """
        if self._process != os.getpid():  # threads of a session do not survive a fork
            self._session, self._process = _open(self.file), os.getpid()
        output: NDArray[np.float32] = self._session.run(None, inputs)[0]
        return output

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file, "_session": None, "_process": 0}


def _open(file: Path) -> Any:
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidProtobuf, NoSuchFile

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # for others on the cores
    options.log_severity_level = 3  # errors only
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except (NoSuchFile, InvalidProtobuf, Fail) as error:
        raise SelectorError(
            f"cannot read {file}: {error}; reinstall kframes, or run training/recipes/lite.sh"
        ) from error


def count_threads() -> int:
    """OMP_NUM_THREADS where it is a number, else the cores this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
