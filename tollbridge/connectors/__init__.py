"""Vendors. Each folder holds one connector: pure flows, payloads and fault tables. No connector knows another."""
