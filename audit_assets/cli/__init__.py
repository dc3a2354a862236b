"""`audit-assets`: a thin command line over the same assets. `app.ORDER` is the order of the commands."""

from audit_assets.cli import audit as audit
from audit_assets.cli import browse as browse
from audit_assets.cli import evidence as evidence
from audit_assets.cli import prepare as prepare
from audit_assets.cli import ratings as ratings
from audit_assets.cli import results as results
from audit_assets.cli.app import LEFT_OUT as LEFT_OUT
from audit_assets.cli.app import app as app
from audit_assets.cli.app import main as main
