"""The JSON edge: parse, call one service or reader, serialise."""
