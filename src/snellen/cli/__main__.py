"""`python -m snellen.cli` is `snellen`."""

from snellen.cli.app import main

main()
