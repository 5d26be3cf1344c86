"""The parts of `rtcli chat`: what is shown (pure), what is typed, and the three ways to run it."""
