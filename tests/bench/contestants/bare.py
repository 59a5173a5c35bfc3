"""The least that answers the same question: msgspec, LightGBM's C call and nothing else; `uvicorn bare:app`."""

from __future__ import annotations

import ctypes
import os
from operator import attrgetter
from pathlib import Path
from typing import Any

import lightgbm as lgb
import msgspec
import numpy as np

BOOSTER = lgb.Booster(model_str=Path(os.environ["BENCH_MODEL"]).read_text(encoding="utf-8"))
FEATURES = BOOSTER.num_feature()
NAMES = [f"feature_{at:02}" for at in range(FEATURES)]
Row: Any = msgspec.defstruct("Row", [(name, float) for name in NAMES], gc=False)
Body: Any = msgspec.defstruct("Body", [("rows", list[Row])])
DECODER, ENCODER, VALUES = msgspec.json.Decoder(Body), msgspec.json.Encoder(), attrgetter(*NAMES)
KIND = (b"content-type", b"application/json")

LIBRARY: Any = lgb.basic._LIB
CONFIG, LENGTH = ctypes.c_void_p(), ctypes.c_int64()
ROW, OUT = np.zeros(FEATURES), np.zeros(1)
kinds = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(-1), ctypes.c_int(1), ctypes.c_int32(FEATURES)
LIBRARY.LGBM_BoosterPredictForMatSingleRowFastInit(
    BOOSTER._handle, *kinds, ctypes.c_char_p(b"num_threads=1"), ctypes.byref(CONFIG)
)
ARGUMENTS = CONFIG, ctypes.c_void_p(ROW.ctypes.data), ctypes.byref(LENGTH), ctypes.c_void_p(OUT.ctypes.data)
PREDICT = LIBRARY.LGBM_BoosterPredictForMatSingleRowFast


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer {"rows": [...]} with {"predictions": [...]}, whatever the path."""
    message = await receive()
    body = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    rows = DECODER.decode(body).rows
    if len(rows) == 1:
        ROW[:] = VALUES(rows[0])
        PREDICT(*ARGUMENTS)
        chances = [float(OUT[0])]
    else:
        chances = BOOSTER.predict(np.array([VALUES(row) for row in rows]), num_threads=1).tolist()
    answer = ENCODER.encode({"predictions": [{"prediction": p > 0.5, "probability": p} for p in chances]})
    head = [KIND, (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})
