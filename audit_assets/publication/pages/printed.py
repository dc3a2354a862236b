"""A page as PDF/UA: tagged for readers who cannot see it, with title, page numbers, and case and root at the head of each sheet.

WeasyPrint makes it, because it needs no browser, writes the tags and the declaration of PDF/UA, and gives the same bytes for the same
page. A browser's PDF has tags, and cannot carry the case and the root of this page in its running head. The identifier in the file is the
hash of the page, so that a print of an older page is known.
"""

import hashlib
import logging
import re
from importlib.util import find_spec
from pathlib import Path

from audit_assets.errors import InputError
from audit_assets.publication.pages.page import TEMPLATES
from audit_assets.warehouse.places import whole

VARIANT = "pdf/ua-1"
PACKAGE = "weasyprint"
_RUNNING = re.compile(rb'<p class="running".*?</p>', re.DOTALL)


def check_possible() -> None:
    """InputError if the library is not installed, or its own library of the system is missing."""
    if find_spec(PACKAGE) is None:
        raise InputError(
            "--pdf: needs WeasyPrint, which is not installed. Remedy: `pip install 'audit_assets[pdf]'`; it also needs the system's Pango "
            "(Debian: apt-get install libpango-1.0-0 libpangoft2-1.0-0)."
        )
    try:
        import weasyprint  # noqa: F401
    except OSError as error:
        raise InputError(
            f"--pdf: WeasyPrint cannot load a library of the system ({error}). Remedy: install Pango (Debian: apt-get install "
            "libpango-1.0-0 libpangoft2-1.0-0)."
        ) from None


def write_pdf(page: bytes, out: Path, *, of: bytes | None = None) -> Path:
    """Print a page to ``out``. ``of``: the page that it is a print of, if ``page`` is the same with larger pictures.

    Nothing is fetched: a page has everything inside. InputError as ``check_possible``.
    """
    check_possible()
    import weasyprint
    from weasyprint.urls import URLFetcher

    for name in (PACKAGE, "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)  # one line for each rule of a screen that a print does not have
    logging.getLogger(f"{PACKAGE}").addFilter(_relative)
    document = weasyprint.HTML(
        string=_head_first(page).decode("utf-8"), url_fetcher=URLFetcher(allowed_protocols={"data"})
    )
    style = weasyprint.CSS(string=(TEMPLATES / "print.css").read_text(encoding="utf-8"))
    made = document.write_pdf(
        stylesheets=[style], pdf_variant=VARIANT, pdf_identifier=_identifier(page if of is None else of), dpi=300
    )
    with whole(out) as file:
        file.write_bytes(made)
    return out


def is_print_of(pdf: bytes, page: bytes) -> bool:
    """Whether a PDF says that it was made from these bytes of the page."""
    return _identifier(page) in pdf


def _identifier(page: bytes) -> bytes:
    """In letters, because a PDF may write other bytes in several ways."""
    return hashlib.sha256(page).hexdigest()[:32].encode()


def _head_first(page: bytes) -> bytes:
    """The page with its running head before everything else: a sheet before the head's own place would have none."""
    found = _RUNNING.search(page)
    return page if found is None else page.replace(found[0], b"", 1).replace(b"<body>", b"<body>" + found[0], 1)


def _relative(record: logging.LogRecord) -> bool:
    """A print has no links to other files: a sheet of paper leads nowhere."""
    return "elative URI" not in record.getMessage()
