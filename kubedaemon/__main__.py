"""``python -m kubedaemon``: the command line."""

from kubedaemon.cli.main import main

main()
