"""Textures of walls: windows, doors, shop fronts, bricks, roofs, fences, signs."""

from __future__ import annotations

import numpy as np

from perception.world.noise import hash01, nearest, sample, tile
from perception.world.signs import FIRST_STYLE, face_color

GLASS_DARK = np.array([0.035, 0.045, 0.055], np.float32)
CURTAIN = np.array([0.42, 0.39, 0.34], np.float32)
MORTAR = np.array([0.33, 0.31, 0.28], np.float32)


def bricks(u: np.ndarray, v: np.ndarray, color: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Brickwork over ``(N,)`` metres along and up; fades to its mean colour far away."""
    detail = np.clip(0.03 / np.maximum(footprint, 1e-4) - 0.35, 0, 1)[:, None]  # courses of 75 mm must not alias
    row = np.floor(v / 0.075)
    shifted = u / 0.24 + 0.5 * np.mod(row, 2)
    joint = (np.mod(v / 0.075, 1) < 0.14) | (np.mod(shifted, 1) < 0.05)
    tone = 0.75 + 0.5 * hash01(np.floor(shifted), row, 3)
    close = np.where(joint[:, None], MORTAR, color * tone[:, None])
    return close * detail + (color * 0.84 + MORTAR * 0.16) * (1 - detail)


def wall(rows: np.ndarray, uv: np.ndarray, color: np.ndarray, footprint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour of a facade, and how much of a mirror (0..1) each point is.

    Args:
        rows: ``(N, 12)`` facade table rows of the points.
        uv: metres along the wall and above its foot.
    """
    floor, pitch, width, tall, sill, kind, shop, frame, tone, seed, ground, height = rows.T
    u, v = uv[:, 0], uv[:, 1]
    stain = sample(tile(5, 1.1), u * 4 + seed, v * 2.2) - 0.5
    streak = sample(tile(6, 1.6), u * 11 + seed, v * 0.9) - 0.5
    surface = color * (1 + 0.3 * stain + 0.3 * streak)[:, None]
    brick = kind == 1
    if brick.any():
        surface[brick] = bricks(u[brick], v[brick], surface[brick], footprint[brick])
    metal = kind == 3
    if metal.any():
        ribs = 0.86 + 0.2 * (np.mod(u[metal] / 0.33, 1) < 0.5)
        surface[metal] *= np.where(footprint[metal] < 0.25, ribs, 0.95)[:, None]
    surface *= (0.72 + 0.28 * np.clip(v / 0.9, 0, 1))[:, None]  # splashes darken the foot

    upper = np.where(ground > 0, v - ground, v)
    level = np.floor(upper / np.maximum(floor, 1.0))
    local = upper - level * floor
    column = np.floor(u / pitch)
    across = np.abs(u - (column + 0.5) * pitch)
    blur = np.maximum(footprint, 0.012)
    glazed_floor = (
        (upper > 0) & (v < height - 0.5 * tall) & ((level + 1) * floor + np.where(ground > 0, ground, 0) < height + 0.4)
    )
    inside_u = np.clip((width / 2 - across) / blur + 0.5, 0, 1)
    inside_v = np.clip((local - sill) / blur + 0.5, 0, 1) * np.clip((sill + tall - local) / blur + 0.5, 0, 1)
    opening = inside_u * inside_v * glazed_floor * (width > 0)
    border = 0.07
    pane_u = np.clip((width / 2 - border - across) / blur + 0.5, 0, 1) * np.where(
        (across < 0.035) & (width > 0.9) & (kind < 2), 0.25, 1.0
    )
    pane_v = np.clip((local - sill - border) / blur + 0.5, 0, 1) * np.clip(
        (sill + tall - border - local) / blur + 0.5, 0, 1
    )
    pane = pane_u * pane_v * glazed_floor * (width > 0)
    pick = hash01(column, level, seed)
    drawn = (hash01(column, level, seed + 7) < 0.3) & (kind < 2)
    drop = (local - sill) / np.maximum(tall, 0.1) > hash01(column, level, seed + 9) * 0.8
    room = np.where(
        (drawn & drop)[:, None], CURTAIN * (0.5 + 0.6 * pick[:, None]), GLASS_DARK * (0.5 + tone * pick)[:, None]
    )
    ledge = (
        np.clip((width / 2 + 0.1 - across) / blur + 0.5, 0, 1)
        * (np.abs(local - sill + 0.06) < 0.06)
        * glazed_floor
        * (kind < 2)
        * (width > 0)
    )
    surface = surface * (1 - 0.25 * ledge[:, None]) + 0.12 * ledge[:, None]
    framed = surface * (1 - opening[:, None]) + (frame * 0.9)[:, None] * opening[:, None]
    result = framed * (1 - pane[:, None]) + room * pane[:, None]

    front = (shop > 0) & (v < ground)
    if front.any():
        bay = np.mod(u, 3.2)
        shown = front & (v > 0.45) & (v < ground - 0.8) & (np.abs(bay - 1.6) < 1.42)
        lit = hash01(np.floor(u / 3.2), seed)
        goods = sample(tile(5, 1.1), u * 22 + seed, v * 22)
        display = (
            (0.03 + 0.22 * lit * goods)[:, None]
            * np.array([1.0, 0.9, 0.75], np.float32)
            * np.clip(1.3 - v / 4, 0.4, 1)[:, None]
        )
        base = surface * 0.45 + 0.03
        result[front] = base[front]
        result[shown] = display[shown]
        pane = np.where(front, shown.astype(np.float32), pane)
    return result.astype(np.float32), (pane * np.where(drawn & ~front, 0.5, 1.0)).astype(np.float32)


def lit_windows(rows: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which window each point of a facade belongs to, and how bright it is behind it at night, 0 for dark.

    Args:
        rows: ``(N, 12)`` facade table rows; uv: metres along the wall and above its foot.
    """
    floor, pitch, _, tall, sill, _, shop, _, _, seed, ground, _ = rows.T
    u, v = uv[:, 0], uv[:, 1]
    front = (shop > 0) & (v < ground)
    upper = np.where(ground > 0, v - ground, v)
    level = np.where(front, -1, np.floor(upper / np.maximum(floor, 1.0)))
    column = np.floor(u / np.where(front, 3.2, pitch))
    window = (column * 131 + level * 17 + seed * 7).astype(np.int64)
    inside = np.clip((upper - level * floor - sill) / np.maximum(tall, 0.5), 0.0, 1.0)
    room = np.where(hash01(window, 31) < 0.36, (0.16 + 0.5 * hash01(window, 32)) * (0.6 + 0.5 * inside), 0.0)
    shelf = hash01(np.floor(u / 0.34), np.floor(v / 0.42), window)
    goods = (0.5 + 0.25 * shelf) * np.where(np.mod(v / 0.42, 1) < 0.12, 0.45, 1.0) * np.clip(0.55 + 0.2 * v, 0, 1.1)
    display = np.where(hash01(window, 33) < 0.7, goods * (0.5 + 0.5 * hash01(window, 34)), 0.0)
    return window, np.where(front, display, room).astype(np.float32)


def roof(uv: np.ndarray, color: np.ndarray, style: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Tiles (style 1) or gravel."""
    u, v = uv[:, 0], uv[:, 1]
    detail = np.clip(0.06 / np.maximum(footprint, 1e-4), 0, 1)
    course = np.mod(v / 0.32, 1)
    tile_tone = 0.8 + 0.4 * hash01(np.floor(u / 0.28 + 0.5 * np.mod(np.floor(v / 0.32), 2)), np.floor(v / 0.32), 2)
    tiled = 1 + (tile_tone * (0.72 + 0.4 * course) - 1) * detail
    gravel = 0.8 + 0.4 * nearest(tile(3, 0.3), u * 20, v * 20)
    moss = 0.85 + 0.3 * sample(tile(5, 1.1), u * 5, v * 5)
    return color * (np.where(style == 1, tiled, gravel) * moss)[:, None]


def fence(uv: np.ndarray, color: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Boards (0), bars (1) or a panelled garage door (2)."""
    u, v = uv[:, 0], uv[:, 1]
    board = np.floor(u / 0.14)
    boards = (0.75 + 0.5 * hash01(board, 1)) * np.where(np.mod(u / 0.14, 1) < 0.08, 0.35, 1.0)
    bars = np.where(np.mod(u / 0.12, 1) < 0.35, 1.0, 0.45)
    panels = np.where(np.mod(v / 0.5, 1) < 0.06, 0.6, 1.0)
    return color * np.choose(np.clip(style, 0, 2), [boards, bars, panels])[:, None]


def sign(uv: np.ndarray, color: np.ndarray, style: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Face of a traffic sign over uv in -1..1, a shop's name board (style 9), or plain reflecting sheet."""
    x, y = uv[:, 0], uv[:, 1]
    out = np.array(color, np.float32)
    face = style >= FIRST_STYLE
    if face.any():
        out[face] = face_color(uv[face], style[face], footprint[face])
    board = style == 9
    if board.any():
        letter = (
            (np.mod(x / 0.3, 1) > 0.25) & (np.abs(np.mod(y, 1.0) - 0.31) < 0.16) & (hash01(np.floor(x / 0.3), 8) > 0.22)
        )
        out[board & letter] = 0.75 - 0.6 * (color[board & letter].mean(axis=1, keepdims=True) > 0.4)
    return out


def coach(uv: np.ndarray, color: np.ndarray, style: np.ndarray, footprint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Body of a bus (style 0) or lorry cab (1) with its window band; colour and mirror share."""
    u, v = uv[:, 0], uv[:, 1]
    low, high = np.where(style == 1, 0.85, 0.72), np.where(style == 1, 1.7, 1.95)
    blur = np.maximum(footprint, 0.01)
    glass = np.clip((v - low) / blur + 0.5, 0, 1) * np.clip((high - v) / blur + 0.5, 0, 1)
    pillar = np.where(style == 0, np.mod(u, 1.5) < 0.1, np.mod(u, 50.0) < 0.0)
    glass = glass * np.where(pillar, 0.15, 1.0)
    skirt = np.where((v < 0.3) & (style == 0), 0.45, 1.0)
    body = color * skirt[:, None]
    stripe = (style == 0) & (np.abs(v - 0.55) < 0.05)
    body = np.where(stripe[:, None], 0.6, body)
    return (body * (1 - glass[:, None]) + GLASS_DARK * 0.7 * glass[:, None]).astype(np.float32), glass.astype(
        np.float32
    )


def greenhouse(uv: np.ndarray, color: np.ndarray, style: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a car over the unit square, with painted pillars; colour and glass share."""
    u, v = uv[:, 0], uv[:, 1]
    edge = np.where(style == 1, 0.045, 0.07)
    glass = (u > edge) & (u < 1 - edge) & (v > 0.06) & (v < 0.93)
    glass &= ~((style == 1) & (np.abs(u - 0.5) < 0.022))
    tint = np.where(glass[:, None], GLASS_DARK * 0.55, color)
    return tint.astype(np.float32), glass.astype(np.float32)


def lettering(uv: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Painted sheet metal of a lorry's body with a company's name on it."""
    u, v = uv[:, 0], uv[:, 1]
    letter = (np.mod(u / 0.34, 1) > 0.22) & (hash01(np.floor(u / 0.34), 21) > 0.2) & (np.abs(u - 2.3) < 1.25)
    letter &= np.abs(v - 1.25) < 0.17
    rail = (v < 0.06) | (np.mod(u / 1.2, 1) < 0.015)
    dark = color.mean(axis=1, keepdims=True) < 0.4
    ink = np.where(dark, np.float32(0.7), color[:, ::-1] * 0.25)
    return np.where(letter[:, None], ink, color * np.where(rail, 0.8, 1.0)[:, None]).astype(np.float32)


def wheel(uv: np.ndarray) -> np.ndarray:
    """Rim and tyre over the unit disc."""
    r = np.hypot(uv[:, 0], uv[:, 1])
    angle = np.arctan2(uv[:, 1], uv[:, 0])
    spoke = np.cos(angle * 5) > -0.2
    rim = np.where(spoke | (r < 0.18) | (r > 0.58), 0.34, 0.03)
    return np.where(r > 0.68, 0.02, rim)[:, None].astype(np.float32) * np.ones(3, np.float32)
