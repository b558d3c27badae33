"""`tollgate import`: what another service holds is brought into Tollgate (docs/moving-in.md).

A reader for each vendor (`autumn`, `flexprice`, `lotus`) turns answers into `records`; `build` makes of a record what the
table holds of a customer; `run` brings customer after customer over and compares both sides; `journal` keeps how far it is.
"""
