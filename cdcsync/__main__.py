"""`python -m cdcsync` is the console command."""

from cdcsync.cli.main import main

if __name__ == "__main__":
    main()
