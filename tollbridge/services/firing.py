"""Which notifications follow from events: rules are tried in the transaction in which the events are kept.

Never the network: the runs that are made here are delivered by workers.
"""

from __future__ import annotations
