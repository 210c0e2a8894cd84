"""`python -m snellen.cli` is `snellen`."""

from snellen.cli import main

main()
