"""The marimo app. Each cell is run again if a value that it takes has changed."""

import marimo

app = marimo.App(width="full", app_title="Images of the audit")


@app.cell
def _():
    import marimo as mo

    from audit_assets.browse import view
    from audit_assets.publication.queries import gallery

    table = view.images()
    versions = list(dict.fromkeys(table["model_version"]))
    return gallery, mo, table, versions, view


@app.cell
def _(gallery, mo, table, versions):
    def choose(label, options):
        return mo.ui.dropdown(["any", *options], value="any", label=label, searchable=True)

    artist = mo.ui.text(label="Artist or name", debounce=200)
    kind = choose("Kind", gallery.values(table, "kind"))
    verdict = choose("Verdict", gallery.values(table, "verdict"))
    mistaken = choose("Taken for", gallery.values(table, "mistaken_for"))
    version = choose("Version", versions)
    sort = mo.ui.dropdown(list(gallery.SORTS), value="order", label="Sorted by")
    beside = mo.ui.checkbox(label="Versions side by side")
    mo.hstack([artist, kind, verdict, mistaken, version, sort, beside], justify="start", wrap=True)
    return artist, beside, kind, mistaken, sort, verdict, version


@app.cell
def _(artist, gallery, kind, mistaken, sort, table, verdict, version):
    def value(field):
        return "" if field.value == "any" else field.value

    rows = gallery.chosen(
        table,
        gallery.Choice(artist.value, value(kind), value(verdict), value(mistaken), value(version), sort.value),
    )
    return (rows,)


@app.cell
def _(beside, gallery, mo, rows, table, view):
    shown = rows.drop_duplicates(gallery.KEYS) if beside.value else rows
    page = mo.ui.number(start=1, stop=view.pages(len(shown)), value=1, label=f"Page of {view.pages(len(shown))}")
    mo.hstack([mo.md(f"**{len(rows)} of {len(table)} images**"), page], justify="start", gap=2)
    return (page,)


@app.cell
def _(beside, mo, page, rows, table, versions, view):
    number = int(page.value or 1)
    mo.Html(view.as_versions(table, rows, versions, number) if beside.value else view.as_tiles(rows, number))


if __name__ == "__main__":
    app.run()
