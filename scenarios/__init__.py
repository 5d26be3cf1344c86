"""The scenarios that come with rtcli, as YAML files. `rtcli scenario list` names them."""
