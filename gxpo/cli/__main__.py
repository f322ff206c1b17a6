"""``python -m gxpo.cli``: the ``gxpo`` command, for launchers that start a module."""

from gxpo.cli import main

if __name__ == "__main__":
    main()
