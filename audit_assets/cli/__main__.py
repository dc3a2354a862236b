"""`python -m audit_assets.cli`."""

from audit_assets.cli import main

if __name__ == "__main__":
    main()
