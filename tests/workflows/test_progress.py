"""Progress in a log: a line a minute, none before."""

import logging

import pytest

from neurofocus.workflows import progress as module
from neurofocus.workflows.progress import scan_progress


def test_a_log_gets_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with caplog.at_level(logging.INFO, logger="neurofocus"), scan_progress(9, "preparing") as reach:
        for done, seconds in enumerate((10.0, 59.0, 61.0, 100.0, 120.0, 122.0), start=1):
            now[0] = seconds
            reach(done, 9)
    assert [record.getMessage() for record in caplog.records] == [
        "preparing scans: 3 of 9",
        "preparing scans: 6 of 9",
    ]
