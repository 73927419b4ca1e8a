"""What instruments record: three things as picture and sound, a video, a depth map, a thermal picture and motion.

All of it is drawn or synthesised here, each as a file's bytes. The pictures hold no words: what they show is to be
found by what it looks like.
"""

import io
import math
import wave
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SOUND_RATE, SOUND_SECONDS = 16_000, 1.8
SIDE = 256
VIDEO_SIZE, VIDEO_RATE, VIDEO_SECONDS = (160, 120), 10, 6
MOTION_RATE, MOTION_SECONDS = 50, 10
SKY, SEA, INK, BRASS, RED, WHITE = "#cfe3ee", "#2f6f8f", "#16202c", "#d9a520", "#c0392b", "#f7f7f2"


def siren_picture() -> bytes:
    """A red rotating light with its beams (PNG)."""

    def draw(brush: ImageDraw.ImageDraw) -> None:
        for angle in range(-60, 61, 30):
            x, y = 128 + 120 * math.sin(math.radians(angle)), 120 - 112 * math.cos(math.radians(angle))
            brush.line((128, 120, x, y), fill="#f2b705", width=9)
        brush.pieslice((68, 70, 188, 230), 180, 360, fill=RED, outline=INK, width=4)
        brush.pieslice((92, 92, 140, 200), 190, 280, fill="#f5b7b1")
        brush.rectangle((56, 150, 200, 178), fill="#444b54", outline=INK, width=4)
        brush.rectangle((40, 178, 216, 206), fill="#30363c", outline=INK, width=4)

    return _drawn("#27303a", draw)


def bell_picture() -> bytes:
    """A brass bell on its yoke (PNG)."""

    def draw(brush: ImageDraw.ImageDraw) -> None:
        brush.rectangle((48, 28, 208, 44), fill="#7b4a1e", outline=INK, width=3)
        brush.ellipse((112, 40, 144, 72), outline=INK, width=8)
        brush.ellipse((112, 188, 144, 224), fill="#6b4d12", outline=INK, width=3)
        sides = [(128 + 44 * side + 34 * side * (t / 10) ** 3, 84 + 11 * t) for side in (-1, 1) for t in range(11)]
        brush.pieslice((84, 58, 172, 140), 180, 360, fill=BRASS)
        brush.polygon([*sides[:11], *sides[:10:-1]], fill=BRASS)
        brush.line((100, 96, 92, 176), fill="#f3d98b", width=9)
        brush.rounded_rectangle((44, 190, 212, 206), radius=7, fill="#b8860b", outline=INK, width=3)

    return _drawn(SKY, draw)


def clock_picture() -> bytes:
    """The dial of a clock without figures, at ten past ten (PNG)."""

    def draw(brush: ImageDraw.ImageDraw) -> None:
        def hand(turn: float, length: float, width: int, colour: str) -> None:
            x, y = 128 + length * math.sin(math.tau * turn), 128 - length * math.cos(math.tau * turn)
            brush.line((128, 128, x, y), fill=colour, width=width)

        brush.ellipse((20, 20, 236, 236), fill="#7b4a1e", outline=INK, width=4)
        brush.ellipse((34, 34, 222, 222), fill=WHITE, outline=INK, width=3)
        for minute in range(60):
            sine, cosine = math.sin(math.tau * minute / 60), math.cos(math.tau * minute / 60)
            inner = 70 if minute % 5 == 0 else 80
            ends = (128 + inner * sine, 128 - inner * cosine, 128 + 86 * sine, 128 - 86 * cosine)
            brush.line(ends, fill=INK, width=5 if minute % 5 == 0 else 2)
        hand((10 + 1 / 6) / 12, 48, 9, INK)
        hand(10 / 60, 72, 6, INK)
        hand(35 / 60, 76, 2, RED)
        brush.ellipse((121, 121, 135, 135), fill=INK)

    return _drawn("#b9c4bd", draw)


def siren_sound() -> bytes:
    """A tone that wails up and down (WAV)."""
    times = _times()
    pitch = 850 - 350 * np.cos(2 * np.pi * times / 0.9)
    phase = 2 * np.pi * np.cumsum(pitch) / SOUND_RATE
    return _wav(np.sin(phase) + 0.35 * np.sin(2 * phase) + 0.15 * np.sin(3 * phase))


def bell_sound() -> bytes:
    """Two strokes of a bell: partials that are not in tune with each other, the high ones gone first (WAV)."""
    times = _times()
    sound = np.zeros_like(times)
    for stroke in (0.02, 0.95):
        since = np.clip(times - stroke, 0, None)
        for ratio, strength, seconds in ((0.5, 0.5, 1.4), (1, 1, 1.0), (1.19, 0.7, 0.8), (1.5, 0.4, 0.6),
                                         (2, 0.6, 0.5), (2.74, 0.35, 0.25), (3.76, 0.25, 0.15)):  # fmt: skip
            sound += (times >= stroke) * strength * np.exp(-since / seconds) * np.sin(2 * np.pi * 620 * ratio * since)
    return _wav(sound)


def clock_sound() -> bytes:
    """A clock that ticks and tocks twice a second (WAV)."""
    times = _times()
    noise = np.random.default_rng(3).normal(0, 1, times.size)
    sound = 0.004 * noise
    for beat, start in enumerate(np.arange(0.1, SOUND_SECONDS - 0.1, 0.25)):
        since = np.clip(times - start, 0, None)
        ring = np.sin(2 * np.pi * (2900 if beat % 2 == 0 else 2200) * since)
        sound += (times >= start) * np.exp(-since / 0.006) * (ring + 0.5 * noise)
    return _wav(sound)


def buoy_video() -> bytes:
    """A buoy that rises and falls on waves (MP4, H.264)."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        container.metadata["title"] = "Mooring buoy on a swell"
        # Without the processor's own instructions, and in one thread: else the bytes differ from run to run.
        options = {"crf": "28", "preset": "slow", "threads": "1", "flags": "+bitexact", "x264-params": "asm=0"}
        stream = container.add_stream("libx264", rate=VIDEO_RATE, options=options)
        stream.width, stream.height = VIDEO_SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(VIDEO_RATE * VIDEO_SECONDS):
            pixels = np.asarray(_sea_with_buoy(number / VIDEO_RATE))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def quay_depth() -> bytes:
    """What a depth camera on the quay sees: the ground, a wall behind it and a crate, in millimetres (16-bit PNG)."""
    width, height, horizon = 160, 120, 48
    rows = np.arange(height)[:, None]
    ground = 1600 * (height - horizon) / np.clip(rows - horizon, 1, None)
    metres = np.broadcast_to(np.minimum(ground, 7800.0), (height, width)).copy()
    metres[52:104, 96:140] = 2300 + 6 * np.arange(44)[None]
    metres[:6, :20] = 0  # the sky beside the wall is not measured
    return _png(Image.fromarray((metres / 10).round().astype(np.uint16) * 10))


def motor_thermal() -> bytes:
    """A thermal picture of a pump with a warm motor and one bearing that is too hot (8-bit PNG)."""
    width, height = 160, 120
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    heat = 40 + 6 * y / height + np.random.default_rng(5).normal(0, 1.2, (height, width))
    heat[40:90, 30:110] += 60
    heat[56:72, 110:150] += 35
    heat += 120 * np.exp(-((x - 106) ** 2 + (y - 64) ** 2) / 130)
    return _png(Image.fromarray(heat.clip(0, 255).astype(np.uint8)))


def buoy_motion() -> bytes:
    """What an IMU in the buoy measures on waves of six seconds: m/s² and rad/s (CSV)."""
    times = np.arange(MOTION_RATE * MOTION_SECONDS) / MOTION_RATE
    turn = 2 * np.pi * times / 6
    columns = (
        0.9 * np.sin(turn), 0.4 * np.sin(turn + 1.1), 9.81 + 0.7 * np.cos(turn),
        0.12 * np.cos(turn), 0.2 * np.cos(turn + 0.6), 0.03 * np.sin(turn / 2),
    )  # fmt: skip
    values = np.stack(columns, axis=1) + np.random.default_rng(8).normal(0, 0.02, (times.size, 6))
    lines = [",".join(f"{value:.3f}" for value in row) for row in values]
    return ("\n".join(["ax,ay,az,gx,gy,gz", *lines]) + "\n").encode()


def _sea_with_buoy(seconds: float) -> Image.Image:
    width, height = VIDEO_SIZE
    image = Image.new("RGB", VIDEO_SIZE, SKY)
    brush = ImageDraw.Draw(image)

    def level(x: float) -> float:
        return 74 + 9 * math.sin(x / 22 - seconds * math.tau / 3) + 2 * math.sin(x / 7 + seconds * 4)

    middle = level(80)
    lean = (level(90) - level(70)) / 2
    brush.polygon([(62, middle + 8), (98, middle + 8), (88 - lean, middle - 26), (72 - lean, middle - 26)], fill=RED)
    brush.line((80 - lean, middle - 26, 80 - 2 * lean, middle - 48), fill=INK, width=3)
    brush.ellipse((75 - 2 * lean, middle - 56, 85 - 2 * lean, middle - 46), fill="#f2b705")
    brush.polygon([(0, height), *((x, level(x)) for x in range(0, width + 1, 4)), (width, height)], fill=SEA)
    return image


def _drawn(background: str, draw: Callable[[ImageDraw.ImageDraw], None]) -> bytes:
    image = Image.new("RGB", (SIDE, SIDE), background)
    draw(ImageDraw.Draw(image))
    return _png(image)


def _times() -> np.ndarray:
    return np.arange(int(SOUND_RATE * SOUND_SECONDS)) / SOUND_RATE


def _wav(sound: np.ndarray) -> bytes:
    samples = (sound / np.abs(sound).max() * 0.7 * 32_767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
