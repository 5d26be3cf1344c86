"""What tests of several packages use: servers, Redis, proxies, processes, terminals, the checker."""
