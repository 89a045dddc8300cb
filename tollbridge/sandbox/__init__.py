"""Stand-ins for the vendors: small stateful servers written from the vendor's contract.

They share no code with connectors, nor with any other part of Tollbridge.
"""

from __future__ import annotations

SYSTEMS = {"stripe": "tollbridge.sandbox.stripe"}
"""Each stand-in's module by the name of its system; imported only when one is started. Every module offers
`start(host, port)` for use inside a running event loop and `serve(host, port, announce)` for a process of its own."""
