"""Stand-ins for the vendors: small stateful servers written from the vendor's contract; they share no code with connectors."""
