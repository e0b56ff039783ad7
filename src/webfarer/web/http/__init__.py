"""Everything over the network: fetching safely, serving, endpoints."""
