"""Wagerledger on one machine, for trying and testing: on loopback, without Docker, Java or root.

One noun per file: `system` (all of it in one folder), `run` (which process runs it), `demo` (real rounds, shown step by
step), `provider` (a provider of our own API), `casino_provider` (the provider's half of the dialect `casino`),
`progress` (what a waiting person sees). `servers` has the real servers, `drivers` the providers' sides of all other
protocols.
"""
