"""Use cases: one transaction each (load, ask the domain, store). Never the network."""
