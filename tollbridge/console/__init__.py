"""The Console: pages for people over the same use cases as the API. Knows no vendor; decides nothing by itself."""
