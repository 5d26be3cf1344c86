"""Servers to attack, with a probe inside, and what the attacks cost them."""
