"""What can be asked of Tollgate: each use case reads from the store, lets the domain decide, and commits."""
