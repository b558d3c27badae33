"""Metrics are lines of the log. They must come through at every log level."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.template.transformed import of_type, transformed

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
_PROGRAM = """
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

metrics, logger = Metrics(), Logger()

@metrics.log_metrics
def handler(event, context):
    logger.error("failed")
    metrics.add_metric("StreamRecords", MetricUnit.Count, 1)

handler({}, None)
"""


def test_lambda_drops_no_metrics_at_any_level() -> None:
    """Lambda takes a line without a level, such as one of metrics, for INFO, and drops what is below its own level."""
    template = transformed()
    assert tuple(template["Parameters"]["LogLevel"]["AllowedValues"]) == LEVELS
    for function in of_type(template, "AWS::Lambda::Function").values():
        logging = function["Properties"]["LoggingConfig"]
        assert logging["LogFormat"] == "JSON"
        assert logging["ApplicationLogLevel"] == {"Fn::If": ["IsDebugging", "DEBUG", "INFO"]}


@pytest.mark.parametrize("level", LEVELS)
def test_errors_and_metrics_are_written_at_every_level(level: str) -> None:
    told = {
        "POWERTOOLS_LOG_LEVEL": level,
        "AWS_LAMBDA_LOG_LEVEL": "DEBUG" if level == "DEBUG" else "INFO",
        "POWERTOOLS_SERVICE_NAME": "tollgate",
        "POWERTOOLS_METRICS_NAMESPACE": "Tollgate",
    }
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=os.environ | told, capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["StreamRecords"] for line in lines if "_aws" in line] == [[1.0]]
    assert [line["message"] for line in lines if "_aws" not in line] == ["failed"]
