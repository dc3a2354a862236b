"""Words beside a name in a caption: those by which web captions attribute works, and those that point to another person.

The vocabulary is English, because LAION's captions are mostly English. A caption in another language gives no evidence; it
does not give wrong evidence. Mining uses this module to find names of artists. The collision flag uses it to find other
people of the same name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from audit_assets.roster.normalise import end_of, unescaped, words


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ART = _words(
    "abstract acrylic art artist artists artwork artworks canvas caricature charcoal collage drawing drawings "
    "engraving etching exhibition fresco gallery giclee illustration illustrations illustrator impressionism "
    "impressionist ink installation landscape linocut lithograph masterpiece mosaic mural oil paint painted "
    "painter painting paintings pastel pencil portrait portraits poster posters print printmaker prints sculptor "
    "sculpture sculptures seascape serigraph sketch sketches statue still style tempera triptych watercolor "
    "watercolors watercolour watercolours woodcut work works"
)
# Words before "by" for works that are not pictures.
OTHER_WORKS = _words(
    "album albums arranged bag bags biography blog boots brand chair collection cologne composed cookbook cover "
    "covered coverage created cup dance demo directed discovered dress dresses edited endorsed episode essay "
    "fragrance furniture gown guitar hosted invented jacket jeans lamp lyrics made managed manufactured movie "
    "music narrated novel owned perfume performed played podcast posted powered presented produced production "
    "published quote quotes recipe recipes recorded remix review reviewed ring run shared shirt shoes shot single "
    "sneakers sofa sold song songs sponsored starring story sung sunglasses table taught track translated trilogy "
    "tune uploaded used video watch wine worn written"
)
# Words beside a name that show that it means another person or thing.
OTHER_LIVES = _words(
    "actor actress airport album anniversary assists attends author band basketball biography birthday ceo coach "
    "concert county director dvd episode film filmography football footballer governor high hospital hotel "
    "interview jersey library live lyrics manager mayor minister movie music news obituary park player president "
    "prime professor producer quote quotes school scored senator series show singer soccer song songs square "
    "starring stars street striker studio studios tickets tour trailer university vinyl wedding wife world writer "
    "jr sr iii"
)
ORGANISATIONS_AND_PLACES = _words(
    "agency association avenue bank bay beach boutique brewery bros brothers brewing bureau castle center centre "
    "channel church city club co college collective company corp corporation county creations department design "
    "designs district entertainment express fashion festival films foundation furniture gallery gmbh group home "
    "homes hotel house images inc industries institute international island jewelry kitchen lake limited llc ltd "
    "magazine mall manufacturing media mountain mountains museum music news organization park photography photos "
    "pictures press productions products publications publishing records resort restaurant river school services "
    "shop shutterstock society stock store street studio studios team tv university valley village"
)
BRANDS = frozenset(
    {
        ("adobe", "stock"), ("ashley", "furniture"), ("best", "western"), ("calvin", "klein"), ("christian", "dior"),
        ("dolce", "gabbana"), ("donna", "karan"), ("estee", "lauder"), ("getty", "images"), ("giorgio", "armani"),
        ("harley", "davidson"), ("hugo", "boss"), ("jack", "daniels"), ("jimmy", "choo"), ("jo", "malone"),
        ("johnnie", "walker"), ("kate", "spade"), ("louis", "vuitton"), ("marc", "jacobs"), ("martha", "stewart"),
        ("michael", "kors"), ("new", "balance"), ("paul", "mitchell"), ("pottery", "barn"), ("ralph", "lauren"),
        ("saint", "laurent"), ("steve", "madden"), ("tommy", "hilfiger"), ("tory", "burch"), ("under", "armour"),
        ("urban", "outfitters"), ("vera", "bradley"), ("vera", "wang"), ("victoria", "secret"), ("walt", "disney"),
        ("warner", "bros"), ("yves", "saint"),
    }
)  # fmt: skip
ROLES = _words(
    "artist artists designer engraver illustrator master painter photographer printmaker sculptor watercolorist"
)
PARTICLES = _words("af al ben bin da das de del della den der des di do dos du el la le los of ten ter van von y zu")
# No name begins with one of these words or continues after it, except as FIRST_NAMES and LAST_NAMES say.
STOP = _words(
    "a about above after all also among an and another anonymous any are around as at available be because been "
    "before behind best between big black blue both but by can circa close color contemporary custom day days "
    "design different digital during each either every everyone exclusive famous fine for framed free from front "
    "full great green hand he her here high his home how i if in inch including inspired international into is it "
    "its january february march april may june july august september october november december large limited "
    "little local many me modern more most my near new next night no not now old on one only or original other "
    "our out over own page part popular pretty red sale sea selected several she showing side signed size small "
    "so some special step such that the their them then these they this those three through time to today top two "
    "under unknown unframed up us using various via vintage wall was water we were what when where which while "
    "white who with without women men year years you your"
)
MONTHS = _words("april august january july june march may")
"""Months that are also names."""
FIRST_NAMES = MONTHS | {"art"}
"""Words of STOP and ART that are also first names."""
LAST_NAMES = MONTHS | _words("best black both close day fine green little page small still wall white")
"""Words of STOP that are also surnames. Shops are named with "art" and "home" ("Ada Art", "Ada Home"), so these are none of them."""
_WITHIN_A_PIECE = re.compile(r"\s+|(?<=\w[/|\\,;:(){}\[\]<>!?*\u2013\u2014])(?=\w)|(?<=\w-)(?=\d)")
"""Where a caption is cut: at white space, and after punctuation that joins two names or a name and a year without a space."""
_PUNCTUATION_AFTER = re.compile(r"[^\w\s.'’]+$|[.!?]$", re.UNICODE)
_PUNCTUATION_BEFORE = re.compile(r"^[^\w\s]", re.UNICODE)
_INITIAL = re.compile(r"^(?:[^\W\d_]\.)+$", re.UNICODE)


@dataclass(frozen=True)
class Word:
    """A piece of a caption, as `words_of` cuts it: its text, its tokens, and whether punctuation separates it from its neighbours."""

    written: str
    tokens: tuple[str, ...]
    opens: bool
    closes: bool

    @property
    def capitalised(self) -> bool:
        first = next((c for c in self.written if c.isalpha()), "")
        return bool(first) and not first.islower()


def words_of(caption: str) -> list[Word]:
    """The caption's pieces in order, without HTML entities; all their tokens together are `words(caption)`.

    White space separates pieces, and so does punctuation as in "Ada Example/Ben Sample" or "Ada Example,1896".
    """
    return [
        Word(
            piece,
            tuple(words(piece)),
            opens=bool(_PUNCTUATION_BEFORE.search(piece)),
            closes=bool(_PUNCTUATION_AFTER.search(piece)) and not _INITIAL.match(piece),
        )
        for piece in _WITHIN_A_PIECE.split(unescaped(caption))
        if piece
    ]


def has_case(words: list[Word]) -> bool:
    """Whether capitals distinguish names from other words here, which is so if some words have them and some do not."""
    spelled = [word.capitalised for word in words if word.tokens and not word.tokens[0].isdigit()]
    return any(spelled) and not all(spelled)


def occurrences(words: list[Word], spelling: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """(first word, word after the last) of every place at which the tokens of `spelling` occur one after the other."""
    flat = [(token, number) for number, word in enumerate(words) for token in word.tokens]
    row = [token for token, _ in flat]
    for start in range(len(flat)):
        if (end := end_of(spelling, row, start)) > start:
            yield flat[start][1], flat[end - 1][1] + 1


def beside(words: list[Word], first: int, after: int) -> str:
    """What the words around a name show about its owner: 'art', 'someone_else' or 'unclear'.

    'someone_else' means that the name continues ("Charles Williams Jr", "Walt Disney World"), or that an occupation other
    than an artist's is beside it. 'art' means that a work is attributed to the name ("by", "style of"), or that the caption
    contains a word of art.
    """
    left = words[first - 1] if first and not (words[first - 1].closes or words[first].opens) else None
    right = words[after] if after < len(words) and not (words[after - 1].closes or words[after].opens) else None
    left_token = left.tokens[-1] if left is not None and left.tokens else ""
    right_token = right.tokens[0] if right is not None and right.tokens else ""
    if left_token in OTHER_LIVES or right_token in OTHER_LIVES:
        return "someone_else"
    if (
        left_token == "by"
        and first >= 2
        and words[first - 2].tokens[-1:]
        and words[first - 2].tokens[-1] in OTHER_WORKS
    ):
        return "someone_else"
    if left_token == "by" or left_token in ROLES or right_token in ART:
        return "art"
    if has_case(words):
        for neighbour, token in ((left, left_token), (right, right_token)):
            continues = neighbour is not None and neighbour.capitalised and token.isalpha() and len(token) > 1
            if continues and token not in STOP | ART | ROLES and not words[first].written.endswith(("'s", "’s")):
                return "someone_else"
    everything = {token for word in words for token in word.tokens}
    if everything & ART:
        return "art"
    return "someone_else" if everything & OTHER_LIVES else "unclear"
