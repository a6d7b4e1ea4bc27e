"""The default workspace, as files: `pilotplant init` copies them."""
