"""The miniature PPMI delivery that the tests of labels and of series change."""

from pathlib import Path

import pytest
from ingest.ida_delivery import IdaDelivery
from ingest.ppmi_delivery import ppmi_delivery


@pytest.fixture
def delivery(tmp_path: Path) -> IdaDelivery:
    return ppmi_delivery(tmp_path / "data")
