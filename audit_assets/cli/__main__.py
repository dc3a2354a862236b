"""`python -m audit_assets.cli`."""

from audit_assets.cli import app

if __name__ == "__main__":
    app()
