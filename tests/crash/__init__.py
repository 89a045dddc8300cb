"""The proof: real processes, killed at every durable boundary, compared with the vendor's books at the end."""
