"""`python -m gluetune`, which is also what `torchrun -m gluetune` starts."""

from __future__ import annotations

from gluetune.cli.app import main

if __name__ == "__main__":
    main()
