"""Mutants of files through a served process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.store import Registry
from tests.serving.mutants import Sent, corpus_files, lost, send_batches, send_mutants, stored
from tests.serving.served import Served

pytestmark = pytest.mark.slow

MUTANTS = 500


def test_mutants_make_no_server_error_and_each_that_is_answered_is_stored_once(
    tmp_path: Path, make_store: Callable[[Path], Registry]
) -> None:
    make_store(tmp_path / "store")
    served = Served(tmp_path, tmp_path / "store", scan_processes=1, known_answers=0, learner=False)
    served.start()
    try:
        sent = Sent()
        before = stored(served)
        files = [data for data in corpus_files() if len(data) < 200_000][:300]
        with served.client() as client:
            send_batches(client, files, sent)
            send_mutants(client, files, MUTANTS, 1, sent)
        assert sent.wrong == []
        assert sent.files == len(files) + MUTANTS
        assert len(sent.scan_ids) == len(set(sent.scan_ids)) == sent.statuses[200] > MUTANTS
        assert lost(served, sent, before) == []
    finally:
        served.stop()
    assert '"level": "error"' not in served.log.read_text()
