"""2.1 to 2.3, back from 2.5: the same answers; only the default of `async` differs, which is the request's."""
