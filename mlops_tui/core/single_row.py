"""LightGBM's prediction of one row, set up once: a tenth of what `Booster.predict` costs, with the same bits."""

from __future__ import annotations

import ctypes
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
    """The prediction of one row of float64, shape (features,), as an array of shape (classes,) or (1,).

    Safe in several threads, which take turns: the library writes into one place set up beforehand.
    """

    def __init__(self, booster: lgb.Booster) -> None:
        library: Any = vars(lgb.basic)["_LIB"]  # the library that LightGBM's own package has loaded
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
        self._row = np.zeros(self._features)
        self._length = ctypes.c_int64()
        place = self._row.ctypes.data_as(ctypes.c_void_p)
        out = self._out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        self._given = self._config, place, ctypes.byref(self._length), out
        self._call, self._lock = library.LGBM_BoosterPredictForMatSingleRowFast, threading.Lock()

    def __call__(self, row: Sequence[float | None]) -> Floats:
        """Return the prediction of a row; None and NaN are missing values. Raises ValueError for another length."""
        if len(row) != self._features:
            raise ValueError(f"a row has {self._features} values, not {len(row)}")
        with self._lock:
            self._row[:] = row
            if self._call(*self._given):
                raise RuntimeError("LightGBM cannot predict the row")
            return self._out.copy()

    def __del__(self) -> None:
        if getattr(self, "_config", None):
            self._free(self._config)
