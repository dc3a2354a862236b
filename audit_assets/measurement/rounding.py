"""How a reason writes a p or q whose limit stands in the same sentence: never rounded to the limit's other side."""


def beside(p: float, limit: float) -> str:
    """A p or q in three digits, or in nine if three would not show that it is above the limit, which stands beside it in three digits."""
    short = f"{p:.3g}"
    return short if p <= limit + 1e-12 or float(short) > float(f"{limit:.3g}") else f"{p:.9g}"
