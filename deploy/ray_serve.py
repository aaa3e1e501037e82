"""`vita serve` as a Ray Serve deployment: replicas on as many machines as a Ray cluster has, scaled by their load.

    pip install 'vita-omni[serve]' 'ray[serve]'
    serve run deploy.ray_serve:build model=pocket replicas=2

A websocket stays with its replica. Whatever else belongs together (a session that is resumed, a spoken reply that is
sent back) carries the same `x-session-id` header, which Ray's router hashes: docs/scale.md. The key that clients need
is in VITA_API_KEY, as for `vita serve`; there is no way to give it here, so that it is in no log of Ray's.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import os
from typing import Any

from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig

ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"


def build(arguments: dict[str, str]) -> Any:
    """The application.

    Args:
        arguments: model; vllm_url, of a vLLM server that runs the same model; sessions, of a replica (4); replicas, the
            least and first number (1); most, replicas (the same); gpus, of a replica (0).
    """
    sessions, least = int(arguments.get("sessions", "4")), int(arguments.get("replicas", "1"))
    model, vllm_url = arguments.get("model", "pocket"), arguments.get("vllm_url")
    keys = tuple(filter(None, [os.environ.get("VITA_API_KEY")]))

    def make_app() -> Any:
        """In each replica."""
        import vita.api
        from vita.server.app import create_app
        from vita.server.settings import ServerSettings

        assistant = vita.api.load_vllm(model, vllm_url) if vllm_url else vita.api.load(model)
        name = model.rstrip("/").rpartition("/")[2]
        settings = ServerSettings(
            model_name=name, api_keys=keys, max_sessions=sessions, max_sessions_per_client=sessions
        )
        return create_app(assistant.engine, settings)

    deployment = serve.deployment(
        serve.ingress(make_app)(),
        name="vita",
        max_ongoing_requests=2 * sessions,
        autoscaling_config=AutoscalingConfig(
            min_replicas=least,
            max_replicas=max(least, int(arguments.get("most", least))),
            target_ongoing_requests=max(1, sessions * 3 // 4),
            downscale_delay_s=600,
        ),
        request_router_config=RequestRouterConfig(request_router_class=ROUTER),
        graceful_shutdown_timeout_s=60,
        ray_actor_options={"num_cpus": 1, "num_gpus": float(arguments.get("gpus", "0"))},
    )
    return deployment.bind()
