"""The BentoML service: ``bentoml serve serving.service:SafePickleService``.

All routes are in the mounted application (:mod:`serving.app`). The service has no ``@bentoml.api`` method, so
none of BentoML's own request formats, one of which is a pickle, is reachable.
"""

from __future__ import annotations

import bentoml

from serving.app import create_app
from serving.logs import configure
from serving.settings import Settings

SETTINGS = Settings.from_environment()
APP = create_app(SETTINGS)
LONGEST_REQUEST = 86_400.0

configure(SETTINGS.log_format)


@bentoml.service(
    name="safepickle",
    workers=SETTINGS.workers,
    # Uploads and scans have limits of their own, which end with a problem document.
    traffic={"timeout": LONGEST_REQUEST},
    # BentoML's metrics have the raw path as a label: one time series for each scan id. Ours replace them.
    metrics={"enabled": False},
    # Spans that nobody exports cost more than a small scan.
    tracing={"excluded_urls": [".*"]},
    # Each scan is in the database with who asked for it.
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(APP)
class SafePickleService:
    """Scans model files and learns from what analysts say about them."""

    async def __is_ready__(self) -> bool:
        ready: bool = await APP.state.runtime.is_ready()
        return ready
