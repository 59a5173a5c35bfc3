"""LightGBM's prediction of one row, set up once: a tenth of what `Booster.predict` costs, with the same bits."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Sequence
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL = 0  # C_API_PREDICT_NORMAL: after sigmoid or softmax, as Booster.predict
FLOAT64 = 1  # C_API_DTYPE_FLOAT64


class SingleRow:
    """The prediction of one row of numbers, None and NaN for what is missing.

    Safe in several threads, which take turns: the library writes into one place set up beforehand. A call keeps
    Python's lock: it takes some microseconds, and giving the lock away and getting it back may take more.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        library: Any = ctypes.PyDLL(vars(lgb.basic)["_LIB"]._name)  # what LightGBM's own package has loaded
        self._booster = booster  # owns what the library reads
        self._features, self._outputs = booster.num_feature(), booster.num_model_per_iteration()
        self._config = ctypes.c_void_p()
        status = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(FLOAT64),
            ctypes.c_int32(self._features),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._config),
        )
        if status:
            raise RuntimeError("LightGBM cannot set up one-row predictions")
        self._free = library.LGBM_FastConfigFree
        self._row = np.zeros(self._features)
        self._bytes: Any = self._row  # an array is a buffer, though its type does not say so
        self._pack = struct.Struct(f"{self._features}d").pack_into
        self._out = (ctypes.c_double * self._outputs)()
        self._length = ctypes.c_int64()
        place = self._row.ctypes.data_as(ctypes.c_void_p)
        self._given = self._config, place, ctypes.byref(self._length), ctypes.byref(self._out)
        self._call, self._lock = library.LGBM_BoosterPredictForMatSingleRowFast, threading.Lock()

    def value(self, row: Sequence[float | None]) -> float:
        """Return the prediction of a row by a model of one output; raises ValueError for a row of another length."""
        with self._lock:
            self._fill(row)
            if self._call(*self._given):
                raise RuntimeError("LightGBM cannot predict the row")
            return self._out[0]

    def of_numbers(self, row: Sequence[float | None]) -> float | None:
        """Return what `value` does for a row of numbers only, and None for any other."""
        with self._lock:
            try:
                self._pack(self._bytes, 0, *row)
            except struct.error:
                return None
            if self._call(*self._given):
                raise RuntimeError("LightGBM cannot predict the row")
            return self._out[0]

    def __call__(self, row: Sequence[float | None]) -> Floats:
        """Return the prediction of a row, shape (outputs,); raises ValueError for a row of another length."""
        with self._lock:
            self._fill(row)
            if self._call(*self._given):
                raise RuntimeError("LightGBM cannot predict the row")
            return np.array(self._out)

    def _fill(self, row: Sequence[float | None]) -> None:
        if len(row) != self._features:
            raise ValueError(f"a row has {self._features} values, not {len(row)}")
        try:
            self._pack(self._bytes, 0, *row)
        except struct.error:  # of a None, which numpy reads as NaN
            self._row[:] = row

    def __del__(self) -> None:
        if getattr(self, "_config", None):
            self._free(self._config)
