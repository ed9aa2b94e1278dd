"""``python -m kubedaemon``: the command line."""

from kubedaemon.cli.main import main

if __name__ == "__main__":
    main()
