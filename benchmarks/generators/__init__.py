"""The load generators side by side: k6, Locust, Artillery and ours, each receiving the same stream."""
