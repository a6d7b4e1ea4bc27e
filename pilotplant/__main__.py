"""`python -m pilotplant` is the same as `pilotplant`."""

from pilotplant.app import main

main()
