"""The JSON edge: parse, call one service or reader, serialise. No decisions, no SQL, no vendor.

`wire.py` has what every route needs; a noun's file has its routes, `service_users.py` being the plainest.
"""
