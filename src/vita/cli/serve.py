"""`vita serve`: a model behind OpenAI's interfaces, for every client that exists already."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vita.cli.model_options import add_model_options, add_placement_options, loading_options
from vita.errors import ConfigError, DependencyError, VitaError

if TYPE_CHECKING:
    import socket
    from collections.abc import MutableMapping
    from multiprocessing.connection import Connection

    from vita.api import Assistant
    from vita.server.settings import ServerSettings

SUMMARY = "serve a model to every client of OpenAI's interfaces"
USAGE = "[options]"
_MODULES = ("fastapi", "uvicorn", "websockets", "prometheus_client", "cryptography", "python_multipart")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    model = parser.add_argument_group("the model")
    add_model_options(model)
    add_placement_options(model)
    model.add_argument("--engine", choices=("local", "vllm"), default="local",
                       help="what runs it: PyTorch in this process, or vLLM (default: local)")  # fmt: skip
    model.add_argument("--vllm-url", metavar="URL", action="append", default=[],
                       help="a vLLM server with this model; without it one is started; given twice, the two roles of "
                       "a live conversation are on two servers")  # fmt: skip
    model.add_argument("--vllm-option", metavar="--NAME=VALUE", action="append", default=[],
                       help="an option for the vLLM server that is started; repeatable")  # fmt: skip
    where = parser.add_argument_group("where")
    where.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    where.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000; 0: a free one)")
    where.add_argument(
        "--tls", metavar="self-signed|CERT,KEY", help="serve https: with a certificate made here, or yours"
    )
    who = parser.add_argument_group("who, and how many")
    who.add_argument("--api-key", metavar="KEY", action="append", default=[],
                     help="clients need this key; repeatable (also read from VITA_API_KEY)")  # fmt: skip
    who.add_argument(
        "--max-sessions",
        metavar="N",
        type=int,
        default=4,
        help="replies, and realtime sessions, at a time, of each worker (default: 4)",
    )
    who.add_argument("--max-cached-tokens", metavar="N", type=int,
                     help="tokens that all conversations of a worker may keep in their KV caches "
                     "(default: no limit)")  # fmt: skip
    who.add_argument("--workers", metavar="N", type=int, default=1,
                     help="processes behind this address, each with a model of its own, or all on one vLLM server "
                     "(default: 1)")  # fmt: skip
    who.add_argument("--record", metavar="DIR", type=Path,
                     help="record live conversations there for debugging, sound and events, up to 1 GiB")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(f"serving needs {', '.join(missing)}", fix="pip install 'vita-omni[serve]'")
    from vita.memory import bound_heaps
    from vita.server.serving import Endpoint, listen, serve

    bound_heaps(2)
    if arguments.workers < 1:
        raise ConfigError("--workers is not usable", got=arguments.workers, expected="1 or more")
    arguments.api_key = [*arguments.api_key, *filter(None, [os.environ.get("VITA_API_KEY")])]
    settings = _settings(arguments)
    _check_engine(arguments)
    folder = Path.home() / ".cache" / "vita" / "tls"
    endpoint = Endpoint(host=arguments.host, port=arguments.port, tls=arguments.tls, certificate_folder=folder)
    endpoint.certificate()
    listening = listen(endpoint)
    if not settings.api_keys and not endpoint.is_local:
        print("vita: warning: other machines can use this server without a key; give --api-key", file=sys.stderr)
    if arguments.record:
        print(f"vita: warning: live conversations are recorded in {arguments.record}", file=sys.stderr)

    def say_where(url: str) -> None:
        print(_banner(settings.model_name, endpoint.tls).format(url=url), flush=True)

    if arguments.workers > 1:
        from vita.server.workers import serve_by_workers

        if arguments.engine == "vllm" and not arguments.vllm_url:
            from vita.api import start_vllm

            arguments.vllm_url = [start_vllm(arguments.model, dtype=arguments.dtype, options=arguments.vllm_option)]
        work = partial(_work, arguments)
        serve_by_workers(work, arguments.workers, endpoint, listening, when_ready=say_where)
        return 0
    from vita.server.app import create_app

    serve(create_app(_load(arguments).engine, settings), endpoint, listening, when_ready=say_where)
    return 0


def _work(
    arguments: argparse.Namespace,
    number: int,
    listening: socket.socket,
    telling: Connection,
    said: MutableMapping[str, tuple[float, str]],
) -> None:
    """A worker of several, in its own process; see vita.server.workers."""
    from vita.memory import bound_heaps
    from vita.server.app import create_app
    from vita.server.serving import Endpoint, serve
    from vita.server.transcripts import Transcripts

    bound_heaps(2)
    try:
        app = create_app(_load(arguments).engine, _settings(arguments, number), transcripts=Transcripts(kept=said))
        if arguments.engine == "local":
            _share_processors(arguments.workers)
        serve(app, Endpoint(), listening, when_ready=telling.send)
    except VitaError as error:
        print(f"vita: error: {error}", file=sys.stderr)
        sys.exit(2)


def _share_processors(workers: int) -> None:
    """PyTorch's threads of each worker, so that all together have as many as one alone would."""
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def _settings(arguments: argparse.Namespace, worker: int | None = None) -> ServerSettings:
    from vita.server.settings import ServerSettings

    return ServerSettings(
        model_name=arguments.model if "/" not in arguments.model else Path(arguments.model).name,
        api_keys=tuple(arguments.api_key),
        worker=worker,
        host_names=(arguments.host,),
        max_sessions=arguments.max_sessions,
        max_sessions_per_client=arguments.max_sessions,
        record_to=arguments.record,
    )


def _check_engine(arguments: argparse.Namespace) -> None:
    """Raises ConfigError for options that belong to the other engine."""
    if arguments.engine == "local":
        if arguments.vllm_url or arguments.vllm_option:
            raise ConfigError("--vllm-url and --vllm-option belong to --engine vllm", fix="add --engine vllm")
        return
    if arguments.device_map or arguments.quantize or arguments.offload_dir or arguments.max_cached_tokens is not None:
        raise ConfigError(
            "--device-map, --quantize, --offload-dir and --max-cached-tokens belong to --engine local",
            fix="use vLLM's own: --vllm-option",
        )
    if arguments.vllm_url and arguments.vllm_option:
        raise ConfigError("--vllm-option is for a server that is started here", fix="leave out --vllm-url")


def _load(arguments: argparse.Namespace) -> Assistant:
    """The model on the engine asked for. The key of a vLLM server is read from VLLM_API_KEY, as vLLM itself does."""
    from vita.api import load, load_vllm

    if arguments.engine == "local":
        return load(arguments.model, max_cached_tokens=arguments.max_cached_tokens, **loading_options(arguments))
    return load_vllm(
        arguments.model,
        arguments.vllm_url,
        dtype=arguments.dtype,
        options=arguments.vllm_option,
        api_key=os.environ.get("VLLM_API_KEY"),
    )


def _banner(model: str, tls: str | None) -> str:
    lines = [f"serving {model} at {{url}}/v1 (Ctrl-C to stop)", "the page: {url}/"]
    if tls is None:
        lines.append("browsers give a microphone only to localhost or https: for other machines add --tls self-signed")
    elif tls == "self-signed":
        lines.append("browsers warn of a self-signed certificate once; then they give a microphone")
    return "\n".join(lines)
