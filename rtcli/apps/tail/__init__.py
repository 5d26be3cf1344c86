"""The parts of `rtcli tail-events`: what to show, how, where it stopped, and a command per event."""
