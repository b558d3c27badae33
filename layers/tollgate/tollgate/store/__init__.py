"""The only code that knows DynamoDB: keys, item layouts, conditions, reads and writes."""
