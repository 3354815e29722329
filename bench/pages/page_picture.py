"""The picture of the page in the README: taken by Chromium, and marked with what the page said then."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from reference.errors import InputError
from reference.files import write_atomically

WIDTH, HEIGHT = 1280, 900
KEY = "first screen"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def first_screen(page: str) -> str:
    """The hash of what the first screen says: its sentence, the example's card and the three numbers."""
    start, end = page.index("<h1>"), page.index("</ul>", page.index('class="tiles"'))
    words = " ".join(re.sub(r"<[^>]*>", " ", page[start:end]).split())
    return hashlib.sha256(words.encode()).hexdigest()


def said_by(picture: Path) -> str:
    """The hash that a picture was marked with; empty for another picture."""
    with Image.open(picture) as image:
        return str(image.info.get(KEY, ""))


def take(page: Path, picture: Path) -> None:
    """Take the picture of a page's first screen.

    Raises:
        InputError: no Chromium is installed, or it takes no picture.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise InputError(f"{picture}: found no Chromium to take it with; install the package chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page.resolve().as_uri()]
        subprocess.run(command, capture_output=True, check=False)
        if not shot.exists():
            raise InputError(f"{picture}: {browser} took no picture of {page}; try it by hand")
        with Image.open(shot) as image:
            small = image.convert("RGB").quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    mark = PngInfo()
    mark.add_text(KEY, first_screen(page.read_text(encoding="utf-8")))
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True, pnginfo=mark)
    write_atomically(picture, buffer.getvalue())
