"""What docs/delivery.md says of a part that is down, as the template arranges it: how often, how long, and then where to."""

from __future__ import annotations

from tests.template.transformed import of_type, transformed

_DAY = 86_400


def test_what_the_rules_cannot_hand_over_is_a_letter() -> None:
    """EventBridge tries for a day, unless a target says otherwise."""
    rules = of_type(transformed(), "AWS::Events::Rule").values()
    targets = [
        target for rule in rules for target in rule["Properties"]["Targets"] if "EventPattern" in rule["Properties"]
    ]
    assert targets
    for target in targets:
        assert "DeadLetterConfig" in target, target
        assert "RetryPolicy" not in target, target


def test_a_message_waits_two_weeks_and_is_tried_five_times() -> None:
    queues = of_type(transformed(), "AWS::SQS::Queue").values()
    assert {queue["Properties"]["MessageRetentionPeriod"] for queue in queues} == {14 * _DAY}
    redriven = [queue["Properties"]["RedrivePolicy"] for queue in queues if "RedrivePolicy" in queue["Properties"]]
    assert len(redriven) == 2
    assert {policy["maxReceiveCount"] for policy in redriven} == {5}


def test_the_stream_is_read_again_for_22_hours_in_smaller_batches_and_then_there_is_a_letter() -> None:
    """The stream itself keeps a record for 24."""
    readers = of_type(transformed(), "AWS::Lambda::EventSourceMapping").values()
    streams = [
        one["Properties"]
        for one in readers
        if one["Properties"]["EventSourceArn"] == {"Fn::GetAtt": ["Table", "StreamArn"]}
    ]
    assert len(streams) == 2
    for reader in streams:
        assert reader["BisectBatchOnFunctionError"] is True
        assert (reader["MaximumRetryAttempts"], reader["MaximumRecordAgeInSeconds"]) == (-1, 22 * 3600)
        assert "OnFailure" in reader["DestinationConfig"]
