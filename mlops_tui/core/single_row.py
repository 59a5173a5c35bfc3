"""LightGBM's prediction of one row, set up once: a tenth of what `Booster.predict` costs, with the same bits."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL = 0  # C_API_PREDICT_NORMAL: after sigmoid or softmax, as Booster.predict
FLOAT64 = 1  # C_API_DTYPE_FLOAT64


class SingleRow:
    """The prediction of one row of float64, shape (features,), as an array of shape (classes,) or (1,).

    Safe in several threads, which take turns: the library writes into one place set up beforehand.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        library: Any = lgb.basic._LIB  # the library that LightGBM's own package has loaded
        self._booster = booster  # owns what the library reads
        self._features = booster.num_feature()
        self._out = np.zeros(booster.num_model_per_iteration())
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
            raise RuntimeError(f"LightGBM cannot set up one-row predictions: {library.LGBM_GetLastError()}")
        self._free = library.LGBM_FastConfigFree
        self._length = ctypes.c_int64()
        self._fixed = ctypes.byref(self._length), self._out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._call, self._lock = call, threading.Lock()

    def __call__(self, row: Floats) -> Floats:
        """Return the prediction of a contiguous row."""
        if row.shape != (self._features,) or not row.flags.c_contiguous or row.dtype != np.float64:
            raise ValueError(f"a row is {self._features} contiguous float64, not {row.shape} of {row.dtype}")
        with self._lock:
            if self._call(self._config, ctypes.c_void_p(row.ctypes.data), *self._fixed):
                raise RuntimeError("LightGBM cannot predict the row")
            return self._out.copy()

    def __del__(self) -> None:
        if getattr(self, "_config", None):
            self._free(self._config)
