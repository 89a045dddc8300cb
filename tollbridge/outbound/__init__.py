"""Network: the only folder that opens sockets to vendors."""
