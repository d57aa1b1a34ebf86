"""Summaries of all sources, made in a process pool or on a Dask cluster, and kept by version and analysis code."""

from __future__ import annotations

import ast
import gc
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from .sources import CACHE, Manifest, Source
from .summary import PackageSummary, analyse

SUMMARIES = CACHE / "summaries"


def summarise(sources: Iterable[Source], manifest: Manifest) -> None:
    """Make the summaries that are not kept yet."""
    code = analysis_code()
    SUMMARIES.mkdir(parents=True, exist_ok=True)
    missing = [source for source in sources if not _kept(source, code).exists()]
    if not missing:
        return
    with executor(manifest) as pool:
        futures = {
            pool.submit(_summarise, str(source.folder), source.package, source.version): source for source in missing
        }
        for done, future in enumerate(as_completed(futures), 1):
            source = futures[future]
            kept = _kept(source, code)
            partial = kept.with_suffix(".part")
            partial.write_bytes(future.result())
            partial.rename(kept)
            print(f"analysed {source.package} {source.version} ({done} of {len(missing)})", file=sys.stderr)


def read_summary(source: Source) -> PackageSummary:
    """The summary of a source that :func:`summarise` made."""
    data = zlib.decompress(_kept(source, analysis_code()).read_bytes())
    return PackageSummary.from_json(json.loads(data))


def _summarise(folder: str, package: str, version: str) -> bytes:
    with growing():
        summary = analyse(Path(folder), package, version)
    return zlib.compress(json.dumps(summary.to_json(), separators=(",", ":")).encode(), 6)


@contextmanager
def growing() -> Iterator[None]:
    """Collect no garbage while something is built of which nearly all stays: a third of the time went into that."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


@contextmanager
def executor(manifest: Manifest) -> Iterator[Executor]:
    """A pool of processes here, or the cluster whose scheduler's address params.yaml gives.

    The workers of a cluster must see the same folders.
    """
    if manifest.dask is None:
        with ProcessPoolExecutor(manifest.jobs) as pool:
            yield pool
        return
    try:
        from distributed import Client
    except ImportError:
        raise SystemExit("capabilities.dask needs Dask: pip install -e '.[cluster]'") from None
    with Client(manifest.dask) as client, client.get_executor() as cluster:
        yield cluster


def _kept(source: Source, code: str) -> Path:
    return SUMMARIES / f"{source.package}-{source.version}-{code}.json.z"


_code: dict[str, str] = {}


def analysis_code() -> str:
    """A short hash of the modules that summaries depend on: when it changes, they are made again."""
    if "" not in _code:
        folder = Path(__file__).parent
        seen = {"summary"}
        waiting = ["summary"]
        digest = sha256()
        while waiting:
            source = (folder / f"{waiting.pop()}.py").read_bytes()
            digest.update(sha256(source).digest())
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module and node.module not in seen:
                    seen.add(node.module)
                    waiting.append(node.module)
        _code[""] = digest.hexdigest()[:12]
    return _code[""]
