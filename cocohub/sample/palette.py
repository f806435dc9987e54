"""Colours and the moods (season, weather, hour) that tint a whole picture."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]

# Flat drawings look dead when shadows are grey: shadows lean to violet, highlights to cream.
SHADOW = (38, 30, 74)
CREAM = (255, 250, 234)
SNOW = (238, 243, 247)
"""On the ground; what lies on roofs and branches is a little whiter."""


def color(text: str) -> Color:
    """Read "#rrggbb"."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(first: Color, second: Color, share: float) -> Color:
    """Blend two colours; `share` 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def dark(tone: Color, share: float = 0.18) -> Color:
    return mix(tone, SHADOW, share)


def light(tone: Color, share: float = 0.22) -> Color:
    return mix(tone, CREAM, share)


@dataclass(frozen=True)
class Mood:
    """The light of one picture.

    `sky` runs from the zenith to the horizon; `ambient` multiplies every colour that gives no light of its own;
    `haze` is what far things fade to, `mist` how strongly (0..1).
    """

    weather: str
    time_of_day: str
    season: str
    sky: tuple[Color, ...]
    ambient: Color
    haze: Color
    sun: Color
    mist: float = 0.0
    shadow: float = 0.34

    @property
    def lamps_on(self) -> bool:
        return self.time_of_day in ("dusk", "night")

    @property
    def night(self) -> bool:
        return self.time_of_day == "night"

    @property
    def snowy(self) -> bool:
        return self.season == "winter"

    def tint(self, tone: Color, distance: float = 0.0) -> Color:
        """The colour as seen in this light, from a distance of 0 (near) to 1 (lost in the haze)."""
        red, green, blue = (part * lamp // 255 for part, lamp in zip(tone, self.ambient, strict=True))
        fade = min(1.0, distance + self.mist * (0.25 + distance))
        return mix((red, green, blue), self.haze, fade) if fade else (red, green, blue)


def _mood(
    weather: str,
    time_of_day: str,
    season: str,
    sky: str,
    ambient: str,
    haze: str,
    sun: str,
    mist: float = 0.0,
    shadow: float = 0.34,
) -> Mood:
    stops = tuple(color(stop) for stop in sky.split())
    return Mood(weather, time_of_day, season, stops, color(ambient), color(haze), color(sun), mist, shadow)


MOODS: dict[str, Mood] = {
    "spring morning": _mood("sunny", "morning", "spring", "#7cc3ea #b9e2f0 #fdf3de", "#fffaf2", "#dfeef0", "#fff3c4"),
    "summer day": _mood("sunny", "day", "summer", "#3f9fe0 #86cdf2 #e2f5f4", "#ffffff", "#cfe9f3", "#fff6cf"),
    "summer dusk": _mood(
        "sunny", "dusk", "summer", "#3a3d7c #86599a #e6806f #fdc681", "#e9bdb6", "#d98a86", "#ffdf9a", 0, 0.42
    ),
    "autumn day": _mood("sunny", "day", "autumn", "#6fb3d6 #b8dbe2 #fbeed6", "#fff7ea", "#e6e0d2", "#ffefbd"),
    "autumn dusk": _mood(
        "sunny", "dusk", "autumn", "#4a4a86 #b0688f #f29b6c #ffd591", "#f0c3a8", "#e0a088", "#ffe3a0", 0, 0.42
    ),
    "summer night": _mood(
        "clear", "night", "summer", "#0f1844 #1f2f68 #48609a", "#6d7bb4", "#33467e", "#f6f0d8", 0, 0.4
    ),
    "rain": _mood("rain", "day", "spring", "#68808f #8ea4b0 #bccacd", "#cdd8df", "#aebdc4", "#dfe6e6", 0.12, 0.2),
    "rain night": _mood(
        "rain", "night", "autumn", "#111a36 #243453 #435672", "#7480a8", "#34455f", "#c9d2e0", 0.08, 0.3
    ),
    "winter day": _mood(
        "snow", "day", "winter", "#8fbddb #c6dfec #f2f7f9", "#f3f7ff", "#dce9f1", "#fffdf0", 0.04, 0.24
    ),
    "winter dusk": _mood(
        "snow", "dusk", "winter", "#43568f #9582b6 #efb3ae #fde0c0", "#d3c2dc", "#c4a5bd", "#ffe9c4", 0, 0.32
    ),
    "fog": _mood("fog", "morning", "autumn", "#bccbd0 #d3dcdc #e9e8df", "#edf0ee", "#d9dfdd", "#fbf6e4", 0.42, 0.14),
}

# The leaves of a tree, by season: three tones from shade to light.
LEAVES: dict[str, tuple[tuple[Color, Color, Color], ...]] = {
    "spring": tuple(
        (color(a), color(b), color(c))
        for a, b, c in (("#e592ad", "#f4b3c6", "#fbd5de"), ("#5fa35a", "#7dbd68", "#a5d884"))
    ),
    "summer": tuple(
        (color(a), color(b), color(c))
        for a, b, c in (("#2f7d5b", "#43976a", "#68b57f"), ("#4b8b45", "#66a653", "#8fc46c"))
    ),
    "autumn": tuple(
        (color(a), color(b), color(c))
        for a, b, c in (("#c8602f", "#e08340", "#f2aa5b"), ("#b8862b", "#d9a93c", "#f0cb66"))
    ),
    "winter": ((color("#8aa3ae"), color("#c9d8e0"), color("#f5f9fb")),),
}

GRASS: dict[str, tuple[Color, Color]] = {
    "spring": (color("#8fc46a"), color("#6fae58")),
    "summer": (color("#86bd5c"), color("#5f9f4f")),
    "autumn": (color("#c2b25c"), color("#9a9a4b")),
    "winter": (color("#f3f7fa"), color("#d5e2ec")),
}

# Names are what `attributes.color` says; the tones are what is painted.
PAINTS: dict[str, Color] = {
    "red": color("#e0483e"),
    "blue": color("#3b7fb8"),
    "yellow": color("#f3b93a"),
    "white": color("#f3f0e8"),
    "green": color("#4a9d6c"),
    "black": color("#3a3f4d"),
    "orange": color("#ef8545"),
    "teal": color("#2a9d8f"),
    "pink": color("#e98ba3"),
    "silver": color("#bcc6cd"),
    "purple": color("#7d62a8"),
    "navy": color("#2f4a73"),
}
