"""The application as BentoML runs it: one service, whose requests pass by BentoML's own middleware.

That middleware (access log, metrics by raw path, OpenTelemetry) costs more than three times what an answer does, and
none of it can be switched off. So `to_asgi`, from which BentoML's worker takes its application, is given one in front
that answers every HTTP request itself and leaves the life of the service to BentoML; and uvicorn gets a protocol that
goes to it straight. That leans on one method of one version, and on the uvicorn that is locked beside it: another
version of BentoML is told so in the log, and reaches the same application by its mounted path.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from pathlib import Path
from typing import Any

from mlops_tui.records import Serving, from_json
from mlops_tui.service.guard import keys_from_environment
from mlops_tui.service.http import App
from mlops_tui.service.roles import Cast
from mlops_tui.service.wire import direct
from mlops_tui.spool import from_environment

PASSED_BY = "1.4.39"  # the version of BentoML whose to_asgi is known
log = logging.getLogger("mlops_tui.service")


def make(folder: Path) -> Any:
    """Return the BentoML service that answers for the model version in a folder, loaded when it starts."""
    import bentoml

    app = App()

    # BentoML's own metrics are labelled by the raw path, which any client can make grow without bound.
    @bentoml.service(name="model", workers=1, traffic={"timeout": 3600}, metrics={"enabled": False})
    @bentoml.asgi_app(app, path="/")
    class Model:
        def __init__(self) -> None:
            _open(app, folder)

        @bentoml.on_shutdown  # type: ignore[untyped-decorator]
        def finish(self) -> None:
            _close(app)

    _pass_by(Model, app)
    return Model


def _open(app: App, folder: Path) -> None:
    """Load the models, and begin to look at the files that say which and who may ask."""
    logging.getLogger("uvicorn.access").propagate = False  # else every request is made into a line that nobody reads
    control, loop = os.environ.get("MLOPS_CONTROL"), asyncio.get_running_loop()
    said = os.environ.get("MLOPS_SERVING")
    serving = from_json(said.encode(), Serving) if said else None
    cast = Cast(folder, Path(control) if control else None, loop.call_soon_threadsafe, serving)
    keys = keys_from_environment()
    app.open(cast, from_environment(os.environ), keys)
    cast.start(keys.refresh)
    gc.collect()
    gc.set_threshold(20_000, 20, 20)  # a request makes a few dozen objects, and no circles of them
    gc.freeze()  # what is loaded stays: a full collection need not look at it again in the middle of requests


def _close(app: App) -> None:
    """Write what was answered before all else: who stopped us waits for twelve seconds at most."""
    if app.spool is not None:
        app.spool.close()
    app.shadow.close()
    app.cast.close()


def _pass_by(service: Any, app: App) -> None:
    """Have the application answer every HTTP request itself, in one write; the lifespan stays BentoML's."""
    import bentoml

    # uvicorn would let any client of this machine say by X-Forwarded-For who it is, and pace goes by that
    trusted = os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    if bentoml.__version__ != PASSED_BY:
        text = "BentoML %s is not the %s that this service knows: it answers more slowly"
        log.warning(text, bentoml.__version__, PASSED_BY)
        return
    from uvicorn.protocols.http import auto

    original = getattr(auto.AutoHTTPProtocol, "original", auto.AutoHTTPProtocol)
    auto.AutoHTTPProtocol = direct(original, app, bool(trusted))  # BentoML's worker lets uvicorn choose
    kind: Any = type(service)

    class Front(kind):  # type: ignore[misc]
        """BentoML's service, with a shorter way in; it has no slots of its own, so that the service can become one."""

        __slots__ = ()

        def to_asgi(self, is_main: bool = True) -> Any:
            app.inner = super().to_asgi(is_main=is_main)
            return app

    object.__setattr__(service, "__class__", Front)
