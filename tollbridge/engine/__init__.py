"""Work: drives flows, claims runs, keeps schedules."""
