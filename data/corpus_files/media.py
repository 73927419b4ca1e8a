"""Pictures drawn with Pillow, in the font that ships with it, and a synthesised alarm, each as a file's bytes."""

import io
import wave

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from . import facts

INK, PAPER, NAVY, TEAL, AMBER, RED, GREY = "#16202c", "#ffffff", "#17375e", "#1f8a8c", "#f2b705", "#c0392b", "#8694a3"
SCAN_DPI = 150
SCAN_SIZE = (1240, 1754)  # A4 at SCAN_DPI
SAMPLE_RATE = 16_000


def warning_sign() -> bytes:
    """The sign on the railing of every radar station (JPEG)."""
    image = Image.new("RGB", (900, 640), AMBER)
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((18, 18, 882, 622), radius=28, outline=INK, width=10)
    draw.polygon([(150, 70), (240, 226), (60, 226)], fill=INK)
    draw.text((150, 168), "!", font=_font(110), fill=AMBER, anchor="mm")
    draw.text((290, 148), "CAUTION", font=_font(120), fill=INK, anchor="lm")
    lines = (
        "RADAR TIDE GAUGE IN OPERATION",
        f"Keep boats and ropes {facts.CLEARANCE_M} m clear of the beam",
        "Do not hang anything on the mounting arm",
        f"Damage? Call the service desk, extension {facts.SERVICE_EXTENSION}",
        "Permit of the harbour master no. 88-214",
    )
    for row, line in enumerate(lines):
        draw.text((60, 300 + row * 62), line, font=_font(36), fill=INK, anchor="lm")
    return _jpeg(image, quality=70)


def dashboard() -> bytes:
    """A HarborView screen for one station (PNG)."""
    station = facts.SHOWN_STATION
    image = Image.new("RGB", (1000, 620), "#f3f6f9")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1000, 64), fill=NAVY)
    draw.text((28, 32), "HarborView 5.2", font=_font(30), fill=PAPER, anchor="lm")
    draw.text((972, 32), f"Station {station.code} {station.name}", font=_font(30), fill=PAPER, anchor="rm")
    tiles = (("Water level", "2.43 m"), ("Surge alert at", f"{facts.SURGE_ALERT_M:.2f} m"), ("Battery", "12.6 V"))
    for column, (label, value) in enumerate(tiles):
        left = 28 + column * 320
        draw.rounded_rectangle((left, 88, left + 300, 208), radius=12, fill=PAPER, outline="#cfd8e1", width=2)
        draw.text((left + 20, 118), label, font=_font(26), fill=INK, anchor="lm")
        draw.text((left + 20, 170), value, font=_font(48), fill=TEAL, anchor="lm")
    _draw_tide_curve(draw, (90, 250, 972, 530))
    draw.text((28, 580), "Last message 17 Nov 2025 06:40 UTC     Signal -71 dBm", font=_font(26), fill=INK, anchor="lm")
    return _png(image)


def breakwater_photo() -> bytes:
    """A photograph-like view of a radar gauge on a breakwater (JPEG)."""
    width, height, horizon = 1000, 640, 330
    rng = np.random.default_rng(14)
    rows = np.linspace(0, 1, horizon)[:, None, None]
    sky = (1 - rows) * np.array([92, 140, 190]) + rows * np.array([222, 228, 226])
    depth = np.linspace(0, 1, height - horizon)[:, None, None]
    sea = (1 - depth) * np.array([96, 132, 146]) + depth * np.array([24, 58, 78])
    x, y = np.meshgrid(np.arange(width), np.arange(height - horizon))
    waves = 10 * np.sin(x / 34 + np.sin(y / 9) * 2) * np.sin(y / (4 + y / 60))
    pixels = np.concatenate([np.broadcast_to(sky, (horizon, width, 3)), sea + waves[..., None]])
    pixels = pixels + rng.normal(0, 4, pixels.shape)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))

    draw = ImageDraw.Draw(image)
    draw.polygon([(0, 640), (0, 420), (430, 452), (500, 640)], fill="#5d5a55")
    for _ in range(160):
        left, top = int(rng.integers(0, 430)), int(rng.integers(450, 630))
        shade = int(rng.integers(70, 130))
        draw.ellipse((left, top, left + 34, top + 16), fill=(shade, shade - 3, shade - 8))
    draw.rectangle((296, 120, 316, 450), fill="#c9ced3")
    draw.rectangle((296, 132, 640, 146), fill="#b4bac0")
    draw.rounded_rectangle((588, 140, 672, 196), radius=10, fill="#f1f3f4", outline=INK, width=2)
    draw.polygon([(606, 196), (654, 196), (640, 224), (620, 224)], fill="#30363c")
    draw.text((630, 168), "TG-400", font=_font(20), fill=INK, anchor="mm")
    draw.polygon([(190, 200), (296, 176), (296, 236), (190, 262)], fill="#1c2f52", outline="#dfe5ea")
    draw.rectangle((330, 300, 470, 392), fill=PAPER, outline=INK, width=3)
    draw.text((400, 328), facts.SHOWN_STATION.code, font=_font(34), fill=INK, anchor="mm")
    draw.text((400, 366), facts.SHOWN_STATION.name.upper(), font=_font(24), fill=INK, anchor="mm")
    return _jpeg(image, quality=72)


def wiring_diagram() -> bytes:
    """Which wire of the TG-400 goes to which terminal of the HL-9 (PNG)."""
    wires = (
        ("Brown", "+12 V", "#7b4a1e"),
        ("Blue", "GND", "#2457a6"),
        ("White", "RS-485 A", "#b9bec4"),
        ("Black", "RS-485 B", "#222222"),
    )
    image = Image.new("RGB", (900, 420), PAPER)
    draw = ImageDraw.Draw(image)
    for left, title in ((40, "TG-400"), (640, "HL-9")):
        draw.rounded_rectangle((left, 40, left + 220, 390), radius=16, outline=INK, width=4)
        draw.text((left + 110, 78), title, font=_font(36), fill=INK, anchor="mm")
    for row, (colour, terminal, paint) in enumerate(wires):
        y = 140 + row * 65
        draw.line((260, y, 640, y), fill=paint, width=8)
        draw.text((240, y), colour, font=_font(28), fill=INK, anchor="rm")
        draw.text((660, y), f"{row + 1}  {terminal}", font=_font(28), fill=INK, anchor="lm")
    return _png(image)


def subscriptions_chart() -> bytes:
    """Stations connected to HarborView, as a bar chart (PNG)."""
    image = Image.new("RGB", (800, 460), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((400, 36), "Stations connected to HarborView", font=_font(30), fill=INK, anchor="mm")
    for column, (year, count) in enumerate(zip(facts.YEARS, facts.CONNECTED_STATIONS, strict=True)):
        left, top = 130 + column * 200, 400 - count // 5
        draw.rectangle((left, top, left + 120, 400), fill=TEAL)
        draw.text((left + 60, top - 20), f"{count:,}", font=_font(28), fill=INK, anchor="mm")
        draw.text((left + 60, 426), str(year), font=_font(28), fill=INK, anchor="mm")
    draw.line((90, 400, 720, 400), fill=INK, width=3)
    return _png(image)


def lamp_icon() -> bytes:
    """The status lamp of the HL-9, small enough to stand inside a web page (PNG)."""
    image = Image.new("RGB", (64, 64), PAPER)
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 8, 56, 56), fill=RED, outline=INK, width=3)
    draw.ellipse((20, 16, 32, 28), fill="#f5b7b1")
    return _png(image)


def scanned_certificate() -> bytes:
    """A calibration certificate as it comes from an office scanner: grey, slightly askew, a little noise (JPEG)."""
    page = Image.new("L", SCAN_SIZE, 250)
    draw = ImageDraw.Draw(page)
    draw.rectangle((90, 90, 1150, 1664), outline=60, width=3)
    draw.text((620, 170), facts.COMPANY, font=_font(46), fill=30, anchor="mm")
    draw.text((620, 235), "CALIBRATION CERTIFICATE", font=_font(54), fill=20, anchor="mm")
    y = _draw_pairs(draw, _CERTIFICATE_HEAD, top=340)
    y = _draw_certificate_table(draw, y + 30)
    y = _draw_pairs(draw, _CERTIFICATE_FOOT, top=y + 40)
    draw.text((140, y + 30), "The instrument meets its specification of ± 2 mm.", font=_font(30), fill=30)
    for left, name, role in ((140, "Runa Eide", "Calibration engineer"), (700, "Oskar Thune", "Head of laboratory")):
        draw.line(_signature(left + 20, y + 170), fill=50, width=4, joint="curve")
        draw.line((left, y + 210, left + 380, y + 210), fill=60, width=2)
        draw.text((left, y + 222), name, font=_font(30), fill=30)
        draw.text((left, y + 262), role, font=_font(26), fill=60)
    page = page.rotate(0.3, resample=Image.Resampling.BICUBIC, fillcolor=250)
    grain = np.random.default_rng(7).normal(0, 5, (SCAN_SIZE[1], SCAN_SIZE[0]))
    noisy = (np.asarray(page, dtype=np.float64) - 6 + grain).clip(0, 255).astype(np.uint8)
    return _jpeg(Image.fromarray(noisy), quality=60)


def surge_alarm() -> bytes:
    """The surge alarm of the HL-9: two tones in turn, 0.4 s each, for 2.4 s (WAV, 16 kHz, mono)."""
    seconds = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    fade = np.minimum(1, np.minimum(seconds, seconds[::-1]) / 0.01)  # no clicks between the tones
    pair = np.concatenate([np.sin(2 * np.pi * hz * seconds) * fade for hz in facts.SURGE_TONES_HZ])
    samples = (np.tile(pair, 3) * 0.6 * 32_767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


_CERTIFICATE_HEAD = (
    ("Certificate no.", facts.CERTIFICATE_NO),
    ("Instrument", "TG-400 radar tide gauge"),
    ("Serial number", facts.CERTIFICATE_SERIAL),
    ("Customer", "Port of Kelsund"),
    ("Date of calibration", "18 August 2025"),
    ("Reference", "Laser interferometer LI-7"),
    ("Air", "20.4 °C, 48 % relative humidity"),
)
_CERTIFICATE_FOOT = (
    ("Expanded uncertainty", "0.9 mm (k = 2)"),
    ("Next calibration due", "18 August 2027"),
    ("Seal number", "K 5520"),
)


def _draw_pairs(draw: ImageDraw.ImageDraw, pairs: tuple[tuple[str, str], ...], top: int) -> int:
    for row, (label, value) in enumerate(pairs):
        draw.text((140, top + row * 52), label, font=_font(30), fill=70)
        draw.text((520, top + row * 52), value, font=_font(30), fill=20)
    return top + len(pairs) * 52


def _draw_certificate_table(draw: ImageDraw.ImageDraw, top: int) -> int:
    header = ("Reference (m)", "Reading (m)", "Deviation (mm)")
    points = [(f"{ref:.4f}", f"{got:.4f}", f"{(got - ref) * 1000:+.1f}") for ref, got in facts.CERTIFICATE_POINTS]
    for row, cells in enumerate([header, *points]):
        for column, cell in enumerate(cells):
            box = (140 + column * 320, top + row * 56, 460 + column * 320, top + row * 56 + 56)
            draw.rectangle(box, outline=80, width=2)
            draw.text((box[0] + 160, box[1] + 28), cell, font=_font(28), fill=20, anchor="mm")
    return top + (len(points) + 1) * 56


def _signature(left: int, y: int) -> list[tuple[float, float]]:
    t = np.linspace(0, 5 * np.pi, 120)
    return list(zip(left + t * 17, y + 26 * np.sin(t) * np.cos(t * 0.37 + left), strict=True))


def _draw_tide_curve(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box

    def y_of(metres: float) -> float:
        return bottom - metres / 3.5 * (bottom - top)

    draw.rectangle(box, fill=PAPER, outline="#cfd8e1", width=2)
    for metres in (0, 1, 2, 3):
        draw.line((left, y_of(metres), right, y_of(metres)), fill="#e3e9ee", width=2)
        draw.text((left - 12, y_of(metres)), f"{metres} m", font=_font(22), fill=INK, anchor="rm")
    draw.line((left, y_of(facts.SURGE_ALERT_M), right, y_of(facts.SURGE_ALERT_M)), fill=RED, width=3)
    hours = np.linspace(0, 24, 240)
    levels = 1.45 + 0.98 * np.cos(2 * np.pi * (hours - 24) / 12.42)
    curve = [(left + hour / 24 * (right - left), y_of(level)) for hour, level in zip(hours, levels, strict=True)]
    draw.line(curve, fill=TEAL, width=4, joint="curve")


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _jpeg(image: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()
