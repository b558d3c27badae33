"""AWS's JSON protocol, as far as Tollgate needs it: one signed POST for each request.

| module | does |
|---|---|
| `client` | one request to one service: its answer, or the one thing of three that went wrong |
| `services` | SQS and EventBridge in the shapes of boto3's clients (DynamoDB is the store's: `store.dynamodb`) |
| `connections` | keeps connections open, and says of each failure whether the request was sent |
| `signing` | AWS Signature Version 4, with the signing key kept for its day |
| `credentials` | whose key signs: from the environment, or from the endpoint that Lambda and containers offer |

Why it is here and not botocore: docs/decisions/0009.
"""
