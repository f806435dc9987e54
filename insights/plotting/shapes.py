"""What a picture consists of, in pixels from the top left; colours that colour-blind people tell apart."""

from dataclasses import dataclass, field

# Okabe and Ito, Color Universal Design (2008).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
# Stops of cividis (Nuñez, Anderton and Renslow 2018): even to the eye, with and without a colour deficiency.
HEAT = ("#00224E", "#35456C", "#666970", "#948E77", "#C8B866", "#FEE838")
# A grey with a contrast of at least 4.5 to white and to black, so that text can be read on either.
INK = "#767676"
FAINT = "#B0B0B0"


@dataclass(frozen=True)
class Box:
    """A filled rectangle; `tip` is told by SVG when the pointer rests on it."""

    x: float
    y: float
    width: float
    height: float
    color: str
    tip: str = ""


@dataclass(frozen=True)
class Path:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    color: str
    width: float = 1


@dataclass(frozen=True)
class Text:
    """A line of text; `y` is its base line, `anchor` start, middle or end."""

    x: float
    y: float
    text: str
    size: int = 12
    anchor: str = "start"
    bold: bool = False


Shape = Box | Path | Text


@dataclass(frozen=True)
class Picture:
    """Shapes on a sheet."""

    width: int
    height: int
    title: str
    shapes: list[Shape] = field(default_factory=list)


def heat(share: float) -> str:
    """The colour of a share from 0 to 1."""
    place = min(1.0, max(0.0, share)) * (len(HEAT) - 1)
    lower = min(int(place), len(HEAT) - 2)
    one, other = (_rgb(HEAT[lower + step]) for step in (0, 1))
    mixed = (round(a + (b - a) * (place - lower)) for a, b in zip(one, other, strict=True))
    return "#{:02X}{:02X}{:02X}".format(*mixed)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
