"""A soak: a mix of operations as production has, under faults, in chapters that are each proved to the unit.

plan       which operations a worker makes, drawn from a seed
proxy      before DynamoDB Local; the bus and the queue too. It breaks what passes
worker     one process that makes operations through the functions' handlers
consumers  the processes that read the table's stream and the usage queue
chapter    starts and ends them all, kills some on the way
verdict    compares what was answered, stored, told and summed up
"""
